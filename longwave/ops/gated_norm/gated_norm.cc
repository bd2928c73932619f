// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/gated_norm/gated_norm.h"

#include <concepts>

#include "longwave/ops/gated_norm/gated_norm_check.h"
#include "longwave/ops/gated_norm/gated_norm_cpu.h"
#include "longwave/ops/gated_norm/gated_norm_ref.h"
#include "longwave/ops/rows.h"

namespace longwave::ops {
size_t gated_norm_backward_workspace_bytes(int64_t channels) {
  return Workspace::bytes_for<float>(kGatedNormPieces * channels);
}

template <typename T>
void gated_norm(const GatedNormArgs<T>& args) {
  check_gated_norm("gated_norm", args);
  if constexpr (std::same_as<T, float>) {
    if (adjacent(args.x, args.z, args.w, args.y)) return gated_norm_cpu(args);
  }
  gated_norm_ref(args);
}

template <typename T>
void gated_norm_backward(const GatedNormGradArgs<T>& args, Workspace& workspace) {
  check_gated_norm_gradient("gated_norm_backward", args);
  if constexpr (std::same_as<T, float>) {
    if (adjacent(args.x, args.z, args.w, args.dy, args.dx, args.dz, args.dw)) {
      const Workspace::Scope scope(workspace);
      const int64_t count = kGatedNormPieces * args.x.extent(1);
      return gated_norm_backward_cpu(args, workspace.take<float>(count));
    }
  }
  gated_norm_backward_ref(args);
}

template void gated_norm(const GatedNormArgs<float>&);
template void gated_norm(const GatedNormArgs<double>&);
template void gated_norm_backward(const GatedNormGradArgs<float>&, Workspace&);
template void gated_norm_backward(const GatedNormGradArgs<double>&, Workspace&);

}  // namespace longwave::ops
