// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/dense_scan/dense_scan.h"

#include "longwave/base/error.h"
#include "longwave/base/tensor.h"
#include "longwave/ops/dense_scan/dense_scan_kernels.h"

namespace longwave::ops {
namespace {

template <typename T>
void check(const DenseScanArgs<T>& args) {
  using Three = std::array<int64_t, 3>;
  using Two = std::array<int64_t, 2>;
  const int64_t batch = args.u.extent(0), channels = args.u.extent(2), n = args.A.extent(1);
  const bool agree =
      args.A.extents() == Three{channels, n, n} && args.B.extents() == Two{channels, n} &&
      args.C.extents() == Two{channels, n} && (args.d.absent() || args.d.extent(0) == channels) &&
      args.x.extents() == Three{batch, channels, n} && args.y.extents() == args.u.extents();
  if (agree) return;
  const auto text = [](const auto& view) {
    return to_string(Shape(view.extents().begin(), view.extents().end()));
  };
  throw InvalidArgument({.where = "dense_scan",
                         .what = "shapes must be u and y (batch, time, channels), A (channels, n, "
                                 "n), B and C (channels, n), d (channels), x (batch, channels, n)",
                         .got = "u " + text(args.u) + ", A " + text(args.A) + ", B " +
                                text(args.B) + ", C " + text(args.C) + ", x " + text(args.x) +
                                ", y " + text(args.y),
                         .fix = {}});
}

bool rows_adjacent(const DenseScanArgs<float>& args) {
  return args.A.stride(1) == 1 && args.B.stride(1) == 1 && args.C.stride(1) == 1 &&
         args.x.stride(2) == 1;
}

}  // namespace

size_t dense_scan_workspace_bytes(int64_t channels, int64_t n) {
  return Workspace::bytes_for<double>(channels * n);
}

void dense_scan(const DenseScanArgs<float>& args, Workspace& workspace) {
  check(args);
  const Workspace::Scope scope(workspace);
  const auto next = workspace.take<float>(args.u.extent(2) * args.A.extent(1));
  rows_adjacent(args) ? dense_scan_cpu(args, next) : dense_scan_ref(args, next);
}

void dense_scan(const DenseScanArgs<double>& args, Workspace& workspace) {
  check(args);
  const Workspace::Scope scope(workspace);
  dense_scan_ref(args, workspace.take<double>(args.u.extent(2) * args.A.extent(1)));
}

}  // namespace longwave::ops
