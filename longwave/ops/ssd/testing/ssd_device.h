// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "longwave/ops/ssd/ssd_plan_cuda.h"
#include "longwave/ops/ssd/testing/ssd_problem.h"
#include "longwave/ops/testing/device_buffer.h"

namespace longwave::ops::testing {

/// Everything that a problem can have but limits.
inline constexpr SsdOptions kSsdPacked = {
    .skips = 2, .bias = true, .starts = true, .limits = false};

/// More of what blocks of a GPU are made of than kSsdCases: several tiles of head_dim, every count
/// of states, many heads.
inline constexpr std::array<SsdCase, 7> kSsdWideCases = {{{{1, 70, 2, 130, 1, 200}, kSsdPacked},
                                                          {{1, 70, 2, 130, 1, 40}, {}},
                                                          {{1, 150, 5, 64, 1, 128}, kSsdPacked},
                                                          {{2, 40, 10, 16, 1, 16}, {}},
                                                          {{1, 130, 6, 48, 1, 64}, kSsdPacked},
                                                          {{1, 100, 2, 64, 2, 256}, {}},
                                                          {{1, 700, 4, 72, 1, 104}, kSsdPacked}}};

/// GPUs to plan for: compute capability 9.0, 8.0, and 8.6, 8.9 or 12.0.
inline constexpr std::array<gpu::Capacity, 3> kSsdCapacities = {
    {gpu::kHopperCapacity, {163 * 1024, 108}, {99 * 1024, 84}}};

/// The present GPU, and those that it can stand in for.
inline std::vector<gpu::Capacity> ssd_capacities_here() {
  std::vector<gpu::Capacity> all = {gpu::present_capacity("test")};
  for (const gpu::Capacity& capacity : kSsdCapacities) {
    if (capacity.shared_bytes < all.front().shared_bytes) all.push_back(capacity);
  }
  return all;
}

/// Sizes as those of models, with every count of states that kernels exist for.
inline std::vector<SsdSize> ssd_sizes_of_models() {
  std::vector<SsdSize> sizes;
  for (const int64_t state : {16, 64, 100, 128, 200, 256}) {
    for (const int64_t head_dim : {32, 64, 128}) {
      for (const int64_t groups : {1, 8}) sizes.push_back({8, 2048, 80, head_dim, groups, state});
      sizes.push_back({1, 65536, 24, head_dim, 1, state});
    }
  }
  return sizes;
}

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

/// A scan's operands and gradients on a GPU; the latter start as NaN.
template <typename T>
class SsdGradDevice : public SsdDevice<T> {
 public:
  explicit SsdGradDevice(const SsdProblem<double>& problem, int64_t pad = 0)
      : SsdDevice<T>(problem, pad),
        dy_(problem.dy, this->steps_, pad),
        dx_(problem.dx, this->steps_, pad),
        ddt_(problem.ddt, this->steps_, pad),
        dB_(problem.dB, this->steps_, pad),
        dC_(problem.dC, this->steps_, pad),
        dh_(problem.dh),
        dA_(problem.dA),
        dD_(problem.dD),
        ddt_bias_(problem.ddt_bias),
        dh0_(problem.dh0) {}

  SsdCudaGradArgs<T> grad_args() {
    SsdCudaGradArgs<T> args{.in = this->inputs(),
                            .h0 = this->state(this->h_),
                            .dy = this->signal(dy_),
                            .dh = this->state(dh_),
                            .dx = this->signal(dx_),
                            .ddt = this->steps(ddt_),
                            .dA = {dA_.data(), {this->size_.heads}},
                            .dB = this->rows(dB_),
                            .dC = this->rows(dC_),
                            .dD = {},
                            .ddt_bias = {},
                            .dh0 = this->state(dh0_)};
    if (this->skips_ > 0) args.dD = {dD_.data(), {this->size_.heads, this->skips_}};
    if (this->with_bias_) args.ddt_bias = {ddt_bias_.data(), {this->size_.heads}};
    return args;
  }

  void run(const SsdCudaGradArgs<T>& args, const SsdGradPlan& plan) {
    const size_t bytes = ssd_grad_plan_bytes<T>(this->size_, plan);
    DeviceBuffer<std::byte> workspace(static_cast<int64_t>(bytes));
    ssd_grad_by_plan(args, plan, {workspace.data(), bytes}, nullptr);
    require_cuda(cudaDeviceSynchronize());
  }

  /// All gradients, in the order of gradients_of.
  std::vector<std::vector<double>> gradients() const {
    return {dx_.dense(), ddt_.dense(), dA_.wide(),       dB_.dense(),
            dC_.dense(), dD_.wide(),   ddt_bias_.wide(), dh0_.wide()};
  }

 private:
  DeviceRows<T> dy_, dx_, ddt_, dB_, dC_;
  DeviceBuffer<float> dh_, dA_, dD_, ddt_bias_, dh0_;
};

/// A gradient by its name.
struct NamedGradient {
  const char* name;
  const std::vector<double>* numbers;
};

/// All gradients of a problem.
inline std::vector<NamedGradient> gradients_of(const SsdProblem<double>& problem) {
  return {{"dx", &problem.dx},
          {"ddt", &problem.ddt},
          {"dA", &problem.dA},
          {"dB", &problem.dB},
          {"dC", &problem.dC},
          {"dD", &problem.dD},
          {"ddt_bias", &problem.ddt_bias},
          {"dh0", &problem.dh0}};
}

}  // namespace longwave::ops::testing
