#!/usr/bin/env python3
"""Times S4D and S4 layers, forward and backward, ours against PyTorch's FFT form.

Both programs run in turn, round by round, with the same sizes and threads; PyTorch gets the
settings that make it fastest on a CPU. Before anything is timed, our output is recomputed by the
PyTorch form from the same parameters. Prints a Markdown table.

usage: layers.py BUILD [--rounds N]    (needs python3-torch from Debian)
"""

import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile

# Without these, PyTorch is several times slower: kernels for an older CPU, and page faults.
FAIR = {"OPENBLAS_CORETYPE": "SkylakeX", "ATEN_CPU_CAPABILITY": "avx512",
        "GLIBC_TUNABLES": "glibc.malloc.mmap_threshold=4294967296:"
                          "glibc.malloc.trim_threshold=17179869184"}
SIZE = {"batch": 8, "channels": 256, "state": 64, "length": 4096}
# Both compute in float32 with different algorithms; PyTorch's powers and sums dominate.
LARGEST_DIFFERENCE = 2e-3


class Program:
    """A program that answers one JSON line for each JSON line."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, env={**os.environ, **FAIR})

    def ask(self, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit(f"{self.process.args[0]} ended without an answer")
        return json.loads(answer)


def check(ours, theirs, family):
    """Their form of the layer from our parameters gives our output."""
    small = {"batch": 2, "channels": 8, "state": 64, "length": 1024}
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
    arguments = parser.parse_args()
    peer = pathlib.Path(__file__).parent / "peers" / "pytorch_structured.py"
    ours = Program([str(arguments.build / "layer_torch_bench")])
    theirs = Program(["/usr/bin/python3", str(peer)])

    size = ", ".join(f"{name} {value}" for name, value in SIZE.items())
    print(f"S4D and S4 layers, {size}, float32; {platform.machine()}, {os.cpu_count()} cores; "
          f"medians of {arguments.rounds} interleaved rounds\n")
    print("| family | threads | Longwave forward / backward ms | PyTorch forward / backward ms "
          "| ratio | difference |")
    print("|---|---|---|---|---|---|")
    for family in ("s4d", "s4"):
        difference = check(ours, theirs, family)
        for threads in (1, 2):
            rounds = [(ours.ask(family=family, threads=threads, **SIZE),
                       theirs.ask(family=family, threads=threads, **SIZE))
                      for _ in range(arguments.rounds)]
            mid = [{key: statistics.median(pair[i][key] for pair in rounds)
                    for key in ("forward_ms", "backward_ms")} for i in (0, 1)]
            ratio = statistics.median(total(b) / total(a) for a, b in rounds)
            cells = [f"{m['forward_ms']:.1f} / {m['backward_ms']:.1f}" for m in mid]
            print(f"| {family} | {threads} | {cells[0]} | {cells[1]} | {ratio:.1f} x "
                  f"| {difference:.0e} |", flush=True)


if __name__ == "__main__":
    main()
