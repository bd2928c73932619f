#!/usr/bin/env python3
"""Times an S4D layer on a GPU as PyTorch users write it: Vandermonde kernel, FFT convolution, skip.

The same sizes as lti_scan_cuda_bench, in float32: there is no FFT of bfloat16. Run both in one go
and compare. pytorch_structured.py has the layer.
"""

import statistics

import torch

torch.set_default_device("cuda")

import pytorch_structured  # noqa: E402  (its tensors are made on the default device)

BATCH, CHANNELS, MODES = 8, 512, 32
REPEATS, WARM_UPS = 20, 3


def milliseconds(work):
    times = []
    for i in range(WARM_UPS + REPEATS):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        work()
        end.record()
        end.synchronize()
        if i >= WARM_UPS:
            times.append(begin.elapsed_time(end))
    return statistics.median(times), min(times), max(times)


def main():
    print(f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}")
    for length in (1024, 4096, 16384):
        parameters = pytorch_structured.make_parameters("s4d", CHANNELS, MODES)
        layer = pytorch_structured.layer({"family": "s4d"}, parameters)
        inputs = [torch.randn(BATCH, CHANNELS, length, requires_grad=True) for _ in range(3)]
        turn = 0

        def forward():
            nonlocal turn
            turn += 1
            with torch.no_grad():
                layer(inputs[turn % len(inputs)])

        y = layer(inputs[0])
        dy = torch.randn_like(y)
        wanted = [inputs[0], *parameters.values()]

        def backward():
            torch.autograd.grad(y, wanted, dy, retain_graph=True)

        for name, work in (("forward", forward), ("backward", backward)):
            median, least, most = milliseconds(work)
            print(f"float32  B{BATCH} D{CHANNELS} L{length:<6d} modes {MODES} {name:8s} "
                  f"{median:8.4f} ({least:.4f} to {most:.4f})")


if __name__ == "__main__":
    main()
