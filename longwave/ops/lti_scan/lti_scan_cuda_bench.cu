// SPDX-License-Identifier: Apache-2.0
// Times lti_scan and its gradient on a GPU against the time that their bytes need at the speed of a
// copy in the same run. Checks against the reference first, and refuses to time a wrong kernel.
//
// usage: lti_scan_cuda_bench [--plans]     --plans times the scan of bfloat16 by other plans, not
//        only the chosen ones
#include <cuda_runtime.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "longwave/ops/lti_scan/lti_scan_ref.h"
#include "longwave/ops/lti_scan/testing/lti_device.h"
#include "longwave/ops/testing/device_bench.h"

namespace longwave::ops {
namespace {

using testing::DeviceBuffer;
using testing::DeviceTime;
using testing::LtiDevice;
using testing::LtiSize;

constexpr int kRepeats = 20;

// The error's norm relative to that of what was expected.
template <typename Expected, typename Got>
double relative_error(const std::vector<Expected>& expected, const std::vector<Got>& got) {
  double error = 0, norm = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    error += std::norm(std::complex<double>(expected[i]) - std::complex<double>(got[i]));
    norm += std::norm(std::complex<double>(expected[i]));
  }
  return std::sqrt(error / norm);
}

template <typename T>
bool is_right(const char* type, const LtiCut& boxes = {}) {
  const LtiSize size{2, 1000, 48, 32};
  testing::LtiProblem<double> oracle(size, 1);
  // What is timed has no gradient of the final state.
  std::fill(oracle.dh.begin(), oracle.dh.end(), 0.0);
  testing::round_operands<T>(oracle);
  LtiDevice<T> device(oracle);
  lti_scan_backward_ref(oracle.grad_args());
  lti_scan_ref(oracle.args());
  const LtiScanPlan plan{lti_cut(size.time, 4), lti_cut(size.time, 4), boxes, boxes.segments == 1};
  device.run(device.args(), plan);
  auto grads = device.grad_args();
  grads.dh = {};
  device.run(grads, plan);
  const double y = relative_error(oracle.y, device.y()),
               du = relative_error(oracle.du, device.du());
  const double da = relative_error(oracle.da, device.da());
  const double dc = relative_error(oracle.dc, device.dc());
  std::printf("%-8s relative errors: y %.2e, du %.2e, da %.2e, dc %.2e\n", type, y, du, da, dc);
  const double split = 3.0 / (1 << 18), whole = testing::kEpsilon<T> / 2 + split;
  return y < whole && du < whole && da < 4 * split && dc < 4 * split;
}

// Random operands of any size, made on the host once and repeated.
template <typename T>
class Operands {
 public:
  explicit Operands(const LtiSize& size)
      : size_(size),
        signal_(size.batch * size.time * size.channels),
        a_(factors(size, Factor::kPole)),
        c_(factors(size, Factor::kReadout)),
        da_(size.channels * size.modes),
        dc_(size.channels * size.modes),
        d_(std::vector<float>(size.channels, 0.5f)),
        dd_(size.channels),
        h_(std::vector<float>(2 * size.batch * size.channels * size.modes, 0.0f)),
        dh0_(size.batch * size.channels * size.modes) {
    for (auto& signal : signals_) signal = random();
  }

  LtiScanCudaArgs<T> args() {
    return {.u = signal(*signals_[0]),
            .a = factor(a_),
            .c = factor(c_),
            .d = {d_.data(), {size_.channels}},
            .h = state(h_.data()),
            .y = signal(*signals_[1])};
  }
  LtiScanCudaGradArgs<T> grad_args() {
    return {.u = signal(*signals_[0]),
            .a = factor(a_),
            .c = factor(c_),
            .d = {d_.data(), {size_.channels}},
            .h0 = state(h_.data()),
            .dy = signal(*signals_[1]),
            .dh = {},
            .du = signal(*signals_[2]),
            .da = factor(da_),
            .dc = factor(dc_),
            .dd = {dd_.data(), {size_.channels}},
            .dh0 = state(dh0_.data())};
  }

  LtiScanCudaSize size() const { return {size_.batch, size_.time, size_.channels, size_.modes}; }
  double signal_bytes() const { return static_cast<double>(signal_) * sizeof(T); }
  double footprint() const { return 2 * signal_bytes(); }

 private:
  enum class Factor { kPole, kReadout };

  static std::vector<std::complex<float>> factors(const LtiSize& size, Factor which) {
    Random random(1, static_cast<uint64_t>(which));
    std::vector<std::complex<float>> numbers;
    for (int64_t i = 0; i < size.channels * size.modes; ++i) {
      numbers.emplace_back(which == Factor::kReadout
                               ? testing::LtiProblem<float>::draw(random)
                               : std::complex<float>(std::polar(random.uniform(0.9, 0.9999),
                                                                random.uniform(-3.1, 3.1))));
    }
    return numbers;
  }

  std::unique_ptr<DeviceBuffer<T>> random() {
    return testing::repeated_on_device<T>(signal_, [&] { return random_.normal(); });
  }

