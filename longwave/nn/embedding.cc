// SPDX-License-Identifier: Apache-2.0
#include "longwave/nn/embedding.h"

#include <string>

#include "longwave/base/error.h"
#include "longwave/ops/quant/quant.h"

namespace longwave::nn {

ParameterTable embedding_parameters(int64_t vocabulary, int64_t channels, double deviation) {
  return {{.name = "weight",
           .shape = {vocabulary, channels},
           .group = ParameterGroup::kMain,
           .init = normal_init(0, deviation),
           .storage = Storage::kMatrix}};
}

Embedding::Embedding(const Weights& weights, int64_t vocabulary, int64_t channels)
    : weight_(weights.matrix("weight", {vocabulary, channels})) {}

void Embedding::check(View<const int64_t, 2> tokens) const {
  const int64_t vocabulary = weight_.rows;
  for (int64_t b = 0; b < tokens.extent(0); ++b) {
    for (int64_t t = 0; t < tokens.extent(1); ++t) {
      if (tokens(b, t) >= 0 && tokens(b, t) < vocabulary) continue;
      throw InvalidArgument(
          {.where = "embedding",
           .what = "a token lies outside the vocabulary of " + std::to_string(vocabulary),
           .got = "token " + std::to_string(tokens(b, t)) + " at sequence " + std::to_string(b) +
                  ", step " + std::to_string(t),
           .fix = "use the tokens that the model was trained on"});
    }
  }
}

void Embedding::apply(View<const int64_t, 2> tokens, View<float, 3> y) const {
  const int64_t channels = weight_.columns;
  for (int64_t b = 0; b < tokens.extent(0); ++b) {
    for (int64_t t = 0; t < tokens.extent(1); ++t) {
      const View<float, 2> row(y[b][t].data(), {1, channels});
      ops::dequantize({.W = weight_, .y = row, .row = tokens(b, t)});
    }
  }
}

}  // namespace longwave::nn
