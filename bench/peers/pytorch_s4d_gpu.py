#!/usr/bin/env python3
"""Times an S4D layer on a GPU as PyTorch users write it (Vandermonde kernel, FFT convolution, skip)
beside ours, at the same shapes in the same run.

PyTorch's passes are timed as it queues them and once more from a CUDA graph, where the host's
launches cost nothing; ratios are to the faster of the two. They are in float32, since there is no
FFT of bfloat16, and begin with the layer's parameters, ours with a and c. Our benchmark checks its
kernels first; PyTorch's forward and backward pass are set against a recurrence in float64 here.

usage: pytorch_s4d_gpu.py [BUILD]        BUILD with our benchmarks: build/cuda if not given
"""

import argparse

import gpu_timing
import pytorch_structured
import torch

BATCH, CHANNELS, MODES = 8, 512, 32
LENGTHS = (1024, 4096, 16384)
# The most that rounding makes of the largest number, in sums of so many float32 numbers.
BOUND = 1e-4


def recurrence(p, u):
    """The layer in float64 by its states: x' = exp(dt A) x + B' u, y = 2 Re(C x) + D u."""
    A = torch.complex(-torch.exp(p["A_log_re"]), p["A_im"])
    dtA = A * torch.exp(p["log_dt"])[:, None]
    a = torch.exp(dtA)
    B = torch.view_as_complex(p["B"]) * (a - 1) / A
    C = torch.view_as_complex(p["C"])
    x = torch.zeros(u.shape[0], *A.shape, dtype=A.dtype)
    steps = []
    for t in range(u.shape[-1]):
        x = a * x + B * u[:, :, t, None]
        steps.append(2 * (C * x).sum(-1).real)
    return torch.stack(steps, -1) + p["D"][:, None] * u


def errors():
    """The largest differences of y and of the gradients, as shares of the largest numbers."""
    parameters = pytorch_structured.make_parameters("s4d", 16, MODES)
    u, dy = torch.randn(2, 16, 300, requires_grad=True), torch.randn(2, 16, 300)
    wanted = {"u": u, **parameters}
    y = pytorch_structured.layer({"family": "s4d"}, parameters)(u)
    found = {"y": y, **dict(zip(wanted, torch.autograd.grad(y, list(wanted.values()), dy)))}
    wide = {name: x.detach().double().requires_grad_() for name, x in wanted.items()}
    y = recurrence(wide, wide["u"])
    exact = {"y": y, **dict(zip(wide, torch.autograd.grad(y, list(wide.values()), dy.double())))}
    return {name: ((found[name].double() - x).abs().max() / x.abs().max()).item()
            for name, x in exact.items()}


def times_of(length):
    """Of the forward and of the backward pass: times as queued, and as recorded."""
    parameters = pytorch_structured.make_parameters("s4d", CHANNELS, MODES)
    layer = pytorch_structured.layer({"family": "s4d"}, parameters)
    inputs = [torch.randn(BATCH, CHANNELS, length, requires_grad=True)
              for _ in range(gpu_timing.SETS)]

    def forward(i):
        with torch.no_grad():
            layer(inputs[i])

    forward_times = gpu_timing.queued_and_recorded(forward)
    outputs = [layer(u) for u in inputs]
    gradients = [torch.randn_like(y) for y in outputs]

    def backward(i):
        torch.autograd.grad(outputs[i], [inputs[i], *parameters.values()], gradients[i],
                            retain_graph=True)

    return {"forward": forward_times, "backward": gpu_timing.queued_and_recorded(backward)}


def ours(build):
    """Median milliseconds by (type, length, pass) at the peer's shape, as our benchmark prints."""
    shape = rf"(\w+) +B{BATCH} +D{CHANNELS} +L(\d+) +modes {MODES} +(\w+) +(\d+\.\d+) \("
    return {(match[1], int(match[2]), match[3]): float(match[4])
            for match in gpu_timing.rows(build, "lti_scan_cuda_bench", shape)}


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", nargs="?", default="build/cuda")
    arguments = parser.parse_args()
    torch.set_default_device("cuda")
    print(f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}")
    found = errors()
    print("errors: " + ", ".join(f"{name} {error:.1e}" for name, error in found.items()))
    if not max(found.values()) < BOUND:
        raise SystemExit("the peer's result is wrong, not timed")
    mine = ours(arguments.build)
    print("| length | pass | PyTorch ms | recorded ms "
          "| ours float32 | ratio | ours bfloat16 | ratio |")
    print("|---|---|---|---|---|---|---|---|")
    for length in LENGTHS:
        with gpu_timing.own_stream():
            times = times_of(length)
        for name, (queued, replayed) in times.items():
            best = min(queued.median, replayed.median)
            here = [mine[kind, length, name] for kind in ("float32", "bfloat16")]
            print(f"| {length} | {name} | {queued} | {replayed} | "
                  + " | ".join(f"{each:.3f} | {best / each:.2f}" for each in here) + " |",
                  flush=True)


if __name__ == "__main__":
    main()
