"""What every peer of a layer benchmark does: answer requests, time, compare.

Reads one JSON request a line on standard input and answers each with one JSON line, so that a
caller can interleave it with another program:

  {"family": "s4d", "batch": 8, "channels": 256, "state": 64, "length": 4096, "check": "FOLDER"}

`check` names a folder of raw float32 files (u, y and parameters, as layer_torch_bench writes them):
the output is recomputed from them and the largest difference is reported. Without it, forward and
backward are timed.
"""

import json
import pathlib
import resource
import sys
import time

import torch


def median(values):
    return sorted(values)[len(values) // 2]


def time_layer(layer, u):
    """Median milliseconds of forward and backward after one round of warming up."""
    u.requires_grad_()
    dy = torch.randn_like(u)
    forward, backward = [], []
    for _ in range(4):
        start = time.perf_counter()
        y = layer(u)
        middle = time.perf_counter()
        y.backward(dy)
        forward.append(middle - start)
        backward.append(time.perf_counter() - middle)
        u.grad = None
        del y
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"forward_ms": 1e3 * median(forward[1:]), "backward_ms": 1e3 * median(backward[1:]),
            "peak_mb": peak_kib / 1024}


def difference(layer, u, y):
    """The largest difference between the other program's output and ours, over the largest."""
    with torch.no_grad():
        return {"difference": float((layer(u) - y).abs().max() / y.abs().max())}


def serve(make, load, arrange=lambda u: u):
    """Answers until the input ends.

    `make(request)` gives a layer with parameters of its own, `load(request, read)` one with those
    that `read(name, shape)` finds; `arrange` brings (batch, length, channels) into their layout.
    """
    torch.set_flush_denormal(True)
    for line in sys.stdin:
        request = json.loads(line)
        torch.set_num_threads(request.get("threads", 2))
        shape = [request[k] for k in ("batch", "length", "channels")]
        if "check" in request:
            folder = pathlib.Path(request["check"])

            def read(name, shape):
                return torch.from_file(str(folder / name), size=int(torch.tensor(shape).prod()),
                                       dtype=torch.float32).reshape(shape)
            answer = difference(load(request, read), arrange(read("u", shape)),
                                arrange(read("y", shape)))
        else:
            answer = time_layer(make(request), arrange(torch.randn(shape)))
        print(json.dumps(answer), flush=True)
