// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "longwave/base/parameter.h"
#include "longwave/base/view.h"

namespace longwave::nn {

/// How activations are brought to a common size.
enum class NormKind : uint8_t {
  kLayer,  ///< each step by its own mean and deviation
  kRms,    ///< each step by its own root mean square
  kBatch,  ///< each channel by statistics over batch and time; running ones outside training
};

/// "layer", "rms" or "batch"; the text must be one of them.
NormKind norm_kind(std::string_view text);

/// Added to variances before the root unless a model says otherwise.
inline constexpr float kNormEpsilon = 1e-5f;

/// weight (channels) ones and, except for kRms, bias (channels) zeros; for kBatch also the buffers
/// running_mean and running_var.
ParameterTable norm_parameters(NormKind kind, int64_t channels);

/// Normalisation of rows as the runtime does it.
///
/// kBatch is y = x scale + shift with scale = weight / sqrt(running_var + epsilon) and
/// shift = bias - running_mean scale.
///
/// Looks at the weights that it was made from: they must outlive it and must not be replaced.
///
/// Errors     DataError if a tensor is missing or misshapen.
/// Threads    const use is safe from many threads.
class Norm {
 public:
  Norm(const Weights& weights, NormKind kind, int64_t channels, float epsilon = kNormEpsilon);

  /// x (rows, channels) to y (rows, channels), which may be x. Never allocates.
  void apply(View<const float, 2> x, View<float, 2> y) const;

 private:
  NormKind kind_;
  float epsilon_;
  View<const float, 1> weight_;
  View<const float, 1> bias_;
  std::vector<float> scale_;
  std::vector<float> shift_;
};

}  // namespace longwave::nn
