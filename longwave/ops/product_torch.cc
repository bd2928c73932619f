// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/product_torch.h"

#include <torch/version.h>

namespace longwave::ops {
namespace {

using torch::Tensor;

// Whether the product of a can be had in the type of out without passing through its own.
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 8)
constexpr bool kWidens = true;
void widening_product(Tensor& out, const Tensor& a, const Tensor& b, double beta) {
  at::addmm_out(out, out, a, b, out.scalar_type(), beta);
}
#else
constexpr bool kWidens = false;
void widening_product(Tensor&, const Tensor&, const Tensor&, double) {}
#endif

}  // namespace

void multiply_into(Tensor out, const Tensor& a, const Tensor& b) {
  if (out.scalar_type() == a.scalar_type()) {
    torch::mm_out(out, a, b);
  } else if (kWidens && a.is_cuda()) {
    widening_product(out, a, b, 0.0);
  } else {
    out.copy_(torch::mm(a, b));
  }
}

void add_product(Tensor out, const Tensor& a, const Tensor& b) {
  if (out.scalar_type() == a.scalar_type()) {
    out.addmm_(a, b);
  } else if (kWidens && a.is_cuda()) {
    widening_product(out, a, b, 1.0);
  } else {
    out.add_(torch::mm(a, b));
  }
}

}  // namespace longwave::ops
