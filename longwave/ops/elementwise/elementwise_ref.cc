// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "longwave/ops/elementwise/elementwise.h"

namespace longwave::ops {
namespace {

template <typename T>
T sigmoid(T x) {
  return T(1) / (T(1) + std::exp(-x));
}

constexpr double kGeluSlope = 1.5957691216057308;  // 2 sqrt(2 / pi)
constexpr double kGeluCubic = 0.044715;

template <typename T>
T value_of(Activation f, T x) {
  switch (f) {
    case Activation::kIdentity:
      return x;
    case Activation::kExp:
      return std::exp(x);
    case Activation::kSigmoid:
      return sigmoid(x);
    case Activation::kSilu:
      return x * sigmoid(x);
    case Activation::kGelu:
      return x * sigmoid(T(kGeluSlope) * (x + T(kGeluCubic) * x * x * x));
  }
  return x;
}

template <typename T>
T slope_of(Activation f, T x) {
  switch (f) {
    case Activation::kIdentity:
      return T(1);
    case Activation::kExp:
      return std::exp(x);
    case Activation::kSigmoid:
      return sigmoid(x) * sigmoid(-x);
    case Activation::kSilu:
      return sigmoid(x) * (T(1) + x * sigmoid(-x));
    case Activation::kGelu: {
      const T u = T(kGeluSlope) * (x + T(kGeluCubic) * x * x * x);
      const T du = T(kGeluSlope) * (T(1) + T(3 * kGeluCubic) * x * x);
      return sigmoid(u) * (T(1) + x * sigmoid(-u) * du);
    }
  }
  return T(1);
}

}  // namespace

template <typename T>
void activate_ref(Activation f, std::span<const T> x, std::span<T> y) {
  for (size_t i = 0; i < x.size(); ++i) y[i] = value_of(f, x[i]);
}

template <typename T>
void activate_grad_ref(Activation f, std::span<const T> x, std::span<const T> dy, std::span<T> dx) {
  for (size_t i = 0; i < x.size(); ++i) dx[i] = dy[i] * slope_of(f, x[i]);
}

template <typename T>
void gate_ref(const GateArgs<T>& args) {
  for (int64_t r = 0; r < args.y.extent(0); ++r) {
    for (int64_t c = 0; c < args.y.extent(1); ++c) {
      args.y(r, c) = args.value(r, c) * value_of(args.f, args.gate(r, c));
    }
  }
}

template <typename T>
void gate_grad_ref(const GateGradArgs<T>& args) {
  for (int64_t r = 0; r < args.dy.extent(0); ++r) {
    for (int64_t c = 0; c < args.dy.extent(1); ++c) {
      const T dy = args.dy(r, c), value = args.value(r, c), gate = args.gate(r, c);
      args.dvalue(r, c) = dy * value_of(args.f, gate);
      args.dgate(r, c) = dy * value * slope_of(args.f, gate);
    }
  }
}

template <typename T>
void residual_ref(const ResidualArgs<T>& args) {
  for (int64_t r = 0; r < args.y.extent(0); ++r) {
    for (int64_t c = 0; c < args.y.extent(1); ++c) {
      const T x = args.x.absent() ? T(0) : args.x(r, c);
      const T m = args.m.absent() ? T(1) : args.m(r, c);
      args.y(r, c) = x + m * args.h(r, c);
    }
  }
}

template void activate_ref(Activation, std::span<const float>, std::span<float>);
template void activate_ref(Activation, std::span<const double>, std::span<double>);
template void activate_grad_ref(Activation, std::span<const float>, std::span<const float>,
                                std::span<float>);
template void activate_grad_ref(Activation, std::span<const double>, std::span<const double>,
                                std::span<double>);
template void gate_ref(const GateArgs<float>&);
template void gate_ref(const GateArgs<double>&);
template void gate_grad_ref(const GateGradArgs<float>&);
template void gate_grad_ref(const GateGradArgs<double>&);
template void residual_ref(const ResidualArgs<float>&);
template void residual_ref(const ResidualArgs<double>&);

}  // namespace longwave::ops
