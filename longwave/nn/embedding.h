// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "longwave/base/matrix.h"
#include "longwave/base/parameter.h"
#include "longwave/base/view.h"

namespace longwave::nn {

/// weight (vocabulary, channels), normal around 0.
ParameterTable embedding_parameters(int64_t vocabulary, int64_t channels, double deviation);

/// A row of numbers for each token: y[b, t] = weight[token[b, t]]. The weight may be of any type
/// for weights.
///
/// Looks at the weights that it was made from: they must outlive it and must not be replaced.
///
/// Errors     DataError if the tensor is missing or misshapen.
/// Threads    const use is safe from many threads.
class Embedding {
 public:
  Embedding(const Weights& weights, int64_t vocabulary, int64_t channels);

  /// Throws InvalidArgument naming the first token outside the vocabulary.
  void check(View<const int64_t, 2> tokens) const;

  /// tokens (batch, time), checked before, to y (batch, time, channels).
  void apply(View<const int64_t, 2> tokens, View<float, 3> y) const;

 private:
  Matrix weight_;
};

}  // namespace longwave::nn
