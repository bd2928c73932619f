#!/usr/bin/env python3
"""Times the kernels of mamba_ssm on a GPU beside ours, at the same shapes in the same run.

The peer's passes are timed as PyTorch queues them and once more from a CUDA graph, where the host's
launches cost nothing; the ratio is to the faster of the two. Needs PyTorch for CUDA and mamba_ssm
with its selective_scan_cuda; causal_conv1d if that operator is asked for. Our benchmarks check
their kernels first; the largest difference of the peer's forward pass from a recurrence is printed
too.

usage: mamba_ssm_gpu.py [BUILD] [--operators selective_scan ssd causal_conv1d] [--shapes N]
                                         BUILD with our benchmarks: build/cuda if not given
"""

import argparse
import re

import gpu_timing
import torch
from mamba_ssm.ops.selective_scan_interface import selective_scan_fn
from mamba_ssm.ops.triton.ssd_combined import mamba_chunk_scan_combined

# (batch, channels, length, state), (batch, length, heads, head_dim, groups, state) and
# (batch, channels, length, width)
SELECTIVE = [
    (torch.bfloat16, (8, 4096, 2048, 16)),
    (torch.bfloat16, (8, 1536, 2048, 16)),
    (torch.bfloat16, (1, 4096, 65536, 16)),
    (torch.float32, (8, 4096, 2048, 16)),
]
SSD = [
    (torch.bfloat16, (8, 2048, 80, 64, 1, 128)),
    (torch.bfloat16, (8, 2048, 24, 64, 1, 128)),
    (torch.bfloat16, (1, 65536, 80, 64, 1, 128)),
    (torch.bfloat16, (8, 2048, 80, 64, 8, 64)),
    (torch.bfloat16, (4, 4096, 128, 64, 8, 128)),
]
CONV = [
    (torch.bfloat16, (8, 4096, 2048, 4)),
    (torch.bfloat16, (8, 1536, 2048, 4)),
    (torch.float32, (8, 4096, 2048, 4)),
]


def selective_operands(dtype, size):
    batch, channels, length, state = size
    options = {"device": "cuda", "dtype": dtype, "requires_grad": True}
    signals = [torch.randn(batch, channels, length, **options) for _ in range(3)]
    rows = [torch.randn(batch, 1, state, length, **options) for _ in range(2)]
    A = (-4.7 * torch.rand(channels, state, device="cuda") - 0.3).requires_grad_()
    D = torch.randn(channels, device="cuda", requires_grad=True)
    bias = (-3 * torch.rand(channels, device="cuda") - 2).requires_grad_()
    return [signals[0], signals[1], A, *rows, D, signals[2], bias]


def selective(operands):
    return selective_scan_fn(*operands, delta_softplus=True)


def selective_error(size):
    """The largest difference from a recurrence in float64, as a share of the largest number."""
    u, dt, A, B, C, D, z, bias = (x.detach() for x in selective_operands(torch.float32, size))
    got = selective([u, dt, A, B, C, D, z, bias]).double()
    u, dt, A, B, C, D, z, bias = (x.double() for x in (u, dt, A, B, C, D, z, bias))
    dt = torch.nn.functional.softplus(dt + bias[:, None])
    h = torch.zeros(*u.shape[:2], A.shape[1], device="cuda", dtype=torch.float64)
    y = torch.empty_like(u)
    for t in range(u.shape[2]):
        h = torch.exp(dt[:, :, t, None] * A) * h + (dt * u)[:, :, t, None] * B[:, :, :, t]
        y[:, :, t] = (h * C[:, :, :, t]).sum(-1)
    y = (y + D[:, None] * u) * torch.nn.functional.silu(z)
    return ((got - y).abs().max() / y.abs().max()).item()


def ssd_operands(dtype, size):
    batch, length, heads, head_dim, groups, state = size
    options = {"device": "cuda", "dtype": dtype, "requires_grad": True}
    x = torch.randn(batch, length, heads, head_dim, **options)
    dt = torch.randn(batch, length, heads, **options)
    B, C = (torch.randn(batch, length, groups, state, **options) for _ in range(2))
    A = (-3.9 * torch.rand(heads, device="cuda") - 0.1).requires_grad_()
    D = torch.randn(heads, device="cuda", requires_grad=True)
    bias = (-3 * torch.rand(heads, device="cuda") - 2).requires_grad_()
    return [x, dt, A, B, C, D, bias]


def ssd(operands):
    x, dt, A, B, C, D, bias = operands
    return mamba_chunk_scan_combined(x, dt, A, B, C, 256, D=D, dt_bias=bias, dt_softplus=True)


