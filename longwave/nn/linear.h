// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "longwave/base/matrix.h"
#include "longwave/base/parameter.h"
#include "longwave/base/view.h"

namespace longwave::nn {

/// Whether a linear map adds a bias.
enum class LinearBias : uint8_t { kPresent, kAbsent };

/// weight (outputs, inputs) and bias (outputs), both uniform on +-1 / sqrt(inputs).
ParameterTable linear_parameters(int64_t inputs, int64_t outputs,
                                 LinearBias bias = LinearBias::kPresent);

/// An affine map of each row: y = x weight^T + bias. The weight may be of any type for weights.
///
/// Looks at the weights that it was made from: they must outlive it and must not be replaced.
///
/// Errors     DataError if a tensor is missing or misshapen.
/// Threads    const use is safe from many threads.
class Linear {
 public:
  Linear(const Weights& weights, int64_t inputs, int64_t outputs,
         LinearBias bias = LinearBias::kPresent);

  /// A map without bias by a matrix (outputs, inputs) that belongs to somebody else.
  explicit Linear(Matrix weight) : weight_(weight) {}

  int64_t outputs() const { return weight_.rows; }

  /// x (rows, inputs) to y (rows, outputs), which must not overlap. Never allocates for few rows.
  void apply(View<const float, 2> x, View<float, 2> y) const;

  /// As `apply`, added to what y holds.
  void add(View<const float, 2> x, View<float, 2> y) const;

 private:
  Matrix weight_;
  View<const float, 1> bias_;
};

}  // namespace longwave::nn
