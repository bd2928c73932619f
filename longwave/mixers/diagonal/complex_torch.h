// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/torch.h>

namespace longwave::mixers {

/// The parameter in double: layers discretise in double whatever they compute in.
inline torch::Tensor wide(const torch::Tensor& parameter) { return parameter.to(torch::kFloat64); }

/// Pairs (..., 2) of re, im as complex numbers (...) in double.
inline torch::Tensor wide_complex(const torch::Tensor& pairs) {
  return torch::view_as_complex(wide(pairs).contiguous());
}

/// e^z - 1 without cancellation near zero; theory::complex_expm1 with gradients.
inline torch::Tensor complex_expm1(const torch::Tensor& z) {
  const torch::Tensor x = torch::real(z), y = torch::imag(z);
  const torch::Tensor half = torch::sin(y / 2);
  return torch::complex(torch::expm1(x) * torch::cos(y) - 2 * half * half,
                        torch::exp(x) * torch::sin(y));
}

/// One step of diagonal systems; theory::DiagonalStep with gradients.
struct DiagonalStepTorch {
  torch::Tensor a, gain;
};

/// Zero-order hold: a = e^(dt A), gain = (e^(dt A) - 1) / A. A must not be 0.
inline DiagonalStepTorch zero_order_hold(const torch::Tensor& A, const torch::Tensor& dt) {
  const torch::Tensor grown = complex_expm1(A * dt);
  return {grown + 1, grown / A};
}

/// Bilinear, input held: a = (1 + dt A / 2) / (1 - dt A / 2), gain = dt / (1 - dt A / 2).
inline DiagonalStepTorch bilinear(const torch::Tensor& A, const torch::Tensor& dt) {
  const torch::Tensor half = A * dt / 2;
  return {(1 + half) / (1 - half), dt / (1 - half)};
}

/// The complex type that goes with a real one.
inline torch::Dtype complex_of(torch::Dtype real) {
  return real == torch::kFloat64 ? torch::kComplexDouble : torch::kComplexFloat;
}

/// State rows (batch, 2 numbers) as complex (batch, numbers); zeros where `state` is undefined.
inline torch::Tensor complex_state(const torch::Tensor& state, const torch::Tensor& u,
                                   int64_t numbers) {
  if (!state.defined()) {
    return torch::zeros({u.size(0), numbers}, u.options().dtype(complex_of(u.scalar_type())));
  }
  return torch::view_as_complex(state.reshape({u.size(0), numbers, 2}).contiguous());
}

/// The reverse: complex (batch, ...) as state rows.
inline torch::Tensor state_rows(const torch::Tensor& h) {
  return torch::view_as_real(h).flatten(1);
}

}  // namespace longwave::mixers
