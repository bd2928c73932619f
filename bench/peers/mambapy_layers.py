#!/usr/bin/python3
"""Mamba layers of the package `mambapy`: the same architecture in PyTorch with a parallel scan.

Needs Debian's python3-torch and `pip install --no-deps mambapy`, found through PYTHONPATH.
layer_server.py has the requests; "layers" says how many stand one after the other.
"""

import layer_server
import torch
from mambapy.mamba import MambaBlock, MambaConfig


def block(request):
    return MambaBlock(MambaConfig(d_model=request["channels"], n_layers=1,
                                  d_state=request["state"]))


def make(request):
    return torch.nn.Sequential(*(block(request) for _ in range(request.get("layers", 1))))


def load(request, read):
    layer = block(request)
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            parameter.copy_(read(name, tuple(parameter.shape)))
    return layer


if __name__ == "__main__":
    layer_server.serve(make, load)
