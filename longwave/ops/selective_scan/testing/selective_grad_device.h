// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "longwave/ops/selective_scan/testing/selective_device.h"

namespace longwave::ops::testing {

/// What a GPU gets and gives beyond a scan's operands when it computes gradients.
template <typename T>
class SelectiveGradDevice {
 public:
  /// `problem` holds the states that the scan kept.
  explicit SelectiveGradDevice(const SelectiveProblem<double>& problem)
      : size_(problem.size),
        all_(problem.all()),
        operands_(problem),
        states_(problem.states),
        dy_(problem.dy),
        dh_(problem.dh),
        du_(signal()),
        ddt_(signal()),
        dz_(signal()),
        dB_(inputs()),
        dC_(inputs()),
        dA_(size_.channels * size_.state),
        dD_(size_.channels),
        ddt_bias_(size_.channels),
        dh0_(size_.batch * size_.channels * size_.state) {}

  SelectiveScanCudaSize size() const { return operands_.size(); }

  SelectiveScanCudaGradArgs<T> args() {
    const auto [batch, time, channels, groups, state] = size_;
    const int64_t chunks = selective_scan_chunks(time, state);
    SelectiveScanCudaGradArgs<T> args{.in = operands_.args().in,
                                      .states = {states_.data(), {batch, chunks, state, channels}},
                                      .dy = {dy_.data(), {batch, time, channels}},
                                      .dh = {dh_.data(), {batch, channels, state}},
                                      .du = {du_.data(), {batch, time, channels}},
                                      .ddt = {ddt_.data(), {batch, time, channels}},
                                      .dA = {dA_.data(), {channels, state}},
                                      .dB = {dB_.data(), {batch, time, groups, state}},
                                      .dC = {dC_.data(), {batch, time, groups, state}},
                                      .dD = {},
                                      .ddt_bias = {},
                                      .dz = {},
                                      .dh0 = {dh0_.data(), {batch, channels, state}}};
    if (all_) {
      args.dD = {dD_.data(), {channels}};
      args.ddt_bias = {ddt_bias_.data(), {channels}};
      args.dz = {dz_.data(), {batch, time, channels}};
    }
    return args;
  }

  void run(const SelectiveScanCudaGradArgs<T>& args, const SelectiveScanPlan& plan) {
    const size_t bytes = selective_grad_plan_bytes(size(), plan);
    workspace_ = std::make_unique<DeviceBuffer<std::byte>>(static_cast<int64_t>(bytes));
    selective_scan_grad_by_plan(args, plan, {workspace_->data(), bytes}, nullptr);
  }

  /// The gradients in the order of SelectiveProblem::gradients.
  std::vector<std::vector<double>> gradients() const {
    std::vector<std::vector<double>> list = {du_.wide(), ddt_.wide(), dA_.wide(),
                                             dB_.wide(), dC_.wide(),  dh0_.wide()};
    if (all_) list.insert(list.end(), {dD_.wide(), ddt_bias_.wide(), dz_.wide()});
    return list;
  }

 private:
  int64_t signal() const { return size_.batch * size_.time * size_.channels; }
  int64_t inputs() const { return size_.batch * size_.time * size_.groups * size_.state; }

  SelectiveSize size_;
  bool all_;
  SelectiveDevice<T> operands_;
  DeviceBuffer<float> states_;
  DeviceBuffer<T> dy_;
  DeviceBuffer<float> dh_;
  DeviceBuffer<T> du_, ddt_, dz_, dB_, dC_;
  DeviceBuffer<float> dA_, dD_, ddt_bias_, dh0_;
  std::unique_ptr<DeviceBuffer<std::byte>> workspace_;
};

}  // namespace longwave::ops::testing
