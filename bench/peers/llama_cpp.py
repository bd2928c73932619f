#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Times decoding and prefill of Mamba against llama.cpp and mamba.c on the same random weights.

Decoding goes in turns of --steps tokens (see slices.py): both programs are loaded, and one stands
still while the other works, so that both see the same memory, whose speed is measured in each turn
of ours; ratios and shares are medians of those of --slices turns. Prefill of 512 tokens from an
empty state, and mamba.c, run once a round. Figures are medians, with the least and the most. The
output is Markdown for bench/results/decode.md.

The weights mean nothing: they are random in the shape of the published checkpoints. `longwave
convert` makes the files that both programs read; mamba.c gets the same numbers in its own format.
Percent of memory is the size of the file times the steps a second, as a share of what
`longwave bench` measured of memory in the same turn.

needs: numpy; builds of the peers: llama-bench of llama.cpp, mamba of mamba.c (only timed in F32)
usage: bench/peers/llama_cpp.py --longwave build/release/longwave --llama-bench PATH
       [--mamba-c PATH] [--shapes 130m] [--formats f32,q8_0,q4_0,q4_k] [--threads 1,2]
       [--rounds 5] [--slices 12] [--steps 16] [--models FOLDER]
"""

import argparse
import json
import os
import pathlib
import re
import statistics
import struct
import subprocess
import sys
import tempfile

import numpy

from slices import SlicedProgram

SHAPES = {"130m": (768, 24), "370m": (1024, 48), "790m": (1536, 48), "1.4b": (2048, 48)}
VOCABULARY, STATE, WIDTH, PROMPT = 50280, 16, 4, 512
MAMBA_C_STEPS = 128


def weights_of(shape: str):
    """Names and numbers of a Mamba as transformers has them, one after the other."""
    channels, layers = SHAPES[shape]
    inner, rank = 2 * channels, -(-channels // 16)
    random = numpy.random.default_rng(0)

    def matrix(*extents):
        return random.standard_normal(extents, dtype=numpy.float32) / extents[-1] ** 0.5

    embedding = matrix(VOCABULARY, channels)
    embedding[0] = 0  # token 0 ends mamba.c's run: never the likeliest of tied weights
    yield "backbone.embeddings.weight", embedding
    for layer in range(layers):
        place = f"backbone.layers.{layer}."
        yield place + "norm.weight", numpy.ones(channels, numpy.float32)
        place += "mixer."
        yield place + "in_proj.weight", matrix(2 * inner, channels)
        yield place + "conv1d.weight", matrix(inner, 1, WIDTH)
        yield place + "conv1d.bias", numpy.zeros(inner, numpy.float32)
        yield place + "x_proj.weight", matrix(rank + 2 * STATE, inner)
        yield place + "dt_proj.weight", matrix(inner, rank)
        steps = numpy.exp(random.uniform(numpy.log(1e-3), numpy.log(0.1), inner))
        yield place + "dt_proj.bias", numpy.log(numpy.expm1(steps)).astype(numpy.float32)
        decay = numpy.log(numpy.arange(1, STATE + 1, dtype=numpy.float32))
        yield place + "A_log", numpy.tile(decay, (inner, 1))
        yield place + "D", numpy.ones(inner, numpy.float32)
        yield place + "out_proj.weight", matrix(channels, inner)
    yield "backbone.norm_f.weight", numpy.ones(channels, numpy.float32)


def write_published(shape: str, folder: pathlib.Path) -> None:
    channels, layers = SHAPES[shape]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({
        "architectures": ["MambaForCausalLM"], "model_type": "mamba", "hidden_size": channels,
        "num_hidden_layers": layers, "vocab_size": VOCABULARY, "state_size": STATE,
        "conv_kernel": WIDTH, "expand": 2, "intermediate_size": 2 * channels,
        "time_step_rank": -(-channels // 16), "tie_word_embeddings": True, "use_bias": False,
        "use_conv_bias": True, "hidden_act": "silu", "layer_norm_epsilon": 1e-5}))
    entries, offset = {}, 0
    for name, values in weights_of(shape):
        entries[name] = {"dtype": "F32", "shape": list(values.shape),
                         "data_offsets": [offset, offset + values.nbytes]}
        offset += values.nbytes
    header = json.dumps(entries).encode()
    header += b" " * (-len(header) % 64)
    with open(folder / "model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        for _, values in weights_of(shape):
            file.write(values.tobytes())


def write_mamba_c(shape: str, path: pathlib.Path) -> None:
    """mamba.c's file: a header of 256 bytes, then all layers of one tensor after the other."""
    channels, layers = SHAPES[shape]
    inner, rank = 2 * channels, -(-channels // 16)
    tensors = dict(weights_of(shape))
    header = struct.pack("<2I8i", 0x4D616D62, 1, layers, VOCABULARY, channels, inner, rank, STATE,
                         WIDTH, 1)
    with open(path, "wb") as file:
        file.write(header.ljust(256, b"\0"))
        file.write(tensors["backbone.embeddings.weight"].tobytes())
        for part in ("mixer.in_proj.weight", "mixer.conv1d.weight", "mixer.conv1d.bias",
                     "mixer.x_proj.weight", "mixer.dt_proj.weight", "mixer.dt_proj.bias",
                     "mixer.A_log", "mixer.D", "mixer.out_proj.weight", "norm.weight"):
            for layer in range(layers):
                values = tensors[f"backbone.layers.{layer}.{part}"]
                file.write((-numpy.exp(values) if part.endswith("A_log") else values).tobytes())
        file.write(tensors["backbone.norm_f.weight"].tobytes())
    words = [b"<end>"] + [b"a"] + [b"t%d" % i for i in range(2, VOCABULARY)]
    with open(path.with_suffix(".tokens"), "wb") as file:
        file.write(struct.pack("<2I2i", 0x4D62546B, 1, len(words), max(map(len, words))))
        for word in words:
            file.write(struct.pack("<i", len(word)) + word)


def run(command: list, **environment) -> subprocess.CompletedProcess:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True,
                          errors="replace", env=os.environ | environment)
    if done.returncode != 0:
        raise RuntimeError(" ".join(map(str, command)) + "\n" + done.stderr)
    return done


