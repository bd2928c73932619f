#!/usr/bin/env python3
"""Trains every family on the same task at the same budget, then proves each trained model.

Runs recipes/rows_*.toml, evaluates on the test split, and verifies the views at several odd lengths
with random splits and non-zero initial states. Prints a Markdown table; exit status 1 if a view of
any model lies outside its bound.

usage: families.py BUILD [FOLDER]     runs go to FOLDER (default: a temporary one)
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
FAMILIES = ("lssl", "s4", "dss", "s4d", "s5", "lru")
LENGTHS = (1, 37, 509)


def longwave(build, *arguments, allowed=(0,)):
    done = subprocess.run([str(build / "longwave"), *map(str, arguments)], text=True, check=False,
                          capture_output=True)
    if done.returncode not in allowed:
        sys.exit(f"longwave {' '.join(map(str, arguments))}: status {done.returncode}\n"
                 f"{done.stderr}")
    return done.stdout


def measure(build, run, family):
    """One row of the table, and whether every view agrees."""
    start = time.monotonic()
    longwave(build, "train", ROOT / "recipes" / f"rows_{family}.toml", "--out", run, "--quiet",
             "train.test_at_end=false")
    seconds = time.monotonic() - start
    accuracy = json.loads(longwave(build, "eval", run, "--json", "--quiet"))["accuracy"]
    checks, good = [], True
    for length in LENGTHS:
        # Status 1 is the answer no: the table shows it.
        report = json.loads(longwave(build, "verify", run, "--length", length, "--json", "--quiet",
                                     allowed=(0, 1)))
        checks += report["checks"]
        good = good and report["ok"]
    worst = max(checks, key=lambda check: check["ratio"])
    row = (f"| {family} | {accuracy:.3f} | {seconds:.0f} s | {len(checks)} "
           f"| {worst['view']} of {worst['subject']}: {worst['difference']:.1e} of "
           f"{worst['bound']:.1e} | {'yes' if good else 'NO'} |")
    return row, good


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else scratch)
        print("Every family on Fashion-MNIST, a row of the image a step (recipes/rows_*.toml); "
              f"views verified at lengths {', '.join(map(str, LENGTHS))}\n")
        print("| family | test accuracy | training | comparisons | nearest to its bound "
              "| all within bounds |")
        print("|---|---|---|---|---|---|")
        results = []
        for family in FAMILIES:
            row, good = measure(build, folder / family, family)
            print(row, flush=True)
            results.append(good)
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
