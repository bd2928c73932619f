// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

#include "longwave/base/view.h"

namespace longwave::nn {

/// How the steps of a sequence become one row.
enum class PoolingKind : uint8_t {
  kMean,  ///< the mean over the steps so far
  kLast,  ///< the latest step
};

/// "mean" or "last"; the text must be one of them.
PoolingKind pooling_kind(std::string_view text);

/// Pooling as a recurrence, so that it streams like any other layer.
///
/// The state of kMean is a compensated running sum of each channel and of the constant 1 (the
/// count), two floats each: 2 (channels + 1). That of kLast is the latest step: channels.
///
/// Numerics   the pair carries about 48 bits, so that neither sum nor count saturates in 10^8
/// steps;
///            steps are added in order: every split of a sequence gives the same bits.
/// Threads    const use is safe from many threads with distinct states.
class Pooling {
 public:
  Pooling(PoolingKind kind, int64_t channels) : kind_(kind), channels_(channels) {}

  int64_t state_size() const;

  /// Takes in x (batch, time, channels); state (batch, state_size). Never allocates.
  void add(View<const float, 3> x, View<float, 2> state) const;

  /// The pooled row of what came so far, y (batch, channels); zero before the first step.
  void pooled(View<const float, 2> state, View<float, 2> y) const;

 private:
  PoolingKind kind_;
  int64_t channels_;
};

}  // namespace longwave::nn