def time_longwave(options, path: pathlib.Path, threads: int) -> dict[str, float]:
    done = run([options.longwave, "bench", path, "--lengths", PROMPT, "--threads", threads,
                "--repeats", 1, "--json", "--quiet"])
    return {"prefill": json.loads(done.stdout)["rows"][0]["prefill_steps_per_second"]}


def time_llama_cpp(options, path: pathlib.Path, threads: int) -> dict[str, float]:
    done = run([options.llama_bench, "-m", path, "-p", PROMPT, "-n", 0, "-t", threads, "-r", 1,
                "-o", "json"])
    return {"prefill": json.loads(done.stdout)[0]["avg_ts"]}


def decode_in_turns(options, path: pathlib.Path, threads: int) -> list[tuple[dict, dict]]:
    """What longwave and llama.cpp reach in each turn."""
    def repeated(count) -> str:
        return ",".join([str(count)] * (options.slices + 1))

    # Both say so before or after each run, and go on with one that they do not time.
    with (SlicedProgram([options.longwave, "bench", path, "--batch", repeated(1), "--steps",
                         options.steps, "--repeats", 1, "--threads", threads, "--json"],
                        says="stderr", mark="batch 1") as ours,
          SlicedProgram([options.llama_bench, "-m", path, "-p", 0, "-n", repeated(options.steps),
                         "-t", threads, "-r", 1, "-o", "jsonl"],
                        says="stdout", mark="avg_ts") as theirs):
        ours.run_slice()
        theirs.run_slice()
        lines = []
        for count in range(options.slices):
            if count % 2 == 0:
                ours.run_slice()
                lines.append(theirs.run_slice())
            else:
                lines.append(theirs.run_slice())
                ours.run_slice()
        theirs.finish()
        rows = json.loads(ours.finish())["rows"]
    return [({"decode": row["steps_per_second"], "memory": row["memory_bytes_per_second"]},
             {"decode": json.loads(line)["avg_ts"]}) for row, line in zip(rows, lines)]


def time_mamba_c(options, path: pathlib.Path, threads: int) -> dict[str, float]:
    done = run([options.mamba_c, path, "-n", MAMBA_C_STEPS, "-t", 0, "-i", "a", "-z",
                path.with_suffix(".tokens")], OMP_NUM_THREADS=str(threads))
    return {"decode": float(re.search(r"achieved tok/s: ([\d.]+)", done.stderr).group(1))}


def make_files(options, shape: str, folder: pathlib.Path) -> dict[str, pathlib.Path]:
    source = folder / shape
    if not (source / "model.safetensors").exists():
        write_published(shape, source)
    paths = {}
    for form in options.formats:
        paths[form] = folder / f"{shape}-{form}.gguf"
        if not paths[form].exists():
            run([options.longwave, "convert", source, paths[form], "--to", "gguf", "--type", form])
    if options.mamba_c and "f32" in options.formats:
        paths["mamba.c"] = folder / f"{shape}.mamba"
        if not paths["mamba.c"].exists():
            write_mamba_c(shape, paths["mamba.c"])
    return paths


