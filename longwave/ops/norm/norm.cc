// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/norm/norm.h"

#include <algorithm>
#include <concepts>

#include "longwave/base/error.h"
#include "longwave/ops/norm/norm_check.h"
#include "longwave/ops/norm/norm_kernels.h"
#include "longwave/ops/rows.h"

namespace longwave::ops {
namespace {

template <typename T>
bool holds(const View<T, 1>& view, int64_t channels) {
  return view.extent(0) == channels;
}

void check_valid(std::span<const uint8_t> valid, int64_t rows, const char* where) {
  require(valid.empty() || static_cast<int64_t>(valid.size()) == rows, where,
          "valid must have an entry for each row");
  require(valid.empty() ? rows > 0 : std::ranges::any_of(valid, [](uint8_t v) { return v != 0; }),
          where, "at least one row must be valid");
}

}  // namespace

template <typename T>
void row_norm(const RowNormArgs<T>& args) {
  check_row_norm("row_norm", args);
  if constexpr (std::same_as<T, float>) {
    if (adjacent(args.x, args.w, args.b, args.y, args.moments)) return row_norm_cpu(args);
  }
  row_norm_ref(args);
}

template <typename T>
void row_norm_grad(const RowNormGradArgs<T>& args, Workspace& workspace) {
  check_row_norm_gradient("row_norm_grad", args);
  if constexpr (std::same_as<T, float>) {
    if (adjacent(args.x, args.w, args.moments, args.dy, args.dx, args.dw, args.db)) {
      return row_norm_grad_cpu(args, workspace);
    }
  }
  row_norm_grad_ref(args);
}

template <typename T>
void channel_moments(const ChannelMomentsArgs<T>& args, Workspace& workspace) {
  const int64_t rows = args.x.extent(0), channels = args.x.extent(1);
  require(holds(args.mean, channels) && holds(args.var, channels), "channel_moments",
          "mean and var must be (channels)");
  check_valid(args.valid, rows, "channel_moments");
  if constexpr (std::same_as<T, float>) {
    if (adjacent(args.x, args.mean, args.var)) return channel_moments_cpu(args, workspace);
  }
  channel_moments_ref(args);
}

template <typename T>
void channel_affine(const ChannelAffineArgs<T>& args) {
  const int64_t channels = args.x.extent(1);
  require(args.y.extents() == args.x.extents() && holds(args.scale, channels) &&
              holds(args.shift, channels),
          "channel_affine", "x and y must be (rows, channels), scale and shift (channels)");
  if constexpr (std::same_as<T, float>) {
    if (adjacent(args.x, args.scale, args.shift, args.y)) return channel_affine_cpu(args);
  }
  channel_affine_ref(args);
}

template <typename T>
void batch_norm_grad(const BatchNormGradArgs<T>& args, Workspace& workspace) {
  const int64_t rows = args.x.extent(0), channels = args.x.extent(1);
  require(args.dy.extents() == args.x.extents() && args.dx.extents() == args.x.extents() &&
              holds(args.w, channels) && holds(args.mean, channels) &&
              holds(args.inverse, channels) && holds(args.dw, channels) && holds(args.db, channels),
          "batch_norm_grad", "x, dy and dx must be (rows, channels), the rest (channels)");
  check_valid(args.valid, rows, "batch_norm_grad");
  if constexpr (std::same_as<T, float>) {
    if (adjacent(args.x, args.w, args.mean, args.inverse, args.dy, args.dx, args.dw, args.db)) {
      return batch_norm_grad_cpu(args, workspace);
    }
  }
  batch_norm_grad_ref(args);
}

template <typename T>
size_t norm_workspace_bytes(int64_t channels) {
  return Workspace::bytes_for<T>(kNormPieces * kNormSums * channels);
}

template void row_norm(const RowNormArgs<float>&);
template void row_norm(const RowNormArgs<double>&);
template void row_norm_grad(const RowNormGradArgs<float>&, Workspace&);
template void row_norm_grad(const RowNormGradArgs<double>&, Workspace&);
template void channel_moments(const ChannelMomentsArgs<float>&, Workspace&);
template void channel_moments(const ChannelMomentsArgs<double>&, Workspace&);
template void channel_affine(const ChannelAffineArgs<float>&);
template void channel_affine(const ChannelAffineArgs<double>&);
template void batch_norm_grad(const BatchNormGradArgs<float>&, Workspace&);
template void batch_norm_grad(const BatchNormGradArgs<double>&, Workspace&);
template size_t norm_workspace_bytes<float>(int64_t);
template size_t norm_workspace_bytes<double>(int64_t);

}  // namespace longwave::ops
