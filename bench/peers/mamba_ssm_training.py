#!/usr/bin/env python3
"""Training steps of language models of the package mamba_ssm, for bench/gpu_training.py.

The settings of its published models: float32 weights under autocast to bfloat16, a float32 residual
stream, fused norms, PyTorch's fused AdamW, gradients clipped to norm 1.
"""

import json
import sys
import time

import torch
from mamba_ssm.models.config_mamba import MambaConfig
from mamba_ssm.models.mixer_seq_simple import MambaLMHeadModel

LAYERS = {"mamba": {}, "mamba2": {"layer": "Mamba2"}}


class Training:
    """A model with its optimiser."""

    def __init__(self, request):
        config = MambaConfig(d_model=768, n_layer=24, vocab_size=50288,
                             ssm_cfg=LAYERS[request["family"]], rms_norm=True,
                             residual_in_fp32=True, fused_add_norm=True)
        self.shape = (request["batch"], request["length"] + 1)
        self.model = MambaLMHeadModel(config, device="cuda")
        self.optimiser = torch.optim.AdamW(self.model.parameters(), lr=6e-4, weight_decay=0.1,
                                           fused=True)

    def step(self):
        ids = torch.randint(32, 127, self.shape).to("cuda", non_blocking=True)
        self.optimiser.zero_grad(set_to_none=True)
        with torch.autocast("cuda", dtype=torch.bfloat16):
            logits = self.model(ids[:, :-1]).logits
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        return loss.detach()

    def time(self, steps):
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(steps):
            loss = self.step()
        torch.cuda.synchronize()
        taken = time.perf_counter() - start
        return {"tokens_per_second": steps * self.shape[0] * (self.shape[1] - 1) / taken,
                "loss": loss.item(),
                "parameters": sum(p.numel() for p in self.model.parameters()),
                "peak_bytes": torch.cuda.max_memory_allocated()}


def main():
    training = None
    for line in sys.stdin:
        request = json.loads(line)
        training = training or Training(request)
        print(json.dumps(training.time(request["steps"])), flush=True)


if __name__ == "__main__":
    main()