class Results:
    """Figures of all rounds by program, format, threads and what was timed."""

    def __init__(self):
        self.all: dict[tuple, list[float]] = {}

    def add(self, program: str, form: str, threads: int, figures: dict[str, float]) -> None:
        for kind, value in figures.items():
            self.all.setdefault((program, form, threads, kind), []).append(value)

    def text(self, *key) -> str:
        if key not in self.all:
            return ""
        values = self.all[key]
        return f"{statistics.median(values):.1f} ({min(values):.1f}–{max(values):.1f})"

    def ratio(self, other: str, *key) -> str:
        ours, theirs = self.all.get(("longwave", *key)), self.all.get((other, *key))
        if ours is None or theirs is None:
            return ""
        if other == "mamba.c":  # decodes after the turns of the others
            return f"{statistics.median(ours) / statistics.median(theirs):.2f}"
        return f"{statistics.median(one / two for one, two in zip(ours, theirs)):.2f}"


def print_table(results: Results, options, shape: str, paths: dict[str, pathlib.Path]) -> None:
    heads = ["format", "threads", "decode longwave", "llama.cpp", "ratio", "mamba.c", "ratio",
             "GB/s", "of memory", "prefill longwave", "llama.cpp", "ratio"]
    print(f"\n## {shape}: tokens/s, median (least–most) of {options.slices} turns of decoding, "
          f"{options.rounds} rounds of prefill\n")
    print("| " + " | ".join(heads) + " |")
    print("|---|---|" + "---:|" * (len(heads) - 2))
    for form in options.formats:
        for threads in options.threads:
            key = (form, threads)
            used = [paths[form].stat().st_size * steps
                    for steps in results.all["longwave", *key, "decode"]]
            shares = [one / memory for one, memory in
                      zip(used, results.all["longwave", *key, "memory"])]
            cells = [form, str(threads)]
            cells += [results.text("longwave", *key, "decode"),
                      results.text("llama.cpp", *key, "decode"),
                      results.ratio("llama.cpp", *key, "decode"),
                      results.text("mamba.c", *key, "decode"),
                      results.ratio("mamba.c", *key, "decode"),
                      f"{statistics.median(used) / 1e9:.1f}",
                      f"{100 * statistics.median(shares):.0f} %",
                      results.text("longwave", *key, "prefill"),
                      results.text("llama.cpp", *key, "prefill"),
                      results.ratio("llama.cpp", *key, "prefill")]
            print("| " + " | ".join(cells) + " |")
    sys.stdout.flush()


def compare(options, shape: str, folder: pathlib.Path) -> None:
    paths = make_files(options, shape, folder)
    results = Results()
    for form in options.formats:
        for threads in options.threads:
            print(f"{shape}: decoding, {form}, {threads} threads", file=sys.stderr)
            for ours, theirs in decode_in_turns(options, paths[form], threads):
                results.add("longwave", form, threads, ours)
                results.add("llama.cpp", form, threads, theirs)
    for count in range(options.rounds):
        for form in options.formats:
            for threads in options.threads:
                print(f"{shape}: round {count + 1}, {form}, {threads} threads", file=sys.stderr)
                programs = [("longwave", time_longwave), ("llama.cpp", time_llama_cpp)]
                # Neither is always the first on a machine that may be throttled.
                for name, time in programs if count % 2 == 0 else reversed(programs):
                    results.add(name, form, threads, time(options, paths[form], threads))
                if form == "f32" and "mamba.c" in paths:
                    results.add("mamba.c", form, threads,
                                time_mamba_c(options, paths["mamba.c"], threads))
    print_table(results, options, shape, paths)


def main() -> None:
    def words(text: str) -> list[str]:
        return text.split(",")

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--longwave", required=True)
    parser.add_argument("--llama-bench", required=True)
    parser.add_argument("--mamba-c")
    parser.add_argument("--shapes", type=words, default=["130m"])
    parser.add_argument("--formats", type=words, default=["f32", "q8_0", "q4_0", "q4_k"])
    parser.add_argument("--threads", type=lambda text: [int(word) for word in words(text)],
                        default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--slices", type=int, default=12)
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--models", type=pathlib.Path, help="where to keep the files")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        for shape in options.shapes:
            compare(options, shape, options.models or pathlib.Path(scratch))


if __name__ == "__main__":
    main()
