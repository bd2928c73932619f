// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/elementwise/elementwise.h"

#include <concepts>

#include "longwave/base/error.h"
#include "longwave/ops/elementwise/elementwise_cpu.h"
#include "longwave/ops/rows.h"

namespace longwave::ops {
namespace {

template <typename T>
const T* row_or_null(const View<const T, 2>& view, int64_t row) {
  return view.absent() ? nullptr : view.data() + row * view.stride(0);
}

}  // namespace

template <>
void activate(Activation f, std::span<const float> x, std::span<float> y) {
  require(x.size() == y.size(), "activate", "x and y must have one size");
  const auto body = [&](int64_t begin, int64_t end) {
    cpu::activate_row(f, end - begin, x.data() + begin, y.data() + begin);
  };
  parallel_for(static_cast<int64_t>(x.size()), kRowsGrain, body);
}

template <>
void activate(Activation f, std::span<const double> x, std::span<double> y) {
  require(x.size() == y.size(), "activate", "x and y must have one size");
  activate_ref<double>(f, x, y);
}

template <>
void activate_grad(Activation f, std::span<const float> x, std::span<const float> dy,
                   std::span<float> dx) {
  require(x.size() == dy.size() && x.size() == dx.size(), "activate_grad",
          "x, dy and dx must have one size");
  const auto body = [&](int64_t begin, int64_t end) {
    cpu::activate_grad_row(f, end - begin, x.data() + begin, dy.data() + begin, dx.data() + begin);
  };
  parallel_for(static_cast<int64_t>(x.size()), kRowsGrain, body);
}

template <>
void activate_grad(Activation f, std::span<const double> x, std::span<const double> dy,
                   std::span<double> dx) {
  require(x.size() == dy.size() && x.size() == dx.size(), "activate_grad",
          "x, dy and dx must have one size");
  activate_grad_ref<double>(f, x, dy, dx);
}

template <typename T>
void gate(const GateArgs<T>& args) {
  require(args.value.extents() == args.y.extents() && args.gate.extents() == args.y.extents(),
          "gate", "value, gate and y must have one shape (rows, channels)");
  if constexpr (std::same_as<T, float>) {
    if (adjacent(args.value, args.gate, args.y)) {
      const auto body = [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; ++r) {
          cpu::gate_row(args.f, args.y.extent(1),
                        {.value = args.value.data() + r * args.value.stride(0),
                         .gate = args.gate.data() + r * args.gate.stride(0),
                         .y = args.y.data() + r * args.y.stride(0)});
        }
      };
      return over_rows(args.y.extent(0), args.y.extent(1), body);
    }
  }
  gate_ref(args);
}

template <typename T>
void gate_grad(const GateGradArgs<T>& args) {
  const auto& shape = args.dy.extents();
  require(args.value.extents() == shape && args.gate.extents() == shape &&
              args.dvalue.extents() == shape && args.dgate.extents() == shape,
          "gate_grad", "all operands must have one shape (rows, channels)");
  if constexpr (std::same_as<T, float>) {
    if (adjacent(args.value, args.gate, args.dy, args.dvalue, args.dgate)) {
      const auto body = [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; ++r) {
          cpu::gate_grad_row(args.f, args.dy.extent(1),
                             {.value = args.value.data() + r * args.value.stride(0),
                              .gate = args.gate.data() + r * args.gate.stride(0),
                              .dy = args.dy.data() + r * args.dy.stride(0),
                              .dvalue = args.dvalue.data() + r * args.dvalue.stride(0),
                              .dgate = args.dgate.data() + r * args.dgate.stride(0)});
        }
      };
      return over_rows(args.dy.extent(0), args.dy.extent(1), body);
    }
  }
  gate_grad_ref(args);
}

template <typename T>
void residual(const ResidualArgs<T>& args) {
  const auto& shape = args.y.extents();
  require(args.h.extents() == shape && (args.x.absent() || args.x.extents() == shape) &&
              (args.m.absent() || args.m.extents() == shape),
          "residual", "all operands must have one shape (rows, channels)");
  if constexpr (std::same_as<T, float>) {
    if (adjacent(args.x, args.m, args.h, args.y)) {
      const auto body = [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; ++r) {
          cpu::residual_row(args.y.extent(1), {.x = row_or_null(args.x, r),
                                               .m = row_or_null(args.m, r),
                                               .h = args.h.data() + r * args.h.stride(0),
                                               .y = args.y.data() + r * args.y.stride(0)});
        }
      };
      return over_rows(args.y.extent(0), args.y.extent(1), body);
    }
  }
  residual_ref(args);
}

template void gate(const GateArgs<float>&);
template void gate(const GateArgs<double>&);
template void gate_grad(const GateGradArgs<float>&);
template void gate_grad(const GateGradArgs<double>&);
template void residual(const ResidualArgs<float>&);
template void residual(const ResidualArgs<double>&);

}  // namespace longwave::ops
