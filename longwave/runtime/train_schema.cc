// SPDX-License-Identifier: Apache-2.0
#include "longwave/runtime/recipe.h"

namespace longwave::runtime {
namespace {

constexpr double kMany = 1e12;

Schema duration() {
  return {
      {.key = "init_from",
       .value = std::string(),
       .help = "model or run whose weights training starts from, also a published Mamba; its model "
               "replaces the recipe's but for dropout"},
      {.key = "epochs",
       .value = 10.0,
       .help = "passes over the training set; may be a fraction",
       .least = 0,
       .most = kMany},
      {.key = "steps",
       .value = int64_t{0},
       .help = "optimiser steps; 0 = as many as `epochs` makes",
       .least = 0,
       .most = kMany},
      {.key = "batch",
       .value = int64_t{32},
       .help = "sequences in one forward pass",
       .least = 1,
       .most = kMany},
      {.key = "accumulate",
       .value = int64_t{1},
       .help = "forward passes whose gradients are averaged for one optimiser step",
       .least = 1,
       .most = kMany},
  };
}

Schema optimiser() {
  return {
      {.key = "lr",
       .value = 0.004,
       .help = "peak learning rate of ordinary weights",
       .least = 0,
       .most = kMany},
      {.key = "ssm_lr",
       .value = 0.001,
       .help = "peak learning rate of state space parameters (A, B, dt); too high diverges",
       .least = 0,
       .most = kMany},
      {.key = "weight_decay",
       .value = 0.01,
       .help = "decoupled decay of ordinary weights; never applied to state space parameters, "
               "norms and biases",
       .least = 0,
       .most = kMany},
      {.key = "beta1",
       .value = 0.9,
       .help = "decay of AdamW's mean of gradients",
       .least = 0,
       .most = 0.999999},
      {.key = "beta2",
       .value = 0.999,
       .help = "decay of AdamW's mean of squared gradients",
       .least = 0,
       .most = 0.9999999},
      {.key = "epsilon",
       .value = 1e-8,
       .help = "added to AdamW's denominator",
       .least = 0,
       .most = 1},
      {.key = "schedule",
       .value = std::string("cosine"),
       .help = "learning rate after the warm-up: cosine falls to lr_end, constant stays",
       .choices = {"cosine", "constant"}},
      {.key = "warmup",
       .value = 0.05,
       .help = "share of the steps in which the learning rate rises linearly",
       .least = 0,
       .most = 1},
      {.key = "lr_end",
       .value = 0.0,
       .help = "last learning rate of the cosine as a share of the peak",
       .least = 0,
       .most = 1},
      {.key = "clip",
       .value = 1.0,
       .help = "largest norm of the gradient; 0 = no clipping",
       .least = 0,
       .most = kMany},
  };
}

Schema watching() {
  return {
      {.key = "log_every",
       .value = int64_t{10},
       .help = "steps between lines in metrics.jsonl",
       .least = 1,
       .most = kMany},
      {.key = "log_seconds",
       .value = 10.0,
       .help = "seconds between progress lines where the output is no terminal",
       .least = 0,
       .most = kMany},
      {.key = "eval_every",
       .value = int64_t{0},
       .help = "steps between evaluations on the validation split; 0 = once an epoch",
       .least = 0,
       .most = kMany},
      {.key = "eval_examples",
       .value = int64_t{0},
       .help = "validation sequences looked at each time; 0 = all",
       .least = 0,
       .most = kMany},
      {.key = "test_at_end",
       .value = true,
       .help = "whether the best checkpoint is evaluated on the test split at the end"},
      {.key = "checkpoint_every",
       .value = int64_t{0},
       .help = "steps between checkpoints; 0 = with each evaluation",
       .least = 0,
       .most = kMany},
      {.key = "keep_last",
       .value = int64_t{2},
       .help = "newest checkpoints kept, beside the best",
       .least = 1,
       .most = kMany},
      {.key = "keep_best",
       .value = int64_t{1},
       .help = "checkpoints kept for their value of the deciding metric on the validation split",
       .least = 1,
       .most = kMany},
      {.key = "keep_every",
       .value = int64_t{0},
       .help = "checkpoints at multiples of this step are kept for ever; 0 = none",
       .least = 0,
       .most = kMany},
  };
}

Schema samples() {
  return {
      {.key = "prompts",
       .value = std::string("The "),
       .help = "texts that a language model goes on with at each evaluation, in samples/; a bar "
               "(|) stands between two"},
      {.key = "sample_tokens",
       .value = int64_t{64},
       .help = "tokens drawn after each prompt; 0 = no samples",
       .least = 0,
       .most = kMany},
  };
}

Schema bad_numbers() {
  return {
      {.key = "on_divergence",
       .value = std::string("stop"),
       .help = "what a loss or gradient that is not finite does: stop ends the run, skip drops the "
               "update of that batch, rollback goes back to the newest checkpoint and on with the "
               "data after that batch",
       .choices = {"stop", "skip", "rollback"}},
      {.key = "max_skips",
       .value = int64_t{10},
       .help = "batches in a row that skip may drop, or returns to one checkpoint, before the run "
               "stops",
       .least = 1,
       .most = kMany},
  };
}

Schema machine() {
  return {
      {.key = "device",
       .value = std::string("cpu"),
       .help = "where training runs; cuda, or gpu = the first NVIDIA GPU, in a build for it",
       .choices = {"cpu", "cuda", "gpu"}},
      {.key = "precision",
       .value = std::string("float32"),
       .help = "of products of matrices and the signals between layers; bfloat16 and tf32 (float32 "
               "with 11 bits in products alone) run on a GPU's tensor cores; weights, their "
               "moments, residual sums, norms, states and losses are float32 in any case",
       .choices = {"float32", "tf32", "bfloat16"}},
      {.key = "graphs",
       .value = std::string("auto"),
       .help =
           "auto: a GPU repeats the passes of a step by itself, as a CUDA graph, once batches of "
           "the same shapes came three times in a row and where nothing in a step waits for the "
           "host; the same bits, in more memory where shapes change. off: the host queues each "
           "operation",
       .choices = {"auto", "off"}},
      {.key = "threads",
       .value = int64_t{0},
       .help = "CPU threads; 0 = one a core",
       .least = 0,
       .most = 4096},
  };
}

}  // namespace

Schema train_schema() {
  Schema schema;
  for (Schema part : {duration(), optimiser(), watching(), samples(), bad_numbers(), machine()}) {
    schema.insert(schema.end(), part.begin(), part.end());
  }
  return schema;
}

}  // namespace longwave::runtime
