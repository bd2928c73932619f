// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/gated_norm/gated_norm.h"

#include <fmt/core.h>

#include <concepts>

#include "longwave/base/error.h"
#include "longwave/ops/gated_norm/gated_norm_cpu.h"
#include "longwave/ops/gated_norm/gated_norm_ref.h"
#include "longwave/ops/require_shape.h"
#include "longwave/ops/rows.h"

namespace longwave::ops {
namespace {

void check_groups(const char* where, int64_t channels, int64_t groups) {
  if (groups >= 1 && channels % groups == 0) return;
  throw InvalidArgument({.where = where,
                         .what = "channels must be a multiple of groups",
                         .got = fmt::format("{} channels in {} groups", channels, groups),
                         .fix = "choose groups that divide the channels"});
}

template <typename T>
void check(const GatedNormArgs<T>& args) {
  const char* where = "gated_norm";
  const int64_t rows = args.x.extent(0), channels = args.x.extent(1);
  check_groups(where, channels, args.groups);
  require_shape(where, "w", args.w, {channels});
  require_shape(where, "y", args.y, args.x.extents());
  if (!args.z.absent()) require_shape(where, "z", args.z, args.x.extents());
  if (!args.inverse.absent()) require_shape(where, "inverse", args.inverse, {rows, args.groups});
}

template <typename T>
void check(const GatedNormGradArgs<T>& args) {
  const char* where = "gated_norm_backward";
  const int64_t rows = args.x.extent(0), channels = args.x.extent(1);
  check_groups(where, channels, args.inverse.extent(1));
  require_shape(where, "inverse", args.inverse, {rows, args.inverse.extent(1)});
  require_shape(where, "w", args.w, {channels});
  require_shape(where, "dw", args.dw, {channels});
  require_shape(where, "dy", args.dy, args.x.extents());
  require_shape(where, "dx", args.dx, args.x.extents());
  if (!args.z.absent()) require_shape(where, "z", args.z, args.x.extents());
  if (!args.dz.absent()) require_shape(where, "dz", args.dz, args.z.extents());
}

}  // namespace

size_t gated_norm_backward_workspace_bytes(int64_t channels) {
  return Workspace::bytes_for<float>(kGatedNormPieces * channels);
}

template <typename T>
void gated_norm(const GatedNormArgs<T>& args) {
  check(args);
  if constexpr (std::same_as<T, float>) {
    if (adjacent(args.x, args.z, args.w, args.y)) return gated_norm_cpu(args);
  }
  gated_norm_ref(args);
}

template <typename T>
void gated_norm_backward(const GatedNormGradArgs<T>& args, Workspace& workspace) {
  check(args);
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