def conv_operands(dtype, size):
    batch, channels, length, width = size
    options = {"device": "cuda", "requires_grad": True}
    return [torch.randn(batch, channels, length, dtype=dtype, **options),
            torch.randn(channels, width, **options), torch.randn(channels, **options)]


def conv(operands):
    from causal_conv1d import causal_conv1d_fn  # only where it is asked for
    return causal_conv1d_fn(*operands, activation="silu")


def conv_error(size):
    """The same of the convolution, from PyTorch's in float64."""
    operands = [x.detach() for x in conv_operands(torch.float32, size)]
    x, w, b = (each.double() for each in operands)
    x = torch.nn.functional.pad(x, (w.shape[1] - 1, 0))
    y = torch.nn.functional.silu(
        torch.nn.functional.conv1d(x, w[:, None], b, groups=w.shape[0]))
    return ((conv(operands).double() - y).abs().max() / y.abs().max()).item()


def times_of(operation, operands_of, dtype, size):
    """Of the forward and of the backward pass: milliseconds as queued, and as recorded."""
    operands = [operands_of(dtype, size) for _ in range(gpu_timing.SETS)]

    def forward(i):
        with torch.no_grad():
            operation(operands[i])

    outputs = [operation(each) for each in operands]
    gradients = [torch.randn_like(y) for y in outputs]

    def backward(i):
        torch.autograd.grad(outputs[i], operands[i], gradients[i], retain_graph=True)

    return [gpu_timing.queued_and_recorded(work) for work in (forward, backward)]


def ours(build, operators):
    """Median milliseconds by (operator, pass, type, sizes), as our benchmarks print them."""
    found = {}
    sizes = r"((?: *[BDLHPGNW]\d+ *)+)"
    for program, operator, direction in (
        ("selective_scan_cuda_bench", "selective_scan", "forward"),
        ("selective_scan_gradient_cuda_bench", "selective_scan", "backward"),
        ("ssd_cuda_bench", "ssd", None),
        ("causal_conv1d_cuda_bench", "causal_conv1d", None),
    ):
        if operator not in operators:
            continue
        # The pass stands before the type or behind the sizes.
        pattern = (rf"(?:(forward|gradient)(?:/wg)? +)?(\w+) +{sizes}(forward|backward)?"
                   r".*?(\d+\.\d+) \(")
        for match in gpu_timing.rows(build, program, pattern):
            name = direction or (match[1] or match[4]).replace("gradient", "backward")
            numbers = tuple(int(n) for n in re.findall(r"\d+", match[3]))
            found.setdefault((operator, name, match[2], numbers), float(match[5]))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", nargs="?", default="build/cuda")
    parser.add_argument("--operators", nargs="+", default=["selective_scan", "ssd"],
                        choices=["selective_scan", "ssd", "causal_conv1d"])
    parser.add_argument("--shapes", type=int, help="the first so many of each operator; else all")
    arguments = parser.parse_args()
    print(f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}")
    if "selective_scan" in arguments.operators:
        print(f"selective_scan_fn, float32, error: {selective_error((2, 64, 300, 16)):.1e}")
    if "causal_conv1d" in arguments.operators:
        print(f"causal_conv1d_fn, float32, error: {conv_error((2, 64, 300, 4)):.1e}")
    mine = ours(arguments.build, arguments.operators)
    print("| operator | type | shape | pass | mamba_ssm ms | recorded ms | ours ms | ratio |")
    print("|---|---|---|---|---|---|---|---|")
    for operator, operation, operands_of, letters, shapes in (
        ("selective_scan", selective, selective_operands, "BDLN", SELECTIVE),
        ("ssd", ssd, ssd_operands, "BLHPGN", SSD),
        ("causal_conv1d", conv, conv_operands, "BDLW", CONV),
    ):
        for dtype, size in shapes[:arguments.shapes] if operator in arguments.operators else ():
            kind = str(dtype).removeprefix("torch.")
            shape = " ".join(f"{letter}{n}" for letter, n in zip(letters, size))
            with gpu_timing.own_stream():
                times = times_of(operation, operands_of, dtype, size)
            for name, (queued, replayed) in zip(("forward", "backward"), times):
                here = mine.get((operator, name, kind, size))
                best = min(queued.median, replayed.median)
                mine_text = f"{here:.3f} | {best / here:.2f}" if here else "| "
                print(f"| {operator} | {kind} | {shape} | {name} | {queued} | {replayed} "
                      f"| {mine_text} |", flush=True)


if __name__ == "__main__":
    main()
