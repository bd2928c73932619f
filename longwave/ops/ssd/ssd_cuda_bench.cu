// SPDX-License-Identifier: Apache-2.0
// Times ssd and its gradient on a GPU against the time that its bytes need at the speed of a copy
// in the same run. Checks against the reference first, and refuses to time a wrong kernel.
//
// usage: ssd_cuda_bench [--plans]     --plans times other plans and both engines, not only the
//        chosen ones; of the forward pass on warpgroups, /wg, blocks a multiprocessor stand for
//        heads
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

/// Random operands of any size, made on the host once and repeated; sets of them take turns, so
/// that none is left in the cache.
template <typename T>
class Operands {
 public:
  explicit Operands(const SsdSize& size)
      : size_(size),
        A_(numbers(size.heads, -4, -0.1)),
        D_(numbers(size.heads, -1, 1)),
        bias_(numbers(size.heads, -5, -2)),
        h_(size.batch * size.heads * size.head_dim * size.state),
        dA_(size.heads),
        dD_(size.heads),
        dbias_(size.heads),
        dh0_(size.batch * size.heads * size.head_dim * size.state) {
    testing::require_cuda(cudaMemset(
        h_.data(), 0, size.batch * size.heads * size.head_dim * size.state * sizeof(float)));
    for (Set& set : sets_) {
      for (auto* signal : {&set.x, &set.y, &set.dx}) *signal = random(signals());
      for (auto* rows : {&set.B, &set.C, &set.dB, &set.dC}) *rows = random(inputs());
      for (auto* sizes : {&set.dt, &set.ddt}) *sizes = random(steps());
    }
  }

  SsdCudaArgs<T> args(int i) {
    Set& set = sets_[i % kSets];
    const auto [batch, time, heads, head_dim, groups, state] = size_;
    return {.in = inputs_of(set),
            .h = {h_.data(), {batch, heads, head_dim, state}},
            .y = {set.y->data(), {batch, time, heads, head_dim}}};
  }

  // With y in the place of dy.
  SsdCudaGradArgs<T> grad_args(int i) {
    Set& set = sets_[i % kSets];
    const auto [batch, time, heads, head_dim, groups, state] = size_;
    return {.in = inputs_of(set),
            .h0 = {},
            .dy = {set.y->data(), {batch, time, heads, head_dim}},
            .dh = {},
            .dx = {set.dx->data(), {batch, time, heads, head_dim}},
            .ddt = {set.ddt->data(), {batch, time, heads}},
            .dA = {dA_.data(), {heads}},
            .dB = {set.dB->data(), {batch, time, groups, state}},
            .dC = {set.dC->data(), {batch, time, groups, state}},
            .dD = {dD_.data(), {heads, 1}},
            .ddt_bias = {dbias_.data(), {heads}},
            .dh0 = {dh0_.data(), {batch, heads, head_dim, state}}};
  }

  double grad_bytes() const {
    return sizeof(T) * (3.0 * signals() + 4.0 * inputs() + 2.0 * steps());
  }
  double bytes() const { return sizeof(T) * (2.0 * signals() + 2.0 * inputs() + 1.0 * steps()); }

 private:
  static constexpr int kSets = 3;
  using Buffer = std::unique_ptr<DeviceBuffer<T>>;
  struct Set {
    Buffer x, y, B, C, dt, dx, dB, dC, ddt;
  };

  int64_t steps() const { return size_.batch * size_.time * size_.heads; }
  int64_t signals() const { return steps() * size_.head_dim; }
  int64_t inputs() const { return size_.batch * size_.time * size_.groups * size_.state; }

