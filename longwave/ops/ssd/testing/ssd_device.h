// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "longwave/ops/ssd/ssd_plan_cuda.h"
#include "longwave/ops/ssd/testing/ssd_problem.h"
#include "longwave/ops/testing/device_buffer.h"

namespace longwave::ops::testing {

/// Rounds the operands that a GPU takes as T, so that a judge on the host sees the same numbers.
template <typename T>
void round_operands(SsdProblem<double>& problem) {
  for (auto* numbers : {&problem.x, &problem.dt, &problem.B, &problem.C, &problem.dy}) {
    for (double& x : *numbers) x = static_cast<double>(static_cast<float>(static_cast<T>(x)));
  }
}

/// Rows of numbers of T on a GPU, with `pad` not-a-numbers behind each.
template <typename T>
class DeviceRows {
 public:
  DeviceRows(const std::vector<double>& dense, int64_t rows, int64_t pad)
      : width_(rows == 0 ? 0 : static_cast<int64_t>(dense.size()) / rows),
        pad_(pad),
        rows_(rows),
        buffer_(padded(dense)) {}

  int64_t row() const { return width_ + pad_; }
  T* data() { return buffer_.data(); }

  /// The numbers without padding.
  std::vector<double> dense() const {
    const std::vector<double> padded = buffer_.wide();
    std::vector<double> numbers;
    for (int64_t i = 0; i < rows_; ++i) {
      const auto first = padded.begin() + i * row();
      numbers.insert(numbers.end(), first, first + width_);
    }
    return numbers;
  }

 private:
  std::vector<double> padded(const std::vector<double>& dense) const {
    std::vector<double> all;
    for (int64_t i = 0; i < rows_; ++i) {
      const auto first = dense.begin() + i * width_;
      all.insert(all.end(), first, first + width_);
      all.insert(all.end(), pad_, std::numeric_limits<double>::quiet_NaN());
    }
    return all;
  }

  int64_t width_, pad_, rows_;
  DeviceBuffer<T> buffer_;
};

/// A scan's operands on a GPU; outputs start as NaN. `pad` elements lie between steps.
template <typename T>
class SsdDevice {
 public:
  explicit SsdDevice(const SsdProblem<double>& problem, int64_t pad = 0)
      : size_(problem.size),
        skips_(problem.skips),
        steps_(size_.batch * size_.time),
        limits_{static_cast<float>(problem.limits.least), static_cast<float>(problem.limits.most)},
        x_(problem.x, steps_, pad),
        dt_(problem.dt, steps_, pad),
        B_(problem.B, steps_, pad),
        C_(problem.C, steps_, pad),
        y_(problem.y, steps_, pad),
        A_(problem.A),
        D_(problem.D),
        dt_bias_(problem.dt_bias),
        h_(problem.h),
        starts_(problem.starts),
        with_bias_(!problem.dt_bias.empty()),
        with_starts_(!problem.starts.empty()) {}

  const SsdSize& size() const { return size_; }

  SsdCudaInputs<T> inputs() {
    SsdCudaInputs<T> in{.x = signal(x_),
                        .dt = steps(dt_),
                        .A = {A_.data(), {size_.heads}},
                        .B = rows(B_),
                        .C = rows(C_),
                        .D = {},
                        .dt_bias = {},
                        .starts = {},
                        .limits = limits_};
    if (skips_ > 0) in.D = {D_.data(), {size_.heads, skips_}};
    if (with_bias_) in.dt_bias = {dt_bias_.data(), {size_.heads}};
    if (with_starts_) in.starts = {starts_.data(), {size_.batch, size_.time}};
    return in;
  }

  SsdCudaArgs<T> args() { return {.in = inputs(), .h = state(h_), .y = signal(y_)}; }

  void run(const SsdCudaArgs<T>& args, const SsdPlan& plan) {
    const size_t bytes = ssd_plan_bytes(size_, plan);
    DeviceBuffer<std::byte> workspace(static_cast<int64_t>(bytes));
    ssd_by_plan(args, plan, {workspace.data(), bytes}, nullptr);
    require_cuda(cudaDeviceSynchronize());
  }

  std::vector<double> y() const { return y_.dense(); }
  std::vector<double> h() const { return h_.wide(); }

 protected:
  View<T, 4> signal(DeviceRows<T>& x) const {
    const auto [batch, time, heads, head_dim, groups, state] = size_;
    return {x.data(), {batch, time, heads, head_dim}, {time * x.row(), x.row(), head_dim, 1}};
  }
  View<T, 3> steps(DeviceRows<T>& x) const {
    return {x.data(), {size_.batch, size_.time, size_.heads}, {size_.time * x.row(), x.row(), 1}};
  }
  View<T, 4> rows(DeviceRows<T>& x) const {
    const auto [batch, time, heads, head_dim, groups, state] = size_;
    return {x.data(), {batch, time, groups, state}, {time * x.row(), x.row(), state, 1}};
  }
  View<float, 4> state(DeviceBuffer<float>& x) const {
    return {x.data(), {size_.batch, size_.heads, size_.head_dim, size_.state}};
  }

  SsdSize size_;
  int64_t skips_, steps_;
  SsdLimits<float> limits_;
  DeviceRows<T> x_, dt_, B_, C_, y_;
  DeviceBuffer<float> A_, D_, dt_bias_, h_;
  DeviceBuffer<uint8_t> starts_;
  bool with_bias_, with_starts_;
};

}  // namespace longwave::ops::testing
