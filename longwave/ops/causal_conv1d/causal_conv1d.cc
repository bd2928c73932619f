// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/causal_conv1d/causal_conv1d.h"

#include <concepts>

#include "longwave/base/error.h"
#include "longwave/ops/causal_conv1d/causal_conv1d_cpu.h"
#include "longwave/ops/causal_conv1d/causal_conv1d_ref.h"
#include "longwave/ops/require_shape.h"
#include "longwave/ops/rows.h"

namespace longwave::ops {
namespace {

// Sums of gradients: a row for each tap and one for the bias, for each piece of each sequence.
int64_t sum_count(const CausalConv1dShape& shape) {
  return shape.batch * conv_pieces(shape.time, kConvSteps) * (shape.width + 1) * shape.channels;
}

template <typename Args>
CausalConv1dShape checked_shape(const char* where, const Args& args) {
  const CausalConv1dShape shape{args.x.extent(0), args.x.extent(1), args.x.extent(2),
                                args.w.extent(1)};
  require(shape.width >= 1, where, "w must be (channels, width) with width at least 1");
  require_shape(where, "w", args.w, {shape.channels, shape.width});
  if (!args.b.absent()) require_shape(where, "b", args.b, {shape.channels});
  if (!args.history.absent()) {
    require_shape(where, "history", args.history, {shape.batch, shape.width - 1, shape.channels});
  }
  if (!args.starts.absent()) require_shape(where, "starts", args.starts, {shape.batch, shape.time});
  return shape;
}

template <typename T>
void check(const CausalConv1dArgs<T>& args) {
  const char* where = "causal_conv1d";
  const CausalConv1dShape shape = checked_shape(where, args);
  require_shape(where, "y", args.y, args.x.extents());
  if (args.final_history.absent()) return;
  require_shape(where, "final_history", args.final_history,
                {shape.batch, shape.width - 1, shape.channels});
}

template <typename T>
void check(const CausalConv1dGradArgs<T>& args) {
  const char* where = "causal_conv1d_backward";
  const CausalConv1dShape shape = checked_shape(where, args);
  const std::array<int64_t, 3> history{shape.batch, shape.width - 1, shape.channels};
  require_shape(where, "dy", args.dy, args.x.extents());
  require_shape(where, "dx", args.dx, args.x.extents());
  require_shape(where, "dw", args.dw, args.w.extents());
  if (!args.db.absent()) require_shape(where, "db", args.db, {shape.channels});
  if (!args.dfinal.absent()) require_shape(where, "dfinal", args.dfinal, history);
  if (!args.dhistory.absent()) require_shape(where, "dhistory", args.dhistory, history);
}

}  // namespace

size_t causal_conv1d_backward_workspace_bytes(const CausalConv1dShape& shape) {
  return Workspace::bytes_for<float>(sum_count(shape));
}

template <typename T>
void causal_conv1d(const CausalConv1dArgs<T>& args) {
  check(args);
  if constexpr (std::same_as<T, float>) {
    if (args.w.extent(1) <= kConvMaxWidth && adjacent(args.x, args.history, args.y)) {
      causal_conv1d_cpu(args);
      return write_final_history(args);
    }
  }
  causal_conv1d_ref(args);
}

template <typename T>
void causal_conv1d_backward(const CausalConv1dGradArgs<T>& args, Workspace& workspace) {
  check(args);
  if constexpr (std::same_as<T, float>) {
    if (args.w.extent(1) <= kConvMaxWidth &&
        adjacent(args.x, args.history, args.dy, args.dfinal, args.dx, args.dhistory)) {
      const Workspace::Scope scope(workspace);
      const int64_t count =
          sum_count({args.x.extent(0), args.x.extent(1), args.x.extent(2), args.w.extent(1)});
      return causal_conv1d_backward_cpu(args, workspace.take<float>(count));
    }
  }
  causal_conv1d_backward_ref(args);
}

template void causal_conv1d(const CausalConv1dArgs<float>&);
template void causal_conv1d(const CausalConv1dArgs<double>&);
template void causal_conv1d_backward(const CausalConv1dGradArgs<float>&, Workspace&);
template void causal_conv1d_backward(const CausalConv1dGradArgs<double>&, Workspace&);

}  // namespace longwave::ops
