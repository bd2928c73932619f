// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/elementwise/elementwise_cpu.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "longwave/ops/elementwise/elementwise_cpu.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "longwave/ops/elementwise/exp-inl.h"

HWY_BEFORE_NAMESPACE();
namespace longwave::ops::HWY_NAMESPACE {

using Lanes = hn::ScalableTag<float>;
using Vector = hn::Vec<Lanes>;

/// What an activation is to the kernels: its value and its slope.
struct Identity {
  static HWY_INLINE Vector value(Lanes, Vector x) { return x; }
  static HWY_INLINE Vector slope(Lanes d, Vector) { return hn::Set(d, 1.0f); }
};

struct Exp {
  static HWY_INLINE Vector value(Lanes d, Vector x) { return exp_vector(d, x); }
  static HWY_INLINE Vector slope(Lanes d, Vector x) { return exp_vector(d, x); }
};

struct Sigmoid {
  static HWY_INLINE Vector value(Lanes d, Vector x) { return sigmoid_vector(d, x); }
  static HWY_INLINE Vector slope(Lanes d, Vector x) {
    const Vector s = sigmoid_vector(d, x);
    return hn::NegMulAdd(s, s, s);
  }
};

struct Silu {
  static HWY_INLINE Vector value(Lanes d, Vector x) { return hn::Mul(x, sigmoid_vector(d, x)); }
  static HWY_INLINE Vector slope(Lanes d, Vector x) {
    const Vector s = sigmoid_vector(d, x);
    return hn::MulAdd(x, hn::NegMulAdd(s, s, s), s);
  }
};

struct Gelu {
  static HWY_INLINE Vector inner(Lanes d, Vector x, Vector square) {
    const Vector poly = hn::MulAdd(square, hn::Set(d, 0.07135481627f), hn::Set(d, 1.59576912f));
    return hn::Mul(x, poly);
  }
  static HWY_INLINE Vector value(Lanes d, Vector x) {
    return hn::Mul(x, sigmoid_vector(d, inner(d, x, hn::Mul(x, x))));
  }
  static HWY_INLINE Vector slope(Lanes d, Vector x) {
    const Vector square = hn::Mul(x, x);
    const Vector s = sigmoid_vector(d, inner(d, x, square));
    const Vector du = hn::MulAdd(square, hn::Set(d, 0.2140644488f), hn::Set(d, 1.59576912f));
    return hn::MulAdd(hn::Mul(x, du), hn::NegMulAdd(s, s, s), s);
  }
};

/// Calls body(get, put) for each vector of a row, and once more on padded copies of the rest.
/// get(k) reads input k, put(k, v) writes output k.
template <int Inputs, int Outputs, class Body>
HWY_INLINE void for_each_vector(int64_t count, const float* const (&in)[Inputs],
                                float* const (&out)[Outputs], Body body) {
  const Lanes d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    body([&](int k) HWY_ATTR { return hn::LoadU(d, in[k] + i); },
         [&](int k, Vector v) HWY_ATTR { hn::StoreU(v, d, out[k] + i); });
  }
  const int64_t rest = count - i;
  if (rest == 0) return;
  HWY_ALIGN float inputs[Inputs][HWY_MAX_BYTES / sizeof(float)] = {};
  HWY_ALIGN float outputs[Outputs][HWY_MAX_BYTES / sizeof(float)];
  for (int k = 0; k < Inputs; ++k) std::copy_n(in[k] + i, rest, inputs[k]);
  body([&](int k) HWY_ATTR { return hn::Load(d, inputs[k]); },
       [&](int k, Vector v) HWY_ATTR { hn::Store(v, d, outputs[k]); });
  for (int k = 0; k < Outputs; ++k) std::copy_n(outputs[k], rest, out[k] + i);
}

/// Calls kernel(F{}) with the type that stands for `f`.
template <class Kernel>
HWY_INLINE void with_activation(Activation f, Kernel kernel) {
  switch (f) {
    case Activation::kIdentity:
      return kernel(Identity{});
    case Activation::kExp:
      return kernel(Exp{});
    case Activation::kSigmoid:
      return kernel(Sigmoid{});
    case Activation::kSilu:
      return kernel(Silu{});
    case Activation::kGelu:
      return kernel(Gelu{});
  }
}

