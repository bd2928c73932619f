// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "longwave/ops/selective_scan/selective_scan_plan_cuda.h"
#include "longwave/ops/selective_scan/testing/selective_problem.h"
#include "longwave/ops/testing/device_buffer.h"

namespace longwave::ops::testing {

/// Rounds the operands that a GPU takes as T, so that a judge on the host sees the same numbers.
template <typename T>
void round_operands(SelectiveProblem<double>& problem) {
  for (auto* numbers : {&problem.u, &problem.dt, &problem.B, &problem.C, &problem.z}) {
    for (double& x : *numbers) x = static_cast<double>(static_cast<float>(static_cast<T>(x)));
  }
}

/// A scan's operands on a GPU; outputs start as NaN. `pad` elements lie between rows of channels
/// and of states.
template <typename T>
class SelectiveDevice {
 public:
  explicit SelectiveDevice(const SelectiveProblem<double>& problem, int64_t pad = 0)
      : size_(problem.size),
        variant_(problem.variant),
        pad_(pad),
        u_(rows(problem.u, size_.channels)),
        dt_(rows(problem.dt, size_.channels)),
        z_(rows(problem.z, size_.channels)),
        B_(rows(problem.B, size_.groups * size_.state)),
        C_(rows(problem.C, size_.groups * size_.state)),
        A_(problem.A),
        D_(problem.D),
        dt_bias_(problem.dt_bias),
        starts_(problem.starts),
        h_(problem.h),
        y_(size_.batch * size_.time * (size_.channels + pad)),
        states_(static_cast<int64_t>(problem.states.size())) {}

  SelectiveScanCudaSize size() const {
    return {size_.batch, size_.time, size_.channels, size_.groups, size_.state};
  }

  SelectiveScanCudaArgs<T> args() {
    const auto [batch, time, channels, groups, state] = size_;
    const auto signal = [&](T* data) {
      const int64_t row = channels + pad_;
      return View<T, 3>(data, {batch, time, channels}, {time * row, row, 1});
    };
    const auto inputs = [&](T* data) {
      const int64_t row = groups * state + pad_;
      return View<T, 4>(data, {batch, time, groups, state}, {time * row, row, state, 1});
    };
    const int64_t chunks = selective_scan_chunks(time, state);
    SelectiveScanCudaArgs<T> args{.in = {.step_size = variant_.step_size,
                                         .u = signal(u_.data()),
                                         .dt = signal(dt_.data()),
                                         .A = {A_.data(), {channels, state}},
                                         .B = inputs(B_.data()),
                                         .C = inputs(C_.data()),
                                         .D = {},
                                         .dt_bias = {},
                                         .z = {},
                                         .starts = {}},
                                  .h = {h_.data(), {batch, channels, state}},
                                  .y = signal(y_.data()),
                                  .states = {states_.data(), {batch, chunks, state, channels}}};
    if (variant_.optional == SelectiveVariant::Optional::kAll) {
      args.in.D = {D_.data(), {channels}};
      args.in.dt_bias = {dt_bias_.data(), {channels}};
      args.in.z = signal(z_.data());
    }
    if (variant_.packing == SelectiveVariant::Packing::kStarts) {
      args.in.starts = {starts_.data(), {batch, time}};
    }
    return args;
  }

  void run(const SelectiveScanCudaArgs<T>& args, const SelectiveScanPlan& plan) {
    const size_t bytes = selective_scan_plan_bytes(size(), plan);
    workspace_ = std::make_unique<DeviceBuffer<std::byte>>(static_cast<int64_t>(bytes));
    selective_scan_by_plan(args, plan, {workspace_->data(), bytes}, nullptr);
  }

  /// Outputs (batch, time, channels) without padding.
  std::vector<double> y() const {
    const std::vector<double> padded = y_.wide();
    std::vector<double> numbers;
    const int64_t row = size_.channels + pad_;
    for (int64_t i = 0; i < size_.batch * size_.time; ++i) {
      const auto first = padded.begin() + i * row;
      numbers.insert(numbers.end(), first, first + size_.channels);
    }
    return numbers;
  }
  std::vector<double> h() const { return h_.wide(); }
  std::vector<double> states() const { return states_.wide(); }

 private:
  std::vector<double> rows(const std::vector<double>& dense, int64_t width) const {
    std::vector<double> padded;
    for (int64_t i = 0; i < size_.batch * size_.time; ++i) {
      const auto first = dense.begin() + i * width;
      padded.insert(padded.end(), first, first + width);
      padded.insert(padded.end(), pad_, std::numeric_limits<double>::quiet_NaN());
    }
    return padded;
  }

  SelectiveSize size_;
  SelectiveVariant variant_;
  int64_t pad_;
  DeviceBuffer<T> u_, dt_, z_, B_, C_;
  DeviceBuffer<float> A_, D_, dt_bias_;
  DeviceBuffer<uint8_t> starts_;
  DeviceBuffer<float> h_;
  DeviceBuffer<T> y_;
  DeviceBuffer<float> states_;
  std::unique_ptr<DeviceBuffer<std::byte>> workspace_;
};

}  // namespace longwave::ops::testing
