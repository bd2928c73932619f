// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/vandermonde/vandermonde.h"

#include "longwave/base/error.h"

namespace longwave::ops {
namespace {

constexpr const char* kWhere = "vandermonde";

/// Which kernel serves which type on the CPU.
template <typename T>
struct Kernels;
template <>
struct Kernels<float> {
  static constexpr auto forward = vandermonde_cpu;
  static constexpr auto backward = vandermonde_grad_cpu;
};
template <>
struct Kernels<double> {
  static constexpr auto forward = [](const VandermondeArgs<double>& args, Workspace&) {
    vandermonde_ref(args);
  };
  static constexpr auto backward = [](const VandermondeGradArgs<double>& args, Workspace&) {
    vandermonde_grad_ref(args);
  };
};

template <typename T>
void forward(const VandermondeArgs<T>& args, Workspace& workspace) {
  require(args.c.extents() == args.a.extents(), kWhere, "c must have the shape of a");
  require(args.K.extent(0) == args.a.extent(0), kWhere, "K must have one row a channel of a");
  Kernels<T>::forward(args, workspace);
}

template <typename T>
void backward(const VandermondeGradArgs<T>& args, Workspace& workspace) {
  require(args.c.extents() == args.a.extents(), kWhere, "c must have the shape of a");
  require(args.dK.extent(0) == args.a.extent(0), kWhere, "dK must have one row a channel of a");
  require(args.da.extents() == args.a.extents(), kWhere, "da must have the shape of a");
  require(args.dc.extents() == args.a.extents(), kWhere, "dc must have the shape of a");
  Kernels<T>::backward(args, workspace);
}

}  // namespace

void vandermonde(const VandermondeArgs<float>& args, Workspace& workspace) {
  forward(args, workspace);
}
void vandermonde(const VandermondeArgs<double>& args, Workspace& workspace) {
  forward(args, workspace);
}
void vandermonde_grad(const VandermondeGradArgs<float>& args, Workspace& workspace) {
  backward(args, workspace);
}
void vandermonde_grad(const VandermondeGradArgs<double>& args, Workspace& workspace) {
  backward(args, workspace);
}

}  // namespace longwave::ops
