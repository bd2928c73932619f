// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <complex>
#include <vector>

#include "longwave/ops/lti_scan/lti_plan_cuda.h"
#include "longwave/ops/lti_scan/testing/lti_problem.h"
#include "longwave/ops/testing/device_buffer.h"

namespace longwave::ops::testing {

/// Rounds the operands that a GPU takes as T, so that a judge on the host sees the same numbers.
template <typename T>
void round_operands(LtiProblem<double>& problem) {
  for (auto* numbers : {&problem.u, &problem.dy}) {
    for (double& x : *numbers) x = static_cast<double>(static_cast<float>(static_cast<T>(x)));
  }
}

/// A scan's operands and those of its gradient on a GPU; outputs start as NaN. `pad` elements lie
/// between rows of channels.
template <typename T>
class LtiDevice {
 public:
  explicit LtiDevice(const LtiProblem<double>& problem, int64_t pad = 0)
      : size_(problem.size),
        pad_(pad),
        u_(rows(problem.u)),
        dy_(rows(problem.dy)),
        y_(size_.batch * size_.time * (size_.channels + pad)),
        du_(size_.batch * size_.time * (size_.channels + pad)),
        d_(problem.d),
        dd_(size_.channels),
        a_(problem.a),
        c_(problem.c),
        h_(problem.h),
        h0_(problem.h),
        dh_(problem.dh),
        da_(size_.channels * size_.modes),
        dc_(size_.channels * size_.modes),
        dh0_(size_.batch * size_.channels * size_.modes) {}

  LtiScanCudaSize size() const { return {size_.batch, size_.time, size_.channels, size_.modes}; }

  LtiScanCudaArgs<T> args() {
    return {.u = signal(u_),
            .a = factor(a_),
            .c = factor(c_),
            .d = {d_.data(), {size_.channels}},
            .h = state(h_),
            .y = signal(y_)};
  }

  LtiScanCudaGradArgs<T> grad_args() {
    return {.u = signal(u_),
            .a = factor(a_),
            .c = factor(c_),
            .d = {d_.data(), {size_.channels}},
            .h0 = state(h0_),
            .dy = signal(dy_),
            .dh = state(dh_),
            .du = signal(du_),
            .da = factor(da_),
            .dc = factor(dc_),
            .dd = {dd_.data(), {size_.channels}},
            .dh0 = state(dh0_)};
  }

  void run(const LtiScanCudaArgs<T>& args, const LtiScanPlan& plan) {
    const LtiScanCudaSize size{args.u.extent(0), args.u.extent(1), args.u.extent(2),
                               args.a.extent(1)};
    const size_t bytes = lti_scan_plan_bytes<T>(size, plan);
    DeviceBuffer<std::byte> workspace(static_cast<int64_t>(bytes));
    lti_scan_by_plan(args, plan, {workspace.data(), bytes}, nullptr);
    require_cuda(cudaDeviceSynchronize());
  }

  void run(const LtiScanCudaGradArgs<T>& args, const LtiScanPlan& plan) {
    const size_t bytes = lti_scan_grad_plan_bytes<T>(size(), plan);
    DeviceBuffer<std::byte> workspace(static_cast<int64_t>(bytes));
    lti_scan_grad_by_plan(args, plan, {workspace.data(), bytes}, nullptr);
    require_cuda(cudaDeviceSynchronize());
  }

  std::vector<double> y() const { return without_padding(y_.wide()); }
  std::vector<double> du() const { return without_padding(du_.wide()); }
  std::vector<double> dd() const { return dd_.wide(); }
  std::vector<std::complex<float>> h() const { return h_.host(); }
  std::vector<std::complex<float>> da() const { return da_.host(); }
  std::vector<std::complex<float>> dc() const { return dc_.host(); }
  std::vector<std::complex<float>> dh0() const { return dh0_.host(); }

 private:
  using Complexes = DeviceBuffer<std::complex<float>>;

  View<T, 3> signal(DeviceBuffer<T>& data) const {
    const int64_t row = size_.channels + pad_;
    return {data.data(), {size_.batch, size_.time, size_.channels}, {size_.time * row, row, 1}};
  }
  View<std::complex<float>, 2> factor(Complexes& data) const {
    return {data.data(), {size_.channels, size_.modes}};
  }
  View<std::complex<float>, 3> state(Complexes& data) const {
    return {data.data(), {size_.batch, size_.channels, size_.modes}};
  }

  std::vector<double> rows(const std::vector<double>& dense) const {
    std::vector<double> padded;
    for (int64_t i = 0; i < size_.batch * size_.time; ++i) {
      const auto first = dense.begin() + i * size_.channels;
      padded.insert(padded.end(), first, first + size_.channels);
      padded.insert(padded.end(), pad_, std::numeric_limits<double>::quiet_NaN());
    }
    return padded;
  }
  std::vector<double> without_padding(const std::vector<double>& padded) const {
    std::vector<double> numbers;
    for (int64_t i = 0; i < size_.batch * size_.time; ++i) {
      const auto first = padded.begin() + i * (size_.channels + pad_);
      numbers.insert(numbers.end(), first, first + size_.channels);
    }
    return numbers;
  }

  LtiSize size_;
  int64_t pad_;
  DeviceBuffer<T> u_, dy_, y_, du_;
  DeviceBuffer<float> d_, dd_;
  Complexes a_, c_, h_, h0_, dh_, da_, dc_, dh0_;
};

}  // namespace longwave::ops::testing
