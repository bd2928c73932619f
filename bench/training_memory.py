#!/usr/bin/env python3
"""Counts what a training step of Mamba and of Mamba-2 holds on the CPU, against what it must.

Tensors are counted by the tests of longwave/models/activation_memory_torch_test.cc, to the byte;
the process is what `longwave train --dry-run` measures, libraries' own memory included. Prints a
Markdown table.

usage: training_memory.py BUILD
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

RECIPES = {"mamba": "recipes/austen_mamba.toml", "mamba2": "recipes/austen_mamba2.toml"}
SIZE = ["train.batch=4", "text.length=1024"]


def counted(build):
    """The figures of the test of each family at the size of the recipes."""
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder) / "report.json"
        command = [build / "models_torch_test", "--gtest_filter=*ActivationMemory*Austen",
                   f"--gtest_output=json:{report}"]
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode != 0:
            sys.exit("the tests of activation memory fail; nothing is counted")
        suites = json.loads(report.read_text())["testsuites"]
    tests = [test for suite in suites for test in suite["testsuite"]]
    return {test["name"].split("/")[-1].removesuffix("Austen"):
            {key: int(test[key]) for key in ("least", "read", "kept", "most")} for test in tests}


def measured(build, recipe):
    """Bytes by which some training steps raise the memory of a process."""
    done = subprocess.run([build / "longwave-train", "train", recipe, *SIZE, "--dry-run", "--json"],
                          capture_output=True, text=True, check=True)
    return json.loads(done.stdout)["activation_bytes"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("build", type=pathlib.Path)
    build = parser.parse_args().build.resolve()
    print("| recipe | must be kept | gradients read | kept | at most | process | kept / must "
          "| at most / must | process / must |")
    print("|---|---|---|---|---|---|---|---|---|")
    for family, row in counted(build).items():
        row["process"] = measured(build, RECIPES[family])
        cells = [f"{row[key] / 1e6:.1f}" for key in ("least", "read", "kept", "most", "process")]
        cells += [f"{row[part] / row[whole]:.2f}" for part, whole in
                  (("kept", "least"), ("most", "least"), ("process", "least"))]
        print(f"| {RECIPES[family]} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
