// SPDX-License-Identifier: Apache-2.0
// Times selective_scan and its step on a GPU against the time that its bytes need at the speed of a
// copy in the same run. Checks against the reference first, and refuses to time a wrong kernel.
//
// usage: selective_scan_cuda_bench [--plans]     --plans times every plan, not only the chosen one
#include <cuda_runtime.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "longwave/ops/selective_scan/selective_scan_plan_cuda.h"
#include "longwave/ops/selective_scan/testing/selective_device.h"
#include "longwave/ops/testing/device_bench.h"

namespace longwave::ops {
namespace {

using testing::DeviceBuffer;
using testing::DeviceTime;
using testing::SelectiveDevice;
using testing::SelectiveSize;

constexpr int kRepeats = 20;
// States of a channel as Mamba has them, and the most that are timed.
constexpr int64_t kStates = 16, kMostStates = 64;

template <typename T>
bool is_right(const SelectiveSize& size, const SelectiveScanPlan& plan) {
  testing::SelectiveProblem<double> oracle(size, 1);
  testing::round_operands<T>(oracle);
  SelectiveDevice<T> device(oracle);
  oracle.forward();
  device.run(device.args(), plan);
  return testing::is_close(oracle.y, device.y(), testing::kEpsilon<T> + 8e-6) &&
         testing::is_close(oracle.h, device.h(), 8e-6);
}

// Random operands of any size, made on the host once and repeated.
template <typename T>
class Operands {
 public:
  explicit Operands(const SelectiveSize& size)
      : size_(size),
        signal_(size.batch * size.time * size.channels),
        inputs_(size.batch * size.time * size.groups * size.state),
        A_(numbers(size.channels * size.state, -5.0, -0.3)),
        D_(numbers(size.channels, -1, 1)),
        bias_(numbers(size.channels, -5, -2)),
        h_(size.batch * size.channels * size.state) {
    testing::require_cuda(cudaMemset(h_.data(), 0, size.batch * size.channels * size.state * 4));
    for (auto& signal : signals_of_) signal = random(signal_);
    for (auto& inputs : inputs_of_) inputs = random(inputs_);
    y_ = std::make_unique<DeviceBuffer<T>>(signal_);
  }

  SelectiveScanCudaArgs<T> args() {
    const auto [batch, time, channels, groups, state] = size_;
    const auto signal = [&](DeviceBuffer<T>& x) {
      return View<T, 3>(x.data(), {batch, time, channels});
    };
    const auto inputs = [&](DeviceBuffer<T>& x) {
      return View<T, 4>(x.data(), {batch, time, groups, state});
    };
    return {.in = {.step_size = StepSize::kSoftplus,
                   .u = signal(*signals_of_[0]),
                   .dt = signal(*signals_of_[1]),
                   .A = {A_.data(), {channels, state}},
                   .B = inputs(*inputs_of_[0]),
                   .C = inputs(*inputs_of_[1]),
                   .D = {D_.data(), {channels}},
                   .dt_bias = {bias_.data(), {channels}},
                   .z = signal(*signals_of_[2]),
                   .starts = {}},
            .h = {h_.data(), {batch, channels, state}},
            .y = signal(*y_),
            .states = {}};
  }

  double bytes() const { return sizeof(T) * (4.0 * signal_ + 2.0 * inputs_); }
  // The state is read and written, rates and biases are read.
  double step_bytes() const { return bytes() + 4.0 * (2 * states() + rates()); }
  double footprint() const {
    return size_.time == 1 ? bytes() + 4.0 * (states() + rates()) : bytes();
  }
  SelectiveScanCudaSize size() const {
    return {size_.batch, size_.time, size_.channels, size_.groups, size_.state};
  }

 private:
  int64_t states() const { return size_.batch * size_.channels * size_.state; }
  int64_t rates() const { return size_.channels * (size_.state + 2); }

  std::vector<float> numbers(int64_t count, double low, double high) {
    std::vector<float> list;
    for (int64_t i = 0; i < count; ++i) list.push_back(float(random_.uniform(low, high)));
    return list;
  }

  std::unique_ptr<DeviceBuffer<T>> random(int64_t count) {
    return testing::repeated_on_device<T>(count, [&] { return random_.normal(); });
  }

