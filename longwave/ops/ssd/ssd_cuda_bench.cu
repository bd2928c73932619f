// SPDX-License-Identifier: Apache-2.0
// Times ssd, its gradient and its step on a GPU against the time that its bytes need at the speed
// of a copy in the same run. Checks against the reference first, and refuses to time a wrong
// kernel.
//
// usage: ssd_cuda_bench [--plans]     --plans times other plans and both engines, not only the
//        chosen ones; /wg is for those on warpgroups
#include <cuda_runtime.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

#include "longwave/ops/ssd/testing/ssd_device.h"
#include "longwave/ops/testing/device_bench.h"

namespace longwave::ops {
namespace {

using testing::DeviceBuffer;
using testing::DeviceTime;

constexpr int kRepeats = 20;

// Whether the largest error is within a few roundings of the largest number.
template <typename T>
bool is_close(const std::vector<double>& expected, const std::vector<double>& got) {
  return testing::is_close(expected, got, testing::kEpsilon<T> + 1e-5);
}

template <typename T>
bool is_right(const SsdSize& size, const SsdPlan& plan) {
  testing::SsdProblem<double> oracle(size, {}, 1);
  testing::round_operands<T>(oracle);
  testing::SsdDevice<T> device(oracle);
  oracle.forward();
  device.run(device.args(), plan);
  return is_close<T>(oracle.y, device.y()) && is_close<T>(oracle.h, device.h());
}

template <typename T>
bool is_gradient_right(const SsdSize& size) {
  testing::SsdProblem<double> oracle(size, {}, 1);
  testing::round_operands<T>(oracle);
  testing::SsdGradDevice<T> device(oracle);
  oracle.backward();
  device.run(device.grad_args(), ssd_grad_plan<T>(size));
  const auto expected = testing::gradients_of(oracle);
  const auto got = device.gradients();
  for (size_t i = 0; i < got.size(); ++i) {
    if (!is_close<T>(*expected[i].numbers, got[i])) return false;
  }
  return true;
}

/// Random operands of any size, made on the host once and repeated.
template <typename T>
class Operands {
 public:
  explicit Operands(const SsdSize& size)
      : size_(size),
        A_(numbers(size.heads, -4, -0.1)),
        D_(numbers(size.heads, -1, 1)),
        bias_(numbers(size.heads, -5, -2)),
        h_(states()),
        dA_(size.heads),
        dD_(size.heads),
        dbias_(size.heads),
        dh0_(states()) {
    testing::require_cuda(cudaMemset(h_.data(), 0, states() * sizeof(float)));
    for (auto* signal : {&x_, &y_, &dx_}) *signal = random(signals());
    for (auto* rows : {&B_, &C_, &dB_, &dC_}) *rows = random(inputs());
    for (auto* sizes : {&dt_, &ddt_}) *sizes = random(steps());
  }

  SsdCudaArgs<T> args() {
    const auto [batch, time, heads, head_dim, groups, state] = size_;
    return {.in = in(),
            .h = {h_.data(), {batch, heads, head_dim, state}},
            .y = {y_->data(), {batch, time, heads, head_dim}}};
  }

  // With y in the place of dy.
  SsdCudaGradArgs<T> grad_args() {
    const auto [batch, time, heads, head_dim, groups, state] = size_;
    return {.in = in(),
            .h0 = {},
            .dy = {y_->data(), {batch, time, heads, head_dim}},
            .dh = {},
            .dx = {dx_->data(), {batch, time, heads, head_dim}},
            .ddt = {ddt_->data(), {batch, time, heads}},
            .dA = {dA_.data(), {heads}},
            .dB = {dB_->data(), {batch, time, groups, state}},
            .dC = {dC_->data(), {batch, time, groups, state}},
            .dD = {dD_.data(), {heads, 1}},
            .ddt_bias = {dbias_.data(), {heads}},
            .dh0 = {dh0_.data(), {batch, heads, head_dim, state}}};
  }

  double grad_bytes() const {
    return sizeof(T) * (3.0 * signals() + 4.0 * inputs() + 2.0 * steps());
  }
  double bytes() const { return sizeof(T) * (2.0 * signals() + 2.0 * inputs() + 1.0 * steps()); }
  // The state is read and written.
  double step_bytes() const { return bytes() + 2.0 * sizeof(float) * states(); }
  double footprint() const { return bytes() + (size_.time == 1 ? sizeof(float) * states() : 0); }

