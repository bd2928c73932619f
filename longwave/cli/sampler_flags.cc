// SPDX-License-Identifier: Apache-2.0
#include "longwave/cli/sampler_flags.h"

namespace longwave::cli {

std::vector<Flag> sampler_flags() {
  return {{.option = {.key = "temperature",
                      .value = 1.0,
                      .help = "divides the logits; below 1 is more certain, 0 takes the most "
                              "likely token",
                      .least = 0,
                      .most = 100},
           .letter = 't',
           .also = "temp"},
          {.option = {.key = "top_k",
                      .value = int64_t{0},
                      .help = "draw from the most likely tokens only; 0 = all",
                      .least = 0,
                      .most = 1e9}},
          {.option = {.key = "top_p",
                      .value = 1.0,
                      .help = "draw from the fewest tokens whose probabilities reach this sum",
                      .least = 1e-9,
                      .most = 1}},
          {.option = {.key = "min_p",
                      .value = 0.0,
                      .help = "draw from tokens of at least this share of the best probability",
                      .least = 0,
                      .most = 1}},
          {.option = {.key = "repetition_penalty",
                      .value = 1.0,
                      .help = "divides the logits of recent tokens; above 1 avoids repetition",
                      .least = 0.01,
                      .most = 100}},
          {.option = {.key = "repetition_window",
                      .value = int64_t{64},
                      .help = "how many tokens are recent",
                      .least = 0,
                      .most = 1e6}},
          {.option = {.key = "seed",
                      .value = int64_t{0},
                      .help = "of the random numbers: the same seed draws the same tokens",
                      .least = 0}}};
}

runtime::SamplerOptions sampler_of(const Options& options) {
  return {.temperature = options.real("temperature"),
          .top_k = options.integer("top_k"),
          .top_p = options.real("top_p"),
          .min_p = options.real("min_p"),
          .repetition_penalty = options.real("repetition_penalty"),
          .repetition_window = options.integer("repetition_window"),
          .seed = static_cast<uint64_t>(options.integer("seed"))};
}

}  // namespace longwave::cli