template <class F>
void activate_with(int64_t count, const float* x, float* y) {
  const Lanes d;
  for_each_vector<1, 1>(count, {x}, {y},
                        [d](auto get, auto put) HWY_ATTR { put(0, F::value(d, get(0))); });
}

template <class F>
void activate_grad_with(int64_t count, const float* x, const float* dy, float* dx) {
  const Lanes d;
  for_each_vector<2, 1>(count, {x, dy}, {dx}, [d](auto get, auto put) HWY_ATTR {
    put(0, hn::Mul(get(1), F::slope(d, get(0))));
  });
}

template <class F>
void gate_with(int64_t count, const cpu::GateRow& row) {
  const Lanes d;
  for_each_vector<2, 1>(count, {row.value, row.gate}, {row.y}, [d](auto get, auto put) HWY_ATTR {
    put(0, hn::Mul(get(0), F::value(d, get(1))));
  });
}

template <class F>
void gate_grad_with(int64_t count, const cpu::GateGradRow& row) {
  const Lanes d;
  for_each_vector<3, 2>(count, {row.value, row.gate, row.dy}, {row.dvalue, row.dgate},
                        [d](auto get, auto put) HWY_ATTR {
                          const Vector value = get(0), gate = get(1), dy = get(2);
                          put(0, hn::Mul(dy, F::value(d, gate)));
                          put(1, hn::Mul(hn::Mul(dy, value), F::slope(d, gate)));
                        });
}

void activate_row(Activation f, int64_t count, const float* x, float* y) {
  with_activation(f, [=](auto function) { activate_with<decltype(function)>(count, x, y); });
}

void activate_grad_row(Activation f, int64_t count, const float* x, const float* dy, float* dx) {
  with_activation(f,
                  [=](auto function) { activate_grad_with<decltype(function)>(count, x, dy, dx); });
}

void gate_row(Activation f, int64_t count, const cpu::GateRow& row) {
  with_activation(f, [&](auto function) { gate_with<decltype(function)>(count, row); });
}

void gate_grad_row(Activation f, int64_t count, const cpu::GateGradRow& row) {
  with_activation(f, [&](auto function) { gate_grad_with<decltype(function)>(count, row); });
}

void residual_row(int64_t count, const cpu::ResidualRow& row) {
  if (row.x != nullptr && row.m != nullptr) {
    for_each_vector<3, 1>(count, {row.x, row.m, row.h}, {row.y}, [](auto get, auto put) HWY_ATTR {
      put(0, hn::MulAdd(get(1), get(2), get(0)));
    });
  } else if (row.x != nullptr) {
    for_each_vector<2, 1>(count, {row.x, row.h}, {row.y},
                          [](auto get, auto put) HWY_ATTR { put(0, hn::Add(get(0), get(1))); });
  } else if (row.m != nullptr) {
    for_each_vector<2, 1>(count, {row.m, row.h}, {row.y},
                          [](auto get, auto put) HWY_ATTR { put(0, hn::Mul(get(0), get(1))); });
  } else {
    std::copy_n(row.h, count, row.y);
  }
}

}  // namespace longwave::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace longwave::ops {

HWY_EXPORT(activate_row);
HWY_EXPORT(activate_grad_row);
HWY_EXPORT(gate_row);
HWY_EXPORT(gate_grad_row);
HWY_EXPORT(residual_row);

namespace cpu {

void activate_row(Activation f, int64_t count, const float* x, float* y) {
  HWY_DYNAMIC_DISPATCH(activate_row)(f, count, x, y);
}

void activate_grad_row(Activation f, int64_t count, const float* x, const float* dy, float* dx) {
  HWY_DYNAMIC_DISPATCH(activate_grad_row)(f, count, x, dy, dx);
}

void gate_row(Activation f, int64_t count, const GateRow& row) {
  HWY_DYNAMIC_DISPATCH(gate_row)(f, count, row);
}

void gate_grad_row(Activation f, int64_t count, const GateGradRow& row) {
  HWY_DYNAMIC_DISPATCH(gate_grad_row)(f, count, row);
}

void residual_row(int64_t count, const ResidualRow& row) {
  HWY_DYNAMIC_DISPATCH(residual_row)(count, row);
}

}  // namespace cpu
}  // namespace longwave::ops
#endif