  SelectiveSize size_;
  Random random_{1};
  int64_t signal_, inputs_;
  DeviceBuffer<float> A_, D_, bias_, h_;
  std::unique_ptr<DeviceBuffer<T>> signals_of_[3], inputs_of_[2], y_;
};

template <typename T>
using Sets = testing::Rotating<Operands<T>>;

template <typename T>
void time_plan(const char* type, const SelectiveSize& size, Sets<T>& operands,
               const SelectiveScanPlan& plan, double copy_speed) {
  const size_t bytes = selective_scan_plan_bytes(operands[0].size(), plan);
  DeviceBuffer<std::byte> workspace(static_cast<int64_t>(bytes));
  const DeviceTime time = testing::time_on_device(kRepeats, [&](int i) {
    selective_scan_by_plan(operands[i].args(), plan, {workspace.data(), bytes}, nullptr);
  });
  const double floor = operands[0].bytes() / copy_speed * 1e3;
  const SelectiveLanes& lanes = selective_lanes_of(plan);
  std::printf(
      "%-8s B%-2ld D%-5ld L%-6ld N%-3ld %2dx%2dx%d %-5s %3ld  %8.4f (%.4f to %.4f)  %8.4f "
      "%5.1f%%\n",
      type, size.batch, size.channels, size.time, size.state, lanes.states, lanes.lanes,
      lanes.channels, plan.work == SelectiveWork::kApart ? "apart" : "", plan.segments, time.median,
      time.least, time.most, floor, 100 * floor / time.median);
}

template <typename T>
void time_shape(const char* type, const SelectiveSize& size, double copy_speed, bool all) {
  Sets<T> operands(size);
  const SelectiveScanCudaSize extents = operands[0].size();
  time_plan(type, size, operands, selective_scan_plan(extents), copy_speed);
  const bool apart = all && selective_fits_apart(gpu::present_capacity("bench"));
  for (int i = 0; apart && i < static_cast<int>(kSelectiveApartLanes.size()); ++i) {
    if (kSelectiveApartLanes[i].most_states() != size.state) continue;
    time_plan(type, size, operands, selective_apart_plan(extents, i), copy_speed);
  }
  for (int i = 0; all && i < static_cast<int>(kSelectiveLanes.size()); ++i) {
    if (kSelectiveLanes[i].most_states() != size.state) continue;
    for (const int64_t segments : {1, 8, 16}) {
      if (segments > 1 && size.batch * size.channels > 16384) continue;
      time_plan(type, size, operands, selective_scan_plan(extents, i, segments), copy_speed);
    }
  }
}

template <typename T>
void time_step(const char* type, int64_t batch, int64_t channels, double copy_speed) {
  const SelectiveSize size{batch, 1, channels, 1, kStates};
  Sets<T> operands(size);
  const SelectiveScanPlan plan = selective_scan_plan(operands[0].size());
  const size_t bytes = selective_scan_plan_bytes(operands[0].size(), plan);
  DeviceBuffer<std::byte> workspace(static_cast<int64_t>(bytes));
  const DeviceTime time =
      testing::time_steps(kRepeats, operands, [&](int64_t i, cudaStream_t stream) {
        selective_scan_by_plan(operands[i].args(), plan, {workspace.data(), bytes}, stream);
      });
  std::printf("%-8s B%-2ld D%-5ld L1      N%-3ld step   %s\n", type, batch, channels, kStates,
              testing::step_timing(time, operands[0].step_bytes(), copy_speed).c_str());
}

template <typename Plan>
bool both_are_right(const SelectiveSize& size, const char* what, const Plan& plan_of) {
  const SelectiveScanPlan plan =
      plan_of(SelectiveScanCudaSize{size.batch, size.time, size.channels, 1, size.state});
  if (is_right<float>(size, plan) && is_right<__nv_bfloat16>(size, plan)) return true;
  std::printf("%s, lanes %d, segments %ld: wrong result, not timed\n", what, plan.lanes,
              plan.segments);
  return false;
}

// All plans that are timed, and that of a step; says which is wrong.
bool all_are_right() {
  for (int lanes = 0; lanes < static_cast<int>(kSelectiveLanes.size()); ++lanes) {
    if (kSelectiveLanes[lanes].most_states() > kMostStates) continue;
    for (const int64_t segments : {1, 3}) {
      const auto plan = [&](const auto& size) {
        return selective_scan_plan(size, lanes, segments);
      };
      const int64_t state = kSelectiveLanes[lanes].most_states();
      if (!both_are_right({2, 300, 128, 1, state}, "shared work", plan)) return false;
    }
  }
  const bool apart = selective_fits_apart(gpu::present_capacity("bench"));
  for (int lanes = 0; apart && lanes < static_cast<int>(kSelectiveApartLanes.size()); ++lanes) {
    const auto plan = [&](const auto& size) { return selective_apart_plan(size, lanes); };
    if (!both_are_right({2, 300, 128, 1, kStates}, "work apart", plan)) return false;
  }
  return both_are_right({2, 1, 1536, 1, kStates}, "step",
                        [](const auto& size) { return selective_scan_plan(size); });
}

int main_of(bool all) {
  if (!all_are_right()) return 1;
  const double copy_speed = testing::announce_device();
  std::printf(
      "type     shape                     lanes        cuts median ms (least to most)   floor "
      "ms\n");
  for (const SelectiveSize& size : {SelectiveSize{8, 2048, 4096, 1, 16},
                                    {8, 2048, 1536, 1, 16},
                                    {1, 65536, 4096, 1, 16},
                                    {1, 16384, 2048, 1, 16},
                                    {1, 16384, 1536, 1, 16},
                                    {64, 512, 1536, 1, 16},
                                    {1, 65536, 256, 1, 16},
                                    {8, 2048, 4096, 1, kMostStates}}) {
    time_shape<__nv_bfloat16>("bfloat16", size, copy_speed, all);
  }
  for (const SelectiveSize& size : {SelectiveSize{8, 2048, 4096, 1, 16}, {1, 65536, 4096, 1, 16}}) {
    time_shape<float>("float32", size, copy_speed, all);
  }
  for (const int64_t channels : {1536, 4096}) {
    for (const int64_t batch : {1, 64}) {
      time_step<__nv_bfloat16>("bfloat16", batch, channels, copy_speed);
      time_step<float>("float32", batch, channels, copy_speed);
    }
  }
  return 0;
}

}  // namespace
}  // namespace longwave::ops

int main(int count, char** words) {
  return longwave::ops::main_of(count > 1 && std::strcmp(words[1], "--plans") == 0);
}
