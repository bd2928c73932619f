// SPDX-License-Identifier: Apache-2.0
// Times linear_scan and its gradient on a GPU against the time that their bytes need at the speed
// of a copy in the same run. Checks against the reference first, and refuses to time a wrong
// kernel.
#include <cuda_runtime.h>

#include <cmath>
#include <cstdio>
#include <memory>
#include <vector>

#include "longwave/ops/linear_scan/linear_scan_cuda.h"
#include "longwave/ops/linear_scan/linear_scan_ref.h"
#include "longwave/ops/linear_scan/testing/linear_problem.h"
#include "longwave/ops/testing/device_bench.h"

namespace longwave::ops {
namespace {

using testing::DeviceBuffer;
using testing::DeviceTime;
using testing::LinearSize;
using Complex = std::complex<float>;

constexpr int kRepeats = 20;

bool is_right() {
  testing::LinearProblem<std::complex<double>> oracle({2, 3000, 48}, {0, 0}, 1);
  const auto [batch, time, channels] = oracle.size;
  const auto on_device = [](const auto& numbers) {
    return std::vector<Complex>(numbers.begin(), numbers.end());
  };
  DeviceBuffer<Complex> a(on_device(oracle.a)), b(on_device(oracle.b)), h0(on_device(oracle.h0));
  DeviceBuffer<Complex> h(batch * time * channels), final(batch * channels);
  linear_scan_ref(oracle.args());
  constexpr int64_t kSegments = 4;
  const size_t bytes = linear_scan_cuda_workspace_bytes({batch, time, channels}, kSegments);
  DeviceBuffer<std::byte> workspace(static_cast<int64_t>(bytes));
  linear_scan_cuda<Complex>({.a = {a.data(), {batch, time, channels}},
                             .b = {b.data(), {batch, time, channels}},
                             .h0 = {h0.data(), {batch, channels}},
                             .h = {h.data(), {batch, time, channels}},
                             .final = {final.data(), {batch, channels}}},
                            kSegments, {workspace.data(), bytes}, nullptr);
  const std::vector<Complex> got = h.host();
  double error = 0, norm = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    error += std::norm(std::complex<double>(got[i]) - oracle.h[i]);
    norm += std::norm(oracle.h[i]);
  }
  std::printf("relative error of h: %.2e\n", std::sqrt(error / norm));
  return error < 1e-12 * norm;
}

// Operands of any size; sets take turns, so that none is left in the cache.
template <typename T>
class Operands {
 public:
  Operands(const LinearSize& size, const testing::Sharing& sharing)
      : size_(size),
        rows_(sharing.rows ? 1 : size.batch),
        steps_(sharing.steps ? 1 : size.time),
        row_(std::vector<LinearScanState<T>>(size.batch * size.channels, LinearScanState<T>(0.5f))),
        other_row_(size.batch * size.channels) {
    const int64_t signal = size.batch * size.time * size.channels;
    for (auto& set : sets_) {
      set.a = filled(rows_ * steps_ * size.channels, 0.8f);
      set.da = filled(rows_ * steps_ * size.channels, 0.0f);
      for (auto& x : set.signals) x = filled(signal, 1.0f);
    }
  }

  LinearScanCudaArgs<T> args(int i) {
    Set& set = sets_[i % kSets];
    return {.a = factor(*set.a),
            .b = signal(*set.signals[0]),
            .h0 = {row_.data(), {size_.batch, size_.channels}},
            .h = signal(*set.signals[1]),
            .final = {other_row_.data(), {size_.batch, size_.channels}}};
  }
  LinearScanCudaGradArgs<T> grad_args(int i) {
    Set& set = sets_[i % kSets];
    return {.a = factor(*set.a),
            .h = signal(*set.signals[1]),
            .h0 = {row_.data(), {size_.batch, size_.channels}},
            .dh = signal(*set.signals[0]),
            .dfinal = {},
            .da = factor(*set.da),
            .db = signal(*set.signals[2]),
            .dh0 = {other_row_.data(), {size_.batch, size_.channels}}};
  }

  double signal_bytes() const {
    return static_cast<double>(size_.batch * size_.time * size_.channels) * sizeof(T);
  }
  double factor_bytes() const {
    return static_cast<double>(rows_ * steps_ * size_.channels) * sizeof(T);
  }

 private:
  static constexpr int kSets = 3;
  struct Set {
    std::unique_ptr<DeviceBuffer<T>> a, da, signals[3];
  };

  // Random numbers up to `most`.
  std::unique_ptr<DeviceBuffer<T>> filled(int64_t count, float most) {
    return testing::repeated_on_device<T>(count, [&] { return random_.uniform(-most, most); });
  }

  View<T, 3> signal(DeviceBuffer<T>& data) const {
    return {data.data(), {size_.batch, size_.time, size_.channels}};
  }
  View<T, 3> factor(DeviceBuffer<T>& data) const {
    return {data.data(), {rows_, steps_, size_.channels}};
  }

  LinearSize size_;
  int64_t rows_, steps_;
  Random random_{1};
  DeviceBuffer<LinearScanState<T>> row_, other_row_;
  Set sets_[kSets];
};

template <typename T>
void time_shape(const char* type, const LinearSize& size, const testing::Sharing& sharing,
                double copy_speed) {
  Operands<T> operands(size, sharing);
  const LinearScanCudaSize extents{size.batch, size.time, size.channels};
  const int64_t segments = linear_scan_segments(extents);
  const size_t bytes = linear_scan_cuda_workspace_bytes(extents, segments);
  DeviceBuffer<std::byte> workspace(static_cast<int64_t>(bytes));
  const std::span<std::byte> scratch{workspace.data(), bytes};
  const auto print = [&](const char* what, const DeviceTime& time, double moved) {
    const double floor = moved / copy_speed * 1e3;
    std::printf(
        "%-9s B%-2ld L%-6ld D%-4ld a %-8s cuts %-2ld %-8s %8.4f (%.4f to %.4f) %8.4f %5.1f%%\n",
        type, size.batch, size.time, size.channels, sharing.steps ? "constant" : "varying",
        segments, what, time.median, time.least, time.most, floor, 100 * floor / time.median);
  };
  print(
      "forward",
      testing::time_on_device(
          kRepeats, [&](int i) { linear_scan_cuda(operands.args(i), segments, scratch, nullptr); }),
      2 * operands.signal_bytes() + operands.factor_bytes());
  print("backward",
        testing::time_on_device(kRepeats,
                                [&](int i) {
                                  linear_scan_cuda_backward(operands.grad_args(i), segments,
                                                            scratch, nullptr);
                                }),
        3 * operands.signal_bytes() + 2 * operands.factor_bytes());
}

int main_of() {
  if (!is_right()) {
    std::printf("wrong result, not timed\n");
    return 1;
  }
  const double copy_speed = testing::announce_device();
  std::printf(
      "type      shape                                        median ms (least to most) floor "
      "ms\n");
  for (const testing::Sharing& sharing : {testing::Sharing{1, 1}, {0, 0}}) {
    time_shape<Complex>("complex64", {8, 16384, 256}, sharing, copy_speed);
    time_shape<Complex>("complex64", {1, 131072, 128}, sharing, copy_speed);
    time_shape<float>("float32", {8, 2048, 4096}, sharing, copy_speed);
    time_shape<__nv_bfloat16>("bfloat16", {8, 2048, 4096}, sharing, copy_speed);
  }
  return 0;
}

}  // namespace
}  // namespace longwave::ops

int main() { return longwave::ops::main_of(); }
