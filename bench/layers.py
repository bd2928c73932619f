#!/usr/bin/env python3
"""Times layers, forward and backward, ours against PyTorch: S4D and S4 against the FFT form, Mamba
against the parallel scan of the package mambapy.

Both programs run in turn, round by round, with the same sizes and threads; PyTorch gets the
settings that make it fastest on a CPU. Before anything is timed, our output is recomputed by the
PyTorch form from the same parameters. Prints a Markdown table. Peak memory is that of the whole
program so far, libraries included.

usage: layers.py BUILD [--rounds N] [--families mamba ...]
       (needs python3-torch from Debian; mamba needs `pip install --no-deps mambapy`)
"""

import argparse
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile

from json_program import Program

# Without these, PyTorch is several times slower: kernels for an older CPU, and page faults.
FAIR = {"OPENBLAS_CORETYPE": "SkylakeX", "ATEN_CPU_CAPABILITY": "avx512",
        "GLIBC_TUNABLES": "glibc.malloc.mmap_threshold=4294967296:"
                          "glibc.malloc.trim_threshold=17179869184"}
FILTERS = {"batch": 8, "channels": 256, "state": 64, "length": 4096}
SELECTIVE = {"batch": 4, "channels": 256, "state": 16, "length": 1024, "layers": 4}
# family: the peer's script, the size that is timed
FAMILIES = {"s4d": ("pytorch_structured.py", FILTERS), "s4": ("pytorch_structured.py", FILTERS),
            "mamba": ("mambapy_layers.py", SELECTIVE)}
# Both compute in float32 with different algorithms; PyTorch's powers and sums dominate.
LARGEST_DIFFERENCE = 2e-3


def installed(script):
    """Whether Debian's Python finds what a peer's script imports."""
    package = {"mambapy_layers.py": "mambapy"}.get(script, "torch")
    return subprocess.run(["/usr/bin/python3", "-c", f"import {package}"], check=False,
                          capture_output=True).returncode == 0


def check(ours, theirs, family, size):
    """Their form of one layer from our parameters gives our output."""
    small = {"batch": 2, "channels": 8, "state": size["state"], "length": 1024}
    with tempfile.TemporaryDirectory() as folder:
        ours.ask(family=family, check=folder, **small)
        answer = theirs.ask(family=family, check=folder, **small)
    difference = answer["difference"]
    if not difference < LARGEST_DIFFERENCE:
        sys.exit(f"{family}: outputs differ by {difference:.2e} of the largest; nothing is timed")
    return difference


def total(answer):
    return answer["forward_ms"] + answer["backward_ms"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=list(FAMILIES))
    arguments = parser.parse_args()
    peers = pathlib.Path(__file__).parent / "peers"

    print(f"Layers, float32; {platform.machine()}, {os.cpu_count()} cores; medians of "
          f"{arguments.rounds} interleaved rounds\n")
    print("| family | size | threads | Longwave forward / backward ms "
          "| PyTorch forward / backward ms | ratio | peak MB | difference |")
    print("|---|---|---|---|---|---|---|---|")
    for family in arguments.families:
        script, size = FAMILIES[family]
        if not installed(script):
            print(f"{family}: left out, what {script} imports is not installed", file=sys.stderr)
            continue
        ours = Program([str(arguments.build / "layer_torch_bench")], **FAIR)
        theirs = Program(["/usr/bin/python3", str(peers / script)], **FAIR)
        difference = check(ours, theirs, family, size)
        named = ", ".join(f"{name} {value}" for name, value in size.items())
        for threads in (1, 2):
            rounds = [(ours.ask(family=family, threads=threads, **size),
                       theirs.ask(family=family, threads=threads, **size))
                      for _ in range(arguments.rounds)]
            mid = [{key: statistics.median(pair[i][key] for pair in rounds)
                    for key in ("forward_ms", "backward_ms", "peak_mb")} for i in (0, 1)]
            ratio = statistics.median(total(b) / total(a) for a, b in rounds)
            cells = [f"{m['forward_ms']:.1f} / {m['backward_ms']:.1f}" for m in mid]
            memory = " / ".join(f"{m['peak_mb']:.0f}" for m in mid)
            print(f"| {family} | {named} | {threads} | {cells[0]} | {cells[1]} | {ratio:.1f} x "
                  f"| {memory} | {difference:.0e} |", flush=True)


if __name__ == "__main__":
    main()
