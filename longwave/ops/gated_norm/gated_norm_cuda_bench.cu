// SPDX-License-Identifier: Apache-2.0
// Times gated_norm and its gradient on a GPU against the time that their bytes need at the speed of
// a copy in the same run. Checks against the reference first, and refuses to time a wrong kernel.
#include <cuda_runtime.h>

#include <cstdio>
#include <memory>

#include "longwave/ops/gated_norm/testing/gated_norm_device.h"
#include "longwave/ops/testing/device_bench.h"

namespace longwave::ops {
namespace {

using testing::DeviceBuffer;

// Rows that a block keeps in packs and one by one, and that none keeps.
constexpr int64_t kChannels[] = {1536, 3072, 4096, 5120, 8192, 4097, 16384};
// As Mamba-2 has it: the gate comes before one norm of all channels.
constexpr GateOrder kOrder = GateOrder::kBefore;

template <typename T>
bool is_right(int64_t channels) {
  testing::GatedNormDevice<T> run({kOrder, true, 67, channels, 1});
  run.on_host();
  run.on_device();
  constexpr double kBound = testing::kEpsilon<T> + 1e-5;
  return testing::is_close(run.y, run.y_on.wide(), kBound) &&
         testing::is_close(run.dx, run.dx_on.wide(), kBound) &&
         testing::is_close(run.dz, run.dz_on.wide(), kBound) &&
         testing::is_close(run.dw, run.dw_on.wide(), 1e-5);
}

// Random operands of any size, made on the host once and repeated.
template <typename T>
class Operands {
 public:
  Operands(int64_t rows, int64_t channels)
      : rows_(rows),
        channels_(channels),
        w_(testing::normals_on_device<float>(channels, random_)),
        dw_(testing::normals_on_device<float>(channels, random_)) {
    for (auto* signal : {&x_, &z_, &y_, &dy_, &dx_, &dz_}) {
      *signal = testing::normals_on_device<T>(rows * channels, random_);
    }
    inverse_ = testing::repeated_on_device<float>(rows, [] { return 1.0; });
  }

  GatedNormCudaArgs<T> args() {
    return {.order = kOrder,
            .x = table(x_),
            .z = table(z_),
            .w = {w_->data(), {channels_}},
            .y = table(y_),
            .inverse = {inverse_->data(), {rows_, 1}}};
  }
  GatedNormCudaGradArgs<T> grad_args() {
    return {.order = kOrder,
            .x = table(x_),
            .z = table(z_),
            .w = {w_->data(), {channels_}},
            .inverse = {inverse_->data(), {rows_, 1}},
            .dy = table(dy_),
            .dx = table(dx_),
            .dz = table(dz_),
            .dw = {dw_->data(), {channels_}}};
  }

  double bytes() const { return 3 * signal_bytes(); }
  double grad_bytes() const { return 5 * signal_bytes(); }
  double footprint() const { return bytes(); }

 private:
  template <typename Number>
  using Buffer = std::unique_ptr<DeviceBuffer<Number>>;

  double signal_bytes() const { return static_cast<double>(rows_ * channels_) * sizeof(T); }
  View<T, 2> table(const Buffer<T>& x) const { return {x->data(), {rows_, channels_}}; }

  Random random_{1};
  int64_t rows_, channels_;
  Buffer<float> w_, dw_, inverse_;
  Buffer<T> x_, z_, y_, dy_, dx_, dz_;
};

template <typename T>
void time_shape(const char* type, int64_t rows, int64_t channels, double copy_speed) {
  testing::Rotating<Operands<T>> operands(rows, channels);
  const size_t bytes = gated_norm_cuda_backward_workspace_bytes(rows, channels);
  DeviceBuffer<std::byte> workspace(static_cast<int64_t>(bytes));
  const testing::ShapeRows table{fmt::format("{:<8} rows {} D{:<5}", type, rows, channels),
                                 copy_speed};
  table.print("forward", operands[0].bytes(),
              [&](int i) { gated_norm_cuda(operands[i].args(), nullptr); });
  table.print("backward", operands[0].grad_bytes(), [&](int i) {
    gated_norm_cuda_backward(operands[i].grad_args(), {workspace.data(), bytes}, nullptr);
  });
}

int main_of() {
  for (const int64_t channels : kChannels) {
    if (is_right<float>(channels) && is_right<__nv_bfloat16>(channels)) continue;
    std::printf("channels %ld: wrong result, not timed\n", channels);
    return 1;
  }
  const double copy_speed = testing::announce_device();
  std::printf("type     shape            pass     median ms (least to most)     floor ms\n");
  for (const int64_t channels : kChannels) {
    constexpr int64_t kRows = 16384;
    time_shape<__nv_bfloat16>("bfloat16", kRows, channels, copy_speed);
    time_shape<float>("float32", kRows, channels, copy_speed);
  }
  return 0;
}

}  // namespace
}  // namespace longwave::ops

int main() { return longwave::ops::main_of(); }