  View<T, 3> signal(DeviceBuffer<T>& data) const {
    return {data.data(), {size_.batch, size_.time, size_.channels}};
  }
  View<std::complex<float>, 2> factor(DeviceBuffer<std::complex<float>>& data) const {
    return {data.data(), {size_.channels, size_.modes}};
  }
  View<std::complex<float>, 3> state(void* data) const {
    return {static_cast<std::complex<float>*>(data), {size_.batch, size_.channels, size_.modes}};
  }

  LtiSize size_;
  Random random_{1};
  int64_t signal_;
  DeviceBuffer<std::complex<float>> a_, c_, da_, dc_;
  DeviceBuffer<float> d_, dd_, h_;
  DeviceBuffer<std::complex<float>> dh0_;
  std::unique_ptr<DeviceBuffer<T>> signals_[3];
};

void print(const char* type, const LtiSize& size, const char* what, const DeviceTime& time,
           double bytes, double copy_speed) {
  const double floor = bytes / copy_speed * 1e3;
  std::printf("%-8s B%-2ld D%-4ld L%-6ld modes %-3ld %-8s %8.4f (%.4f to %.4f)  %8.4f %5.1f%%\n",
              type, size.batch, size.channels, size.time, size.modes, what, time.median, time.least,
              time.most, floor, 100 * floor / time.median);
}

template <typename T>
void time_shape(const char* type, const LtiSize& size, double copy_speed) {
  testing::Rotating<Operands<T>> operands(size);
  const LtiScanCudaSize extents = operands[0].size();
  const double signal = operands[0].signal_bytes();
  const size_t bytes = std::max(lti_scan_cuda_workspace_bytes<T>(extents),
                                lti_scan_cuda_backward_workspace_bytes<T>(extents));
  DeviceBuffer<std::byte> workspace(static_cast<int64_t>(bytes));
  const std::span<std::byte> scratch{workspace.data(), bytes};
  print(type, size, "forward",
        testing::time_on_device(
            kRepeats, [&](int i) { lti_scan_cuda(operands[i].args(), scratch, nullptr); }),
        2 * signal, copy_speed);
  print(type, size, "backward",
        testing::time_on_device(
            kRepeats,
            [&](int i) { lti_scan_cuda_backward(operands[i].grad_args(), scratch, nullptr); }),
        3 * signal, copy_speed);
}

// The scan by warps of 16 lines, and through boxes with sequences whole or cut; its gradient by the
// chosen plan and without boxes.
void time_plans(const LtiSize& size, double copy_speed) {
  using T = __nv_bfloat16;
  testing::Rotating<Operands<T>> operands(size);
  const LtiScanCudaSize extents = operands[0].size();
  const LtiScanPlan chosen = lti_scan_plan<T>(extents);
  for (const int64_t segments : {-1, 0, 1, 8}) {
    LtiScanPlan plan = chosen;
    if (segments == 0) plan.boxes = {};
    if (segments > 0) plan.boxes = lti_cut(size.time, segments, kLtiBoxStage);
    const size_t bytes =
        std::max(lti_scan_plan_bytes<T>(extents, plan), lti_scan_grad_plan_bytes<T>(extents, plan));
    DeviceBuffer<std::byte> workspace(static_cast<int64_t>(bytes));
    const std::span<std::byte> scratch{workspace.data(), bytes};
    const std::string what = segments < 0    ? "chosen"
                             : segments == 0 ? "warps"
                                             : "in " + std::to_string(segments);
    print(
        "bfloat16", size, what.c_str(),
        testing::time_on_device(
            kRepeats, [&](int i) { lti_scan_by_plan(operands[i].args(), plan, scratch, nullptr); }),
        2 * operands[0].signal_bytes(), copy_speed);
    if (segments > 0) continue;
    print(
        "gradient", size, what.c_str(),
        testing::time_on_device(
            kRepeats,
            [&](int i) { lti_scan_grad_by_plan(operands[i].grad_args(), plan, scratch, nullptr); }),
        3 * operands[0].signal_bytes(), copy_speed);
  }
}

int main_of(bool plans) {
  if (!is_right<float>("float32") || !is_right<__half>("float16") ||
      !is_right<__nv_bfloat16>("bfloat16") ||
      !is_right<__nv_bfloat16>("boxes", lti_cut(1000, 1, kLtiBoxStage)) ||
      !is_right<__nv_bfloat16>("boxes, cut", lti_cut(1000, 2, kLtiBoxStage))) {
    std::printf("wrong result, not timed\n");
    return 1;
  }
  const double copy_speed = testing::announce_device();
  std::printf(
      "type     shape                        pass      median ms (least to most)   floor ms\n");
  for (const LtiSize& size : {LtiSize{8, 1024, 512, 32},
                              {8, 4096, 512, 32},
                              {8, 16384, 512, 32},
                              {1, 131072, 512, 32},
                              {8, 16384, 512, 8}}) {
    if (plans) {
      time_plans(size, copy_speed);
      continue;
    }
    time_shape<__nv_bfloat16>("bfloat16", size, copy_speed);
    time_shape<__half>("float16", size, copy_speed);
    time_shape<float>("float32", size, copy_speed);
  }
  return 0;
}

}  // namespace
}  // namespace longwave::ops

int main(int count, char** words) {
  return longwave::ops::main_of(count > 1 && std::strcmp(words[1], "--plans") == 0);
}
