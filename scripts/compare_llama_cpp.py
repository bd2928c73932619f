#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares the logits of GGUF files that `longwave convert` writes in llama.cpp and in Longwave.

For every family that llama.cpp knows, tiny models of random weights go from transformers through
`longwave convert` to a GGUF file in float32. Longwave and llama.cpp read it, and a table says how
far their logits are from each other and from those of transformers, as a share of the largest
logit.

Exit status 1 if a share is above the limit.

needs: pip install torch transformers safetensors llama-cpp-python. A build of llama.cpp other than
       the one inside that package is taken from the folder LLAMA_CPP_LIB_PATH.
usage: compare_llama_cpp.py build/release/longwave [--family NAME ...] [--keep FOLDER]
"""

import argparse
import contextlib
import ctypes
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy
import torch
import transformers

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/fixtures"))
import make_published  # noqa: E402

VOCABULARY, TIME = 64, 24
LIMIT = 1e-4


def mamba(kind: str, **options) -> transformers.PreTrainedModel:
    config = getattr(transformers, kind + "Config")(
        vocab_size=VOCABULARY, hidden_size=64, num_hidden_layers=3, state_size=16, **options)
    return getattr(transformers, kind + "ForCausalLM")(config)


def mamba2(**options) -> transformers.PreTrainedModel:
    return mamba("Mamba2", expand=2, num_heads=4, head_dim=32, chunk_size=8, **options)


def jamba() -> transformers.PreTrainedModel:
    return transformers.JambaForCausalLM(transformers.JambaConfig(
        vocab_size=VOCABULARY, hidden_size=64, intermediate_size=96, num_hidden_layers=4,
        num_attention_heads=4, num_key_value_heads=2, attn_layer_period=4, attn_layer_offset=2,
        expert_layer_period=2, expert_layer_offset=1, num_experts=4, num_experts_per_tok=2,
        mamba_d_state=16, mamba_dt_rank=4, use_mamba_kernels=False))


def falcon_h1(**options) -> transformers.PreTrainedModel:
    return transformers.FalconH1ForCausalLM(transformers.FalconH1Config(
        vocab_size=VOCABULARY, hidden_size=64, intermediate_size=96, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, head_dim=32, mamba_d_ssm=96, mamba_n_heads=6,
        mamba_d_head=16, mamba_n_groups=2, mamba_d_state=16, embedding_multiplier=5.6,
        lm_head_multiplier=0.3, attention_in_multiplier=1.2, attention_out_multiplier=0.9,
        key_multiplier=0.4, ssm_in_multiplier=1.25, ssm_out_multiplier=0.6,
        ssm_multipliers=[0.35, 0.25, 0.7, 1.5, 1.1], mlp_multipliers=[0.9, 0.6], **options))


def granite(**options) -> transformers.PreTrainedModel:
    return transformers.GraniteMoeHybridForCausalLM(transformers.GraniteMoeHybridConfig(
        vocab_size=VOCABULARY, hidden_size=64, intermediate_size=48, shared_intermediate_size=48,
        num_hidden_layers=3, layer_types=["mamba", "attention", "mamba"], num_attention_heads=4,
        num_key_value_heads=2, mamba_n_heads=4, mamba_d_head=32, mamba_n_groups=1, mamba_d_state=16,
        embedding_multiplier=3, residual_multiplier=0.7, logits_scaling=8,
        attention_multiplier=0.9, **options))


def bamba(**options) -> transformers.PreTrainedModel:
    return transformers.BambaForCausalLM(transformers.BambaConfig(
        vocab_size=VOCABULARY, hidden_size=64, intermediate_size=96, num_hidden_layers=3,
        attn_layer_indices=[1], num_attention_heads=4, num_key_value_heads=2, mamba_n_heads=4,
        mamba_d_head=32, mamba_n_groups=2, mamba_d_state=16, **options))


def nemotron(layers: list[str], **options) -> transformers.PreTrainedModel:
    return transformers.NemotronHForCausalLM(transformers.NemotronHConfig(
        vocab_size=VOCABULARY, hidden_size=64, intermediate_size=96, layers_block_type=layers,
        num_attention_heads=4, num_key_value_heads=2, head_dim=24, mamba_num_heads=6,
        mamba_head_dim=16, n_groups=2, ssm_state_size=16, chunk_size=8, moe_intermediate_size=32,
        moe_shared_expert_intermediate_size=48, n_routed_experts=4, num_experts_per_tok=2,
        use_conv_bias=True, time_step_min=1e-6, **options))


FAMILIES = {
    "mamba": lambda: mamba("Mamba"),
    "falcon_mamba": lambda: mamba("FalconMamba"),
    "mamba2": lambda: mamba2(n_groups=1),
    "jamba": jamba,
    "falcon_h1": falcon_h1,
    "falcon_h1, normed": lambda: falcon_h1(mamba_rms_norm=True, mamba_norm_before_gate=False),
    "granitemoehybrid": lambda: granite(num_local_experts=4, num_experts_per_tok=2,
                                        position_embedding_type="nope"),
    "granitemoehybrid, rotary": lambda: granite(num_local_experts=4, num_experts_per_tok=2,
                                                position_embedding_type="rope"),
    "granitemoehybrid, dense": lambda: granite(num_local_experts=0, num_experts_per_tok=0,
                                               position_embedding_type="nope"),
    "bamba": bamba,
    "nemotron_h": lambda: nemotron(["mamba", "mlp", "attention", "mamba", "mlp"]),
    "nemotron_h, experts": lambda: nemotron(["mamba", "moe", "attention", "mamba", "moe"]),
}


def of_transformers(model: transformers.PreTrainedModel, ids: list[int]) -> numpy.ndarray:
    with torch.no_grad():
        return model(input_ids=torch.tensor([ids])).logits[0].float().numpy()


def output(*command) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(" ".join(map(str, command)) + "\n" + done.stderr)
    return done.stdout


def of_longwave(longwave: str, path: pathlib.Path, ids: list[int]) -> numpy.ndarray:
    answer = output(longwave, "logits", path, "--ids", ",".join(map(str, ids)), "--format", "json")
    return numpy.array(json.loads(answer)["logits"], dtype=numpy.float32)


def of_llama_cpp(path: pathlib.Path, ids: list[int]) -> numpy.ndarray:
    import llama_cpp

    settings = llama_cpp.llama_model_default_params()
    settings.n_gpu_layers = 0
    model = llama_cpp.llama_model_load_from_file(str(path).encode(), settings)
    if not model:
        raise RuntimeError("llama.cpp refuses " + str(path))
    options = llama_cpp.llama_context_default_params()
    options.n_ctx, options.n_threads, options.n_threads_batch = 256, 1, 1
    options.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED  # it would take float16
    options.type_k = options.type_v = llama_cpp.GGML_TYPE_F32
    context = llama_cpp.llama_init_from_model(model, options)
    size = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
    batch = llama_cpp.llama_batch_init(len(ids), 0, 1)
    batch.n_tokens = len(ids)
    for position, token in enumerate(ids):
        batch.token[position], batch.pos[position] = token, position
        batch.n_seq_id[position], batch.seq_id[position][0] = 1, 0
        batch.logits[position] = True
    if llama_cpp.llama_decode(context, batch) != 0:
        raise RuntimeError("llama.cpp does not run " + str(path))
    rows = [numpy.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(context, i), (size,)).copy()
            for i in range(len(ids))]
    llama_cpp.llama_batch_free(batch)
    llama_cpp.llama_free(context)
    llama_cpp.llama_model_free(model)
    return numpy.stack(rows)


def share(got: numpy.ndarray, expected: numpy.ndarray) -> float:
    """The largest difference as a share of the largest logit."""
    return float(numpy.abs(got - expected).max() / numpy.abs(expected).max())


@contextlib.contextmanager
def silent_llama_cpp():
    import llama_cpp

    @llama_cpp.llama_log_callback
    def nothing(level, text, data):
        if level >= 4:
            sys.stderr.write(text.decode(errors="replace"))

    llama_cpp.llama_log_set(nothing, ctypes.c_void_p(0))
    llama_cpp.llama_backend_init()
    yield
    llama_cpp.llama_backend_free()


def compare(name: str, options: argparse.Namespace, folder: pathlib.Path) -> list[float]:
    torch.manual_seed(1)
    model = make_published.moved(FAMILIES[name](), 1)
    place = folder / name.replace(", ", "_")
    model.save_pretrained(place)
    ids = [(17 * i * i + 5 * i + 3) % VOCABULARY for i in range(TIME)]
    path = place / "ours.gguf"
    path.unlink(missing_ok=True)
    output(options.longwave, "convert", place, path, "--to", "gguf")
    expected = of_transformers(model, ids)
    ours, theirs = of_longwave(options.longwave, path, ids), of_llama_cpp(path, ids)
    return [share(ours, theirs), share(ours, expected), share(theirs, expected)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("longwave")
    parser.add_argument("--family", action="append", choices=list(FAMILIES))
    parser.add_argument("--keep", type=pathlib.Path, help="where to leave the models")
    options = parser.parse_args()
    heads = ["family", "longwave : llama.cpp", "longwave : transformers",
             "llama.cpp : transformers"]
    print("| " + " | ".join(heads) + " |")
    print("|---" * len(heads) + "|")
    worst = 0.0
    with tempfile.TemporaryDirectory() as scratch, silent_llama_cpp():
        for name in options.family or FAMILIES:
            shares = compare(name, options, options.keep or pathlib.Path(scratch))
            worst = max(worst, *shares[:2])
            print("| " + " | ".join([name] + [f"{value:.1e}" for value in shares]) + " |",
                  flush=True)
    return int(not worst <= LIMIT)


if __name__ == "__main__":
    sys.exit(main())
