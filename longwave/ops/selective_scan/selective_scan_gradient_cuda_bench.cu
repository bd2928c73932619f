// SPDX-License-Identifier: Apache-2.0
// Times the gradient of selective_scan on a GPU against the time that its bytes need at the speed
// of a copy in the same run. Checks against the reference first, and refuses to time a wrong
// kernel.
//
// usage: selective_scan_gradient_cuda_bench [--plans]     --plans times every cut of time
#include <cuda_runtime.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

#include "longwave/ops/selective_scan/testing/selective_grad_device.h"
#include "longwave/ops/testing/device_bench.h"

namespace longwave::ops {
namespace {

using testing::DeviceBuffer;
using testing::DeviceTime;
using testing::SelectiveSize;

constexpr int kRepeats = 20;

template <typename T>
bool is_right(const SelectiveSize& size, int64_t segments, SelectiveCarry carry) {
  testing::SelectiveProblem<double> oracle(size, 1);
  testing::round_operands<T>(oracle);
  for (double& x : oracle.dy) x = static_cast<double>(static_cast<float>(static_cast<T>(x)));
  oracle.both();
  testing::SelectiveGradDevice<T> device(oracle);
  device.run(device.args(), selective_grad_plan(device.size(), segments, carry));
  const auto expected = oracle.gradients();
  const auto got = device.gradients();
  for (size_t k = 0; k < got.size(); ++k) {
    if (!testing::is_close(*expected[k].second, got[k], testing::kEpsilon<T> + 1e-5)) return false;
  }
  return true;
}

/// Random operands of any size, made on the host once and repeated.
template <typename T>
class Operands {
 public:
  explicit Operands(const SelectiveSize& size) : size_(size) {
    const auto [batch, time, channels, groups, state] = size;
    const int64_t signal = batch * time * channels, inputs = batch * time * groups * state;
    for (int i = 0; i < 7; ++i) signals_.push_back(random<T>(signal, 0, 1));
    for (int i = 0; i < 4; ++i) inputs_.push_back(random<T>(inputs, 0, 1));
    const int64_t held = batch * channels * state;
    states_ = random<float>(selective_scan_chunks(time, state) * held, 0, 1);
    A_ = random<float>(channels * state, -2.5, 0.7);
    for (int i = 0; i < 4; ++i) rows_.push_back(random<float>(channels, -3, 0.5));
    dA_ = random<float>(channels * state, 0, 1);
    dh0_ = random<float>(held, 0, 1);
  }

  SelectiveScanCudaGradArgs<T> args() {
    const auto [batch, time, channels, groups, state] = size_;
    const auto signal = [&](int i) {
      return View<T, 3>(signals_[i]->data(), {batch, time, channels});
    };
    const auto inputs = [&](int i) {
      return View<T, 4>(inputs_[i]->data(), {batch, time, groups, state});
    };
    const auto row = [&](int i) { return View<float, 1>(rows_[i]->data(), {channels}); };
    const int64_t chunks = selective_scan_chunks(time, state);
    return {.in = {.step_size = StepSize::kSoftplus,
                   .u = signal(0),
                   .dt = signal(1),
                   .A = {A_->data(), {channels, state}},
                   .B = inputs(0),
                   .C = inputs(1),
                   .D = row(0),
                   .dt_bias = row(1),
                   .z = signal(2),
                   .starts = {}},
            .states = {states_->data(), {batch, chunks, state, channels}},
            .dy = signal(3),
            .dh = {},
            .du = signal(4),
            .ddt = signal(5),
            .dA = {dA_->data(), {channels, state}},
            .dB = inputs(2),
            .dC = inputs(3),
            .dD = row(2),
            .ddt_bias = row(3),
            .dz = signal(6),
            .dh0 = {dh0_->data(), {batch, channels, state}}};
  }

  SelectiveScanCudaSize size() const {
    return {size_.batch, size_.time, size_.channels, size_.groups, size_.state};
  }
  double bytes() const {
    const double signal = size_.batch * size_.time * size_.channels;
    const double inputs = size_.batch * size_.time * size_.groups * size_.state;
    const double states = signal * size_.state / selective_scan_chunk(size_.state);
    return sizeof(T) * (7 * signal + 4 * inputs) + 4 * states;
  }
  double footprint() const { return bytes(); }