 private:
  using Buffer = std::unique_ptr<DeviceBuffer<T>>;

  int64_t steps() const { return size_.batch * size_.time * size_.heads; }
  int64_t states() const { return size_.batch * size_.heads * size_.head_dim * size_.state; }
  int64_t signals() const { return steps() * size_.head_dim; }
  int64_t inputs() const { return size_.batch * size_.time * size_.groups * size_.state; }

  SsdCudaInputs<T> in() {
    const auto [batch, time, heads, head_dim, groups, state] = size_;
    return {.x = {x_->data(), {batch, time, heads, head_dim}},
            .dt = {dt_->data(), {batch, time, heads}},
            .A = {A_.data(), {heads}},
            .B = {B_->data(), {batch, time, groups, state}},
            .C = {C_->data(), {batch, time, groups, state}},
            .D = {D_.data(), {heads, 1}},
            .dt_bias = {bias_.data(), {heads}},
            .starts = {},
            .limits = {}};
  }

  std::vector<float> numbers(int64_t count, double low, double high) {
    std::vector<float> list;
    for (int64_t i = 0; i < count; ++i) list.push_back(float(random_.uniform(low, high)));
    return list;
  }

  Buffer random(int64_t count) {
    return testing::repeated_on_device<T>(count, [&] { return random_.normal(); });
  }

