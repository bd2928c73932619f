// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/causal_conv1d/causal_conv1d.h"

#include <concepts>

#include "longwave/ops/causal_conv1d/causal_conv1d_check.h"
#include "longwave/ops/causal_conv1d/causal_conv1d_cpu.h"
#include "longwave/ops/causal_conv1d/causal_conv1d_ref.h"
#include "longwave/ops/rows.h"

namespace longwave::ops {
namespace {

// Sums of gradients: a row for each tap and one for the bias, for each piece of each sequence.
int64_t sum_count(const CausalConv1dShape& shape) {
  return shape.batch * conv_pieces(shape.time, kConvSteps) * (shape.width + 1) * shape.channels;
}

}  // namespace

size_t causal_conv1d_backward_workspace_bytes(const CausalConv1dShape& shape) {
  return Workspace::bytes_for<float>(sum_count(shape));
}

template <typename T>
void causal_conv1d(const CausalConv1dArgs<T>& args) {
  check_conv("causal_conv1d", args);
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
  const CausalConv1dShape shape = check_conv_gradient("causal_conv1d_backward", args);
  if constexpr (std::same_as<T, float>) {
    if (shape.width <= kConvMaxWidth &&
        adjacent(args.x, args.history, args.dy, args.dfinal, args.dx, args.dhistory)) {
      const Workspace::Scope scope(workspace);
      return causal_conv1d_backward_cpu(args, workspace.take<float>(sum_count(shape)));
    }
  }
  causal_conv1d_backward_ref(args);
}

template void causal_conv1d(const CausalConv1dArgs<float>&);
template void causal_conv1d(const CausalConv1dArgs<double>&);
template void causal_conv1d_backward(const CausalConv1dGradArgs<float>&, Workspace&);
template void causal_conv1d_backward(const CausalConv1dGradArgs<double>&, Workspace&);

}  // namespace longwave::ops
