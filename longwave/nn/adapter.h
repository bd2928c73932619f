// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "longwave/base/parameter.h"
#include "longwave/base/view.h"
#include "longwave/base/workspace.h"
#include "longwave/nn/linear.h"

namespace longwave::nn {

/// Extents of a low-rank map.
struct AdapterShape {
  int64_t rank = 1;
  int64_t inputs = 1;
  int64_t outputs = 1;
};

/// down.weight (rank, inputs) and up.weight (outputs, rank).
ParameterTable adapter_parameters(const AdapterShape& shape);

/// A low-rank addition to a linear map that several layers share: y += up down x.
///
/// Looks at the weights that it was made from: they must outlive it and must not be replaced.
///
/// Source     Hu et al. 2021, arXiv:2106.09685; Glorioso et al. 2024, arXiv:2411.15242 (Zamba2).
/// Errors     DataError if a tensor is missing or misshapen.
/// Threads    const use is safe from many threads with distinct workspaces.
class Adapter {
 public:
  Adapter(const Weights& weights, const AdapterShape& shape);

  size_t workspace_bytes(int64_t rows) const;

  /// x (rows, inputs), y (rows, outputs) in and out. Never allocates for few rows.
  void add(View<const float, 2> x, View<float, 2> y, Workspace& workspace) const;

 private:
  Linear down_, up_;
};

}  // namespace longwave::nn
