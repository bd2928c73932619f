// SPDX-License-Identifier: Apache-2.0
// Times linear_scan, its gradient and its step on a GPU against the time that their bytes need at
// the speed of a copy in the same run. Checks against the reference first, and refuses to time a
// wrong kernel.
#include <cuda_runtime.h>

#include <cstdio>
#include <memory>
#include <vector>

#include "longwave/ops/linear_scan/testing/linear_device.h"
#include "longwave/ops/testing/device_bench.h"
#include "longwave/ops/testing/difference.h"

namespace longwave::ops {
namespace {

using testing::DeviceBuffer;
using testing::LinearSize;
using testing::Sharing;
using Complex = std::complex<float>;

constexpr Sharing kConstant{1, 1}, kVarying{0, 0};

// Both passes, with time whole and cut.
template <typename T>
bool is_right(const char* type, const LinearSize& size, const Sharing& sharing) {
  const testing::LinearSolved<T> solved(size, sharing, 1);
  // da holds the most terms; in bfloat16 those that sequences share are of rounded numbers.
  constexpr double kBound = testing::kPartEpsilon<T> + 1e-5;
  const auto close = [&](const char* what, const auto& expected, const auto& buffer) {
    const double error = longwave::testing::relative_difference(expected, host(buffer));
    if (error <= kBound) return true;
    std::printf("%s, a %s, %s: error %.1e\n", type, sharing.steps ? "constant" : "varying", what,
                error);
    return false;
  };
  for (const int64_t segments : {1, 4}) {
    testing::LinearDevice<T> device(solved);
    device.run(segments);
    const auto& oracle = solved.oracle;
    if (!close("h", oracle.h, device.h) || !close("final", oracle.final, device.final) ||
        !close("da", oracle.da, device.da) || !close("db", oracle.db, device.db) ||
        !close("dh0", oracle.dh0, device.dh0)) {
      return false;
    }
  }
  return true;
}

// Random operands of any size, made on the host once and repeated.
template <typename T>
class Operands {
 public:
  Operands(const LinearSize& size, const Sharing& sharing)
      : size_(size),
        rows_(sharing.rows ? 1 : size.batch),
        steps_(sharing.steps ? 1 : size.time),
        a_(filled(rows_ * steps_ * size.channels, 0.8f)),
        da_(filled(rows_ * steps_ * size.channels, 0.0f)),
        row_(std::vector<LinearScanState<T>>(size.batch * size.channels, LinearScanState<T>(0.5f))),
        other_row_(size.batch * size.channels) {
    for (auto& x : signals_) x = filled(size.batch * size.time * size.channels, 1.0f);
  }

  LinearScanCudaArgs<T> args() {
    return {.a = factor(*a_),
            .b = signal(*signals_[0]),
            .h0 = {row_.data(), {size_.batch, size_.channels}},
            .h = signal(*signals_[1]),
            .final = {other_row_.data(), {size_.batch, size_.channels}}};
  }
  LinearScanCudaGradArgs<T> grad_args() {
    return {.a = factor(*a_),
            .h = signal(*signals_[1]),
            .h0 = {row_.data(), {size_.batch, size_.channels}},
            .dh = signal(*signals_[0]),
            .dfinal = {},
            .da = factor(*da_),
            .db = signal(*signals_[2]),
            .dh0 = {other_row_.data(), {size_.batch, size_.channels}}};
  }

  double bytes() const { return 2 * signal_bytes() + factor_bytes(); }
  double grad_bytes() const { return 3 * signal_bytes() + 2 * factor_bytes(); }
  // The state is read and written.
  double step_bytes() const {
    return bytes() +
           2.0 * static_cast<double>(size_.batch * size_.channels) * sizeof(LinearScanState<T>);
  }
  double footprint() const { return size_.time == 1 ? step_bytes() : bytes(); }

