// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "longwave/base/options.h"

namespace longwave::train {

/// How the learning rate moves over a run, as a share of its peak.
///
///   step <  W                 (step + 1) / W                              W = round(warmup steps)
///   step >= W, cosine         end + (1 - end) (1 + cos(pi p)) / 2         p = (step - W) / (steps
///   - W) step >= W, constant       1
struct Schedule {
  enum class Shape : uint8_t { kCosine, kConstant };
  Shape shape = Shape::kCosine;
  int64_t steps = 1;  ///< optimiser steps of the whole run
  double warmup = 0;  ///< share of the steps, in [0, 1]
  double end = 0;     ///< share of the peak at the last step of the cosine

  /// The share at `step`, counted from 0; steps past the end keep the last share.
  double factor(int64_t step) const;
};

/// The schedule that a "train" section asks for.
Schedule schedule_of(const Options& train, int64_t steps);

}  // namespace longwave::train
