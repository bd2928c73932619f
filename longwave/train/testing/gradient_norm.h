// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <vector>

#include "longwave/train/adamw.h"

namespace longwave::testing {

/// The Euclidean norm of all gradients together, in double precision.
inline double gradient_norm(const std::vector<train::Group>& groups) {
  double sum = 0;
  for (const torch::Tensor& of : train::gradient_norms(groups)) {
    const auto norm = of.item<double>();
    sum += norm * norm;
  }
  return std::sqrt(sum);
}

}  // namespace longwave::testing
