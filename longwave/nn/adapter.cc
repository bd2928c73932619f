// SPDX-License-Identifier: Apache-2.0
#include "longwave/nn/adapter.h"

namespace longwave::nn {

ParameterTable adapter_parameters(const AdapterShape& shape) {
  ParameterTable table =
      with_prefix("down", linear_parameters(shape.inputs, shape.rank, LinearBias::kAbsent));
  append(table,
         with_prefix("up", linear_parameters(shape.rank, shape.outputs, LinearBias::kAbsent)));
  return table;
}

Adapter::Adapter(const Weights& weights, const AdapterShape& shape)
    : down_(weights.scope("down"), shape.inputs, shape.rank, LinearBias::kAbsent),
      up_(weights.scope("up"), shape.rank, shape.outputs, LinearBias::kAbsent) {}

size_t Adapter::workspace_bytes(int64_t rows) const {
  return Workspace::bytes_for<float>(rows * down_.outputs());
}

void Adapter::add(View<const float, 2> x, View<float, 2> y, Workspace& workspace) const {
  const Workspace::Scope scope(workspace);
  const int64_t rows = x.extent(0), rank = down_.outputs();
  const View<float, 2> inner(workspace.take<float>(rows * rank).data(), {rows, rank});
  down_.apply(x, inner);
  up_.add(inner, y);
}

}  // namespace longwave::nn
