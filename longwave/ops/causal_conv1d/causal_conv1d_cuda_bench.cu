// SPDX-License-Identifier: Apache-2.0
// Times causal_conv1d, its gradient and its step on a GPU against the time that their bytes need at
// the speed of a copy in the same run. Checks against the reference first, and refuses to time a
// wrong kernel.
#include <cuda_runtime.h>

#include <array>
#include <cstdio>
#include <memory>

#include "longwave/ops/causal_conv1d/testing/conv_device.h"
#include "longwave/ops/testing/device_bench.h"

namespace longwave::ops {
namespace {

using testing::DeviceBuffer;

constexpr int64_t kWidth = 4;

template <typename T>
bool is_right(const testing::ConvCase& size) {
  testing::ConvDevice<T> run(size);
  run.on_host();
  run.on_device();
  constexpr double kBound = testing::kEpsilon<T> + 1e-5;
  return testing::is_close(run.dense(run.y), run.dense(run.y_on.wide()), kBound) &&
         testing::is_close(run.dense(run.dx), run.dense(run.dx_on.wide()), kBound) &&
         testing::is_close(run.final, run.final_on.wide(), kBound) &&
         testing::is_close(run.dhistory, run.dhistory_on.wide(), kBound) &&
         testing::is_close(run.dw, run.dw_on.wide(), 1e-5) &&
         testing::is_close(run.db, run.db_on.wide(), 1e-5);
}

// A layer as Mamba has it: with bias and SiLU. Random operands of any size, made on the host once
// and repeated.
template <typename T>
class Operands {
 public:
  explicit Operands(const CausalConv1dShape& shape)
      : shape_(shape),
        x_(testing::normals_on_device<T>(signals(), random_)),
        y_(testing::normals_on_device<T>(signals(), random_)),
        before_(testing::normals_on_device<T>(kept(), random_)),
        w_(testing::normals_on_device<float>(shape.channels * shape.width, random_)),
        b_(testing::normals_on_device<float>(shape.channels, random_)),
        dx_(signals()),
        after_(kept()),
        dw_(shape.channels * shape.width),
        db_(shape.channels) {}

  CausalConv1dCudaArgs<T> args() {
    return {.activation = ConvActivation::kSilu,
            .x = view(*x_),
            .w = {w_->data(), {shape_.channels, shape_.width}},
            .b = {b_->data(), {shape_.channels}},
            .y = view(*y_)};
  }

  // With the state of a stream.
  CausalConv1dCudaArgs<T> step_args() {
    CausalConv1dCudaArgs<T> args = this->args();
    const std::array<int64_t, 3> rows{shape_.batch, shape_.width - 1, shape_.channels};
    args.history = {before_->data(), rows};
    args.final_history = {after_.data(), rows};
    return args;
  }

  // With y in the place of dy.
  CausalConv1dCudaGradArgs<T> grad_args() {
    return {.activation = ConvActivation::kSilu,
            .x = view(*x_),
            .w = {w_->data(), {shape_.channels, shape_.width}},
            .b = {b_->data(), {shape_.channels}},
            .dy = view(*y_),
            .dx = view(dx_),
            .dw = {dw_.data(), {shape_.channels, shape_.width}},
            .db = {db_.data(), {shape_.channels}}};
  }

  double bytes() const { return 2.0 * signals() * sizeof(T); }
  double grad_bytes() const { return 3.0 * signals() * sizeof(T); }
  // Two histories, input, output and parameters.
  double step_bytes() const {
    const double row = static_cast<double>(shape_.batch * shape_.channels);
    return 2 * row * shape_.width * sizeof(T) +
           static_cast<double>(shape_.channels * (shape_.width + 1)) * sizeof(float);
  }
  double footprint() const { return shape_.time == 1 ? step_bytes() : bytes(); }

 private:
  template <typename Number>
  using Buffer = std::unique_ptr<DeviceBuffer<Number>>;

  int64_t signals() const { return shape_.batch * shape_.time * shape_.channels; }
  int64_t kept() const { return shape_.batch * (shape_.width - 1) * shape_.channels; }
  View<T, 3> view(DeviceBuffer<T>& x) const {
    return {x.data(), {shape_.batch, shape_.time, shape_.channels}};
  }

  Random random_{1};
  CausalConv1dShape shape_;
  Buffer<T> x_, y_, before_;
  Buffer<float> w_, b_;
  DeviceBuffer<T> dx_, after_;
  DeviceBuffer<float> dw_, db_;
};

template <typename T>
void time_shape(const char* type, const CausalConv1dShape& shape, double copy_speed) {
  testing::Rotating<Operands<T>> operands(shape);
  const size_t bytes = causal_conv1d_cuda_backward_workspace_bytes(shape);
  DeviceBuffer<std::byte> workspace(static_cast<int64_t>(bytes));
  const testing::ShapeRows table{fmt::format("{:<8} B{:<2} D{:<5} L{:<5} W{}", type, shape.batch,
                                             shape.channels, shape.time, shape.width),
                                 copy_speed};
  table.print("forward", operands[0].bytes(),
              [&](int i) { causal_conv1d_cuda(operands[i].args(), nullptr); });
  table.print("backward", operands[0].grad_bytes(), [&](int i) {
    causal_conv1d_cuda_backward(operands[i].grad_args(), {workspace.data(), bytes}, nullptr);
  });
}

template <typename T>
void time_step(const char* type, int64_t batch, int64_t channels, double copy_speed) {
  testing::Rotating<Operands<T>> operands(CausalConv1dShape{batch, 1, channels, kWidth});
  const auto step = testing::time_steps(
      testing::kRepeats, operands,
      [&](int64_t i, cudaStream_t stream) { causal_conv1d_cuda(operands[i].step_args(), stream); });
  std::printf("%-8s B%-2ld D%-5ld L1     W%ld step     %s\n", type, batch, channels, kWidth,
              testing::step_timing(step, operands[0].step_bytes(), copy_speed).c_str());
}

template <typename T>
void time_type(const char* type, double copy_speed) {
  for (const int64_t channels : {1536, 4096}) {
    time_shape<T>(type, {8, 2048, channels, kWidth}, copy_speed);
    for (const int64_t batch : {1, 64}) time_step<T>(type, batch, channels, copy_speed);
  }
}

int main_of() {
  for (const int64_t time : {1, 300}) {
    const testing::ConvCase size{2, time, 260, kWidth};
    if (is_right<float>(size) && is_right<__nv_bfloat16>(size)) continue;
    std::printf("time %ld: wrong result, not timed\n", time);
    return 1;
  }
  const double copy_speed = testing::announce_device();
  std::printf("type     shape               pass     median ms (least to most)     floor ms\n");
  time_type<__nv_bfloat16>("bfloat16", copy_speed);
  time_type<float>("float32", copy_speed);
  return 0;
}

}  // namespace
}  // namespace longwave::ops

int main() { return longwave::ops::main_of(); }
