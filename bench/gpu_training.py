#!/usr/bin/env python3
"""Times training of the shapes of mamba-130m and mamba2-130m on a GPU, ours beside mamba_ssm's.

Batches of 8 sequences of 2048 bytes, weights and moments in float32, products and signals in
bfloat16, gradients clipped. Both programs run in turn, round by round, each on random bytes; tokens
a second are over a round, and peak memory is what tensors held at once. Without the package
mamba_ssm only ours is timed; with --graphs auto off ours with and without a CUDA graph of the
passes. Prints a Markdown table.

usage: gpu_training.py BUILD [--rounds N] [--steps N] [--shapes mamba mamba2] [--precision P]
                       [--graphs auto off]
"""

import argparse
import importlib.util
import pathlib
import random
import statistics
import sys
import tempfile

from json_program import Program

BATCH, LENGTH = 8, 2048
# pattern's family: what its section says
SHAPES = {"mamba": "", "mamba2": "state = 128\nhead_dim = 64\n"}
RECIPE = """
seed = 0
[data]
source = "text"
[text]
path = "{path}"
length = {length}
[model]
pattern = "{family}*24"
d_model = 768
vocabulary = 50288
tie = true
norm = "rms"
mixing = "none"
activation = "none"
scale_branches = true
[{family}]
{section}
[train]
device = "{device}"
precision = "{precision}"
graphs = "{graphs}"
batch = {batch}
steps = 100000
lr = 0.0006
"""


def programs(arguments, family, folder):
    """Those that can run here by their names, each with its requests' constant part."""
    result = {}
    for graphs in arguments.graphs:
        recipe = RECIPE.format(path=folder, family=family, section=SHAPES[family], batch=BATCH,
                               length=LENGTH, device=arguments.device,
                               precision=arguments.precision, graphs=graphs)
        name = "Longwave" if graphs == arguments.graphs[0] else f"Longwave, graphs {graphs}"
        result[name] = (Program([str(arguments.build / "training_step_torch_bench")]),
                        {"recipe": recipe})
    if arguments.device == "cuda" and importlib.util.find_spec("mamba_ssm"):
        script = pathlib.Path(__file__).parent / "peers" / "mamba_ssm_training.py"
        result["mamba_ssm"] = (Program([sys.executable, str(script)]),
                               {"family": family, "batch": BATCH, "length": LENGTH})
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=10, help="of a round; one warms up before")
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--precision", default="bfloat16")
    parser.add_argument("--graphs", nargs="+", choices=["auto", "off"], default=["auto"])
    parser.add_argument("--device", default="cuda")
    arguments = parser.parse_args()

    print("| shape | program | tokens a second, median (least to most) | peak GB | ratio |")
    print("|---|---|---|---|---|")
    for family in arguments.shapes:
        with tempfile.TemporaryDirectory() as folder:
            text = random.Random(0).randbytes(1 << 23).translate(bytes(32 + i % 95
                                                                       for i in range(256)))
            (pathlib.Path(folder) / "random.txt").write_bytes(text)
            running = programs(arguments, family, folder)
            for program, request in running.values():
                program.ask(steps=arguments.steps, **request)
            rounds = [{name: program.ask(steps=arguments.steps, **request)
                       for name, (program, request) in running.items()}
                      for _ in range(arguments.rounds)]
            for program, _ in running.values():
                program.end()
        for name in running:
            speeds = [answers[name]["tokens_per_second"] for answers in rounds]
            ratio = statistics.median(answers["Longwave"]["tokens_per_second"] /
                                      answers[name]["tokens_per_second"] for answers in rounds)
            last = rounds[-1][name]
            print(f"| {family}, {last['parameters'] / 1e6:.1f} M | {name} "
                  f"| {statistics.median(speeds):.0f} ({min(speeds):.0f} to {max(speeds):.0f}) "
                  f"| {last.get('peak_bytes', 0) / 1e9:.2f} | {ratio:.2f} |", flush=True)
            print(f"{family}, {name}: last loss {last['loss']:.3f}", file=sys.stderr)


if __name__ == "__main__":
    main()