  SsdSize size_;
  Random random_{1};
  DeviceBuffer<float> A_, D_, bias_, h_, dA_, dD_, dbias_, dh0_;
  Buffer x_, y_, B_, C_, dt_, dx_, dB_, dC_, ddt_;
};

template <typename T>
using Sets = testing::Rotating<Operands<T>>;

void report(const char* what, const char* type, const SsdSize& size, int64_t heads, int64_t cuts,
            const DeviceTime& time, double bytes, double copy_speed) {
  const double floor = bytes / copy_speed * 1e3;
  std::printf(
      "%-11s %-8s B%-2ld L%-6ld H%-4ld P%-3ld G%-2ld N%-4ld %3ld %3ld  %8.4f (%.4f to %.4f)  %8.4f "
      "%5.1f%%\n",
      what, type, size.batch, size.time, size.heads, size.head_dim, size.groups, size.state, heads,
      cuts, time.median, time.least, time.most, floor, 100 * floor / time.median);
}

template <typename T>
void time_plan(const char* type, const SsdSize& size, Sets<T>& operands, const SsdPlan& plan,
               double copy_speed) {
  const size_t bytes = ssd_plan_bytes(size, plan);
  DeviceBuffer<std::byte> workspace(static_cast<int64_t>(bytes));
  const DeviceTime time = testing::time_on_device(kRepeats, [&](int i) {
    ssd_by_plan(operands[i].args(), plan, {workspace.data(), bytes}, nullptr);
  });
  const bool warps = plan.engine == SsdEngine::kWarps;
  report(warps ? "forward" : "forward/wg", type, size, plan.heads, plan.segments, time,
         operands[0].bytes(), copy_speed);
}

template <typename T>
void time_gradient(const char* type, const SsdSize& size, Sets<T>& operands,
                   const SsdGradPlan& plan, double copy_speed) {
  const size_t bytes = ssd_grad_plan_bytes<T>(size, plan);
  DeviceBuffer<std::byte> workspace(static_cast<int64_t>(bytes));
  const DeviceTime time = testing::time_on_device(kRepeats, [&](int i) {
    ssd_grad_by_plan(operands[i].grad_args(), plan, {workspace.data(), bytes}, nullptr);
  });
  const bool warps = plan.engine == SsdEngine::kWarps;
  report(warps ? "gradient" : "gradient/wg", type, size, plan.heads,
         warps ? plan.march.segments : 1, time, operands[0].grad_bytes(), copy_speed);
}

template <typename T>
void time_shape(const char* type, const SsdSize& size, double copy_speed, bool all) {
  Sets<T> operands(size);
  time_plan(type, size, operands, ssd_scan_plan<T>(size), copy_speed);
  const SsdGradPlan plan = ssd_grad_plan<T>(size);
  time_gradient(type, size, operands, plan, copy_speed);
  if (all && plan.engine == SsdEngine::kWarpgroups) {
    SsdGradPlan warps = plan;
    warps.engine = SsdEngine::kWarps;
    time_gradient(type, size, operands, warps, copy_speed);
  }
  if (!all) return;
  const gpu::Capacity capacity = gpu::present_capacity("bench");
  for (int heads = 1; heads <= ssd_most_heads<T>(size, capacity); ++heads) {
    if (size.heads / size.groups % heads != 0) continue;
    time_plan(type, size, operands, ssd_plan<T>(size, capacity, heads, 1), copy_speed);
  }
  if (!ssd_fits_warpgroups<T>(size)) return;
  for (const int heads : {1, 2}) {
    for (const int64_t segments : {1, 2, 3, 4, 6, 8}) {
      time_plan(type, size, operands, ssd_warpgroup_plan<T>(size, heads, segments), copy_speed);
    }
  }
}

template <typename T>
void time_step(const char* type, const SsdSize& size, double copy_speed) {
  Sets<T> operands(size);
  const SsdPlan plan = ssd_scan_plan<T>(size);
  const size_t bytes = ssd_plan_bytes(size, plan);
  DeviceBuffer<std::byte> workspace(static_cast<int64_t>(bytes));
  const DeviceTime time =
      testing::time_steps(kRepeats, operands, [&](int64_t i, cudaStream_t stream) {
        ssd_by_plan(operands[i].args(), plan, {workspace.data(), bytes}, stream);
      });
  std::printf("%-11s %-8s B%-2ld L1      H%-4ld P%-3ld G%-2ld N%-4ld %s\n", "step", type,
              size.batch, size.heads, size.head_dim, size.groups, size.state,
              testing::step_timing(time, operands[0].step_bytes(), copy_speed).c_str());
}

// The forward pass by some plans of either engine; says which is wrong.
bool is_forward_right() {
  using T = __nv_bfloat16;
  const SsdSize size{1, 300, 10, 64, 1, 128};
  const gpu::Capacity capacity = gpu::present_capacity("bench");
  for (const int64_t segments : {1, 3}) {
    for (const int heads : {1, 2, 5}) {
      if (is_right<T>(size, ssd_plan<T>(size, capacity, heads, segments)) &&
          is_right<float>(size, ssd_plan<float>(size, capacity, std::min(heads, 2), segments))) {
        continue;
      }
      std::printf("heads %d, segments %ld: wrong result, not timed\n", heads, segments);
      return false;
    }
    for (const int heads : {1, 2}) {
      if (!ssd_fits_warpgroups<T>(size)) break;
      if (is_right<T>(size, ssd_warpgroup_plan<T>(size, heads, segments))) continue;
      std::printf("warpgroups, heads %d, segments %ld: wrong result, not timed\n", heads, segments);
      return false;
    }
  }
  const SsdSize step{2, 1, 10, 64, 1, 128};
  if (is_right<T>(step, ssd_scan_plan<T>(step)) &&
      is_right<float>(step, ssd_scan_plan<float>(step))) {
    return true;
  }
  std::printf("step: wrong result, not timed\n");
  return false;
}

int main_of(bool all) {
  if (!is_forward_right()) return 1;
  if (!is_gradient_right<__nv_bfloat16>({1, 200, 4, 64, 1, 128}) ||
      !is_gradient_right<float>({1, 200, 4, 64, 1, 128})) {
    std::printf("gradient: wrong result, not timed\n");
    return 1;
  }
  const double copy_speed = testing::announce_device();
  std::printf(
      "pass        type     shape                             heads cuts median ms (least to most) "
      "  "
      "floor ms\n");
  for (const SsdSize& size : {SsdSize{8, 2048, 80, 64, 1, 128},
                              {8, 2048, 24, 64, 1, 128},
                              {1, 65536, 80, 64, 1, 128},
                              {8, 2048, 80, 64, 8, 64},
                              {4, 4096, 128, 64, 8, 128}}) {
    time_shape<__nv_bfloat16>("bfloat16", size, copy_speed, all);
  }
  time_shape<float>("float32", {8, 2048, 24, 64, 1, 128}, copy_speed, all);
  for (const int64_t heads : {24, 80}) {
    for (const int64_t batch : {1, 64}) {
      time_step<__nv_bfloat16>("bfloat16", {batch, 1, heads, 64, 1, 128}, copy_speed);
      time_step<float>("float32", {batch, 1, heads, 64, 1, 128}, copy_speed);
    }
  }
  return 0;
}

}  // namespace
}  // namespace longwave::ops

int main(int count, char** words) {
  return longwave::ops::main_of(count > 1 && std::strcmp(words[1], "--plans") == 0);
}