 private:
  template <typename Number>
  std::unique_ptr<DeviceBuffer<Number>> random(int64_t count, double mean, double deviation) {
    return testing::repeated_on_device<Number>(count, [&] {
      const double x = mean + deviation * random_.normal();
      return mean == -2.5 ? -std::abs(x) : x;
    });
  }

  SelectiveSize size_;
  Random random_{1};
  std::vector<std::unique_ptr<DeviceBuffer<T>>> signals_, inputs_;
  std::vector<std::unique_ptr<DeviceBuffer<float>>> rows_;
  std::unique_ptr<DeviceBuffer<float>> states_, A_, dA_, dh0_;
};

template <typename T>
using Sets = testing::Rotating<Operands<T>>;

constexpr std::array kCarries = {SelectiveCarry::kPass, SelectiveCarry::kHandOver,
                                 SelectiveCarry::kChain};
constexpr std::array kNames = {"pass", "hand", "chain"};

template <typename T>
void time_plan(const char* type, const SelectiveSize& size, Sets<T>& operands,
               const SelectiveScanPlan& plan, double copy_speed) {
  const size_t bytes = selective_grad_plan_bytes(operands[0].size(), plan);
  DeviceBuffer<std::byte> workspace(static_cast<int64_t>(bytes));
  const DeviceTime time = testing::time_on_device(kRepeats, [&](int i) {
    selective_scan_grad_by_plan(operands[i].args(), plan, {workspace.data(), bytes}, nullptr);
  });
  const double floor = operands[0].bytes() / copy_speed * 1e3;
  std::printf("%-8s B%-2ld D%-5ld L%-6ld N%-3ld %3ld %-5s %8.4f (%.4f to %.4f)  %8.4f %5.1f%%\n",
              type, size.batch, size.channels, size.time, size.state, plan.segments,
              kNames[static_cast<int>(plan.carry)], time.median, time.least, time.most, floor,
              100 * floor / time.median);
}

template <typename T>
void time_shape(const char* type, const SelectiveSize& size, double copy_speed, bool all) {
  Sets<T> operands(size);
  const SelectiveScanCudaSize extents = operands[0].size();
  time_plan(type, size, operands, selective_grad_plan_of<T>(extents), copy_speed);
  if (!all) return;
  time_plan(type, size, operands, selective_grad_plan(extents, 1), copy_speed);
  for (const SelectiveCarry carry : kCarries) {
    for (const int64_t segments : {2, 4, 8, 16}) {
      time_plan(type, size, operands, selective_grad_plan(extents, segments, carry), copy_speed);
    }
  }
}

int main_of(bool all) {
  for (const SelectiveSize& size : {SelectiveSize{2, 150, 100, 1, 16}, {1, 150, 40, 1, 64}}) {
    for (const SelectiveCarry carry : kCarries) {
      if (is_right<float>(size, 2, carry) && is_right<__nv_bfloat16>(size, 2, carry)) continue;
      std::printf("state %ld: wrong result, not timed\n", size.state);
      return 1;
    }
  }
  const double copy_speed = testing::announce_device();
  std::printf(
      "type     shape                     cuts      median ms (least to most)   floor ms\n");
  for (const SelectiveSize& size : {SelectiveSize{8, 2048, 4096, 1, 16},
                                    {8, 2048, 1536, 1, 16},
                                    {1, 65536, 4096, 1, 16},
                                    {1, 65536, 256, 1, 16},
                                    {64, 512, 1536, 1, 16},
                                    {16, 512, 384, 1, 16},
                                    {8, 2048, 1536, 1, 64}}) {
    time_shape<__nv_bfloat16>("bfloat16", size, copy_speed, all);
  }
  time_shape<float>("float32", {8, 2048, 4096, 1, 16}, copy_speed, all);
  time_shape<float>("float32", {16, 512, 384, 1, 16}, copy_speed, all);
  return 0;
}

}  // namespace
}  // namespace longwave::ops

int main(int count, char** words) {
  return longwave::ops::main_of(count > 1 && std::strcmp(words[1], "--plans") == 0);
}