  SsdCudaInputs<T> inputs_of(Set& set) {
    const auto [batch, time, heads, head_dim, groups, state] = size_;
    return {.x = {set.x->data(), {batch, time, heads, head_dim}},
            .dt = {set.dt->data(), {batch, time, heads}},
            .A = {A_.data(), {heads}},
            .B = {set.B->data(), {batch, time, groups, state}},
            .C = {set.C->data(), {batch, time, groups, state}},
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
  Set sets_[kSets];
};

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
void time_plan(const char* type, const SsdSize& size, Operands<T>& operands, const SsdPlan& plan,
               double copy_speed) {
  const size_t bytes = ssd_plan_bytes(size, plan);
  DeviceBuffer<std::byte> workspace(static_cast<int64_t>(bytes));
  const DeviceTime time = testing::time_on_device(kRepeats, [&](int i) {
    ssd_by_plan(operands.args(i), plan, {workspace.data(), bytes}, nullptr);
  });
  const bool warps = plan.engine == SsdEngine::kWarps;
  report(warps ? "forward" : "forward/wg", type, size, warps ? plan.heads : plan.blocks,
         plan.segments, time, operands.bytes(), copy_speed);
}

template <typename T>
void time_gradient(const char* type, const SsdSize& size, Operands<T>& operands,
                   const SsdGradPlan& plan, double copy_speed) {
  const size_t bytes = ssd_grad_plan_bytes<T>(size, plan);
  DeviceBuffer<std::byte> workspace(static_cast<int64_t>(bytes));
  const DeviceTime time = testing::time_on_device(kRepeats, [&](int i) {
    ssd_grad_by_plan(operands.grad_args(i), plan, {workspace.data(), bytes}, nullptr);
  });
  const bool warps = plan.engine == SsdEngine::kWarps;
  report(warps ? "gradient" : "gradient/wg", type, size, plan.heads,
         warps ? plan.march.segments : 1, time, operands.grad_bytes(), copy_speed);
}

template <typename T>
void time_shape(const char* type, const SsdSize& size, double copy_speed, bool all) {
  Operands<T> operands(size);
  time_plan(type, size, operands, ssd_scan_plan<T>(size), copy_speed);
  const SsdGradPlan plan = ssd_grad_plan<T>(size);
  time_gradient(type, size, operands, plan, copy_speed);
  if (all && plan.engine == SsdEngine::kWarpgroups) {
    SsdGradPlan warps = plan;
    warps.engine = SsdEngine::kWarps;
    time_gradient(type, size, operands, warps, copy_speed);
  }
  if (!all) return;
  for (int heads = 1; heads <= ssd_most_heads<T>(size); ++heads) {
    if (size.heads / size.groups % heads != 0) continue;
    time_plan(type, size, operands, ssd_plan<T>(size, heads, 1), copy_speed);
  }
  if (!ssd_fits_warpgroups<T>(size)) return;
  for (const int blocks : {2, 3}) {
    for (const int64_t segments : {1, 2, 3, 4, 6, 8}) {
      time_plan(type, size, operands, ssd_warpgroup_plan<T>(size, blocks, segments), copy_speed);
    }
  }
}

// The forward pass by some plans of either engine; says which is wrong.
bool is_forward_right() {
  using T = __nv_bfloat16;
  const SsdSize size{1, 300, 10, 64, 1, 128};
  for (const int64_t segments : {1, 3}) {
    for (const int heads : {1, 2, 5}) {
      if (is_right<T>(size, ssd_plan<T>(size, heads, segments)) &&
          is_right<float>(size, ssd_plan<float>(size, std::min(heads, 2), segments))) {
        continue;
      }
      std::printf("heads %d, segments %ld: wrong result, not timed\n", heads, segments);
      return false;
    }
    for (const int blocks : {2, 3}) {
      if (!ssd_fits_warpgroups<T>(size)) break;
      if (is_right<T>(size, ssd_warpgroup_plan<T>(size, blocks, segments))) continue;
      std::printf("warpgroups, blocks %d, segments %ld: wrong result, not timed\n", blocks,
                  segments);
      return false;
    }
  }
  return true;
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
  return 0;
}

}  // namespace
}  // namespace longwave::ops

int main(int count, char** words) {
  return longwave::ops::main_of(count > 1 && std::strcmp(words[1], "--plans") == 0);
}