 private:
  double signal_bytes() const {
    return static_cast<double>(size_.batch * size_.time * size_.channels) * sizeof(T);
  }
  double factor_bytes() const {
    return static_cast<double>(rows_ * steps_ * size_.channels) * sizeof(T);
  }

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

  Random random_{1};
  LinearSize size_;
  int64_t rows_, steps_;
  std::unique_ptr<DeviceBuffer<T>> a_, da_, signals_[3];
  DeviceBuffer<LinearScanState<T>> row_, other_row_;
};

template <typename T>
void time_shape(const char* type, const LinearSize& size, const Sharing& sharing,
                double copy_speed) {
  testing::Rotating<Operands<T>> operands(size, sharing);
  const LinearScanCudaSize extents{size.batch, size.time, size.channels};
  const int64_t segments = linear_scan_segments(extents);
  const size_t bytes = linear_scan_cuda_workspace_bytes(extents, segments);
  DeviceBuffer<std::byte> workspace(static_cast<int64_t>(bytes));
  const std::span<std::byte> scratch{workspace.data(), bytes};
  const testing::ShapeRows table{
      fmt::format("{:<9} B{:<2} L{:<6} D{:<4} a {:<8} cuts {:<2}", type, size.batch, size.time,
                  size.channels, sharing.steps ? "constant" : "varying", segments),
      copy_speed};
  table.print("forward", operands[0].bytes(),
              [&](int i) { linear_scan_cuda(operands[i].args(), segments, scratch, nullptr); });
  table.print("backward", operands[0].grad_bytes(), [&](int i) {
    linear_scan_cuda_backward(operands[i].grad_args(), segments, scratch, nullptr);
  });
}

template <typename T>
void time_step(const char* type, int64_t batch, int64_t channels, double copy_speed) {
  testing::Rotating<Operands<T>> operands(LinearSize{batch, 1, channels}, kVarying);
  const size_t bytes = linear_scan_cuda_workspace_bytes({batch, 1, channels}, 1);
  DeviceBuffer<std::byte> workspace(static_cast<int64_t>(bytes));
  const auto step =
      testing::time_steps(testing::kRepeats, operands, [&](int64_t i, cudaStream_t stream) {
        linear_scan_cuda(operands[i].args(), 1, {workspace.data(), bytes}, stream);
      });
  std::printf("%-9s B%-2ld L1      D%-4ld a varying  step     %s\n", type, batch, channels,
              testing::step_timing(step, operands[0].step_bytes(), copy_speed).c_str());
}

int main_of() {
  for (const LinearSize& size : {LinearSize{2, 3000, 48}, LinearSize{3, 1, 300}}) {
    for (const Sharing& sharing : {kConstant, kVarying}) {
      if (is_right<Complex>("complex64", size, sharing) &&
          is_right<float>("float32", size, sharing) &&
          is_right<__nv_bfloat16>("bfloat16", size, sharing)) {
        continue;
      }
      std::printf("wrong result, not timed\n");
      return 1;
    }
  }
  const double copy_speed = testing::announce_device();
  std::printf(
      "type      shape                                        median ms (least to most) floor "
      "ms\n");
  for (const Sharing& sharing : {kConstant, kVarying}) {
    time_shape<Complex>("complex64", {8, 16384, 256}, sharing, copy_speed);
    time_shape<Complex>("complex64", {1, 131072, 128}, sharing, copy_speed);
    time_shape<float>("float32", {8, 2048, 4096}, sharing, copy_speed);
    time_shape<__nv_bfloat16>("bfloat16", {8, 2048, 4096}, sharing, copy_speed);
  }
  for (const int64_t batch : {1, 64}) {
    time_step<Complex>("complex64", batch, 4096, copy_speed);
    time_step<float>("float32", batch, 4096, copy_speed);
    time_step<__nv_bfloat16>("bfloat16", batch, 4096, copy_speed);
  }
  return 0;
}

}  // namespace
}  // namespace longwave::ops

int main() { return longwave::ops::main_of(); }
