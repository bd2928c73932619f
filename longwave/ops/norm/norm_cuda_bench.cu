// SPDX-License-Identifier: Apache-2.0
// Times row_norm and its gradient on a GPU against the time that their bytes need at the speed of a
// copy in the same run. Checks against the reference first, and refuses to time a wrong kernel.
#include <cuda_runtime.h>

#include <cstdio>
#include <memory>
#include <type_traits>
#include <vector>

#include "longwave/ops/norm/testing/norm_device.h"
#include "longwave/ops/testing/device_bench.h"

namespace longwave::ops {
namespace {

using testing::DeviceBuffer;

// Rows that a warp keeps, that a block keeps in packs and one by one, and that none keeps.
constexpr int64_t kChannels[] = {768, 1536, 2048, 2560, 4096, 5120, 8192, 4097, 16384};

template <typename T>
bool is_right(const testing::NormCase& size) {
  testing::NormDevice<T> run(size);
  run.on_host();
  run.on_device();
  constexpr double kBound = testing::kEpsilon<T> + 1e-5;
  return testing::is_close(run.y, run.y_on.wide(), kBound) &&
         testing::is_close(run.dx, run.dx_on.wide(), kBound) &&
         testing::is_close(run.dw, run.dw_on.wide(), 1e-5) &&
         testing::is_close(run.db, run.db_on.wide(), 1e-5);
}

// The norm of a sum, and its gradient which another one joins; dy stands in for the branch.
bool is_sum_right(const testing::NormCase& size) {
  using Y = __nv_bfloat16;
  testing::NormDevice<float, Y> run(size);
  for (size_t i = 0; i < run.x.size(); ++i) run.x[i] = static_cast<float>(run.x[i] + run.dy[i]);
  run.on_host();
  std::vector<double> expected;
  for (size_t i = 0; i < run.x.size(); ++i) expected.push_back(run.dx[i] + run.x[i]);
  DeviceBuffer<float> sum(size.rows * size.channels);
  DeviceBuffer<Y> dbranch(size.rows * size.channels);
  auto args = run.args();
  auto grads = run.grad_args();
  args.branch = grads.dy;
  args.sum = {sum.data(), {size.rows, size.channels}};
  grads.x = args.sum;
  grads.dsum = args.sum;
  grads.dbranch = {dbranch.data(), {size.rows, size.channels}};
  row_norm_cuda(args, nullptr);
  const size_t bytes = row_norm_cuda_backward_workspace_bytes(size.rows, size.channels);
  DeviceBuffer<std::byte> workspace(static_cast<int64_t>(bytes));
  row_norm_cuda_backward(grads, {workspace.data(), bytes}, nullptr);
  constexpr double kBound = testing::kEpsilon<Y> + 1e-5;
  return sum.wide() == run.x && testing::is_close(run.y, run.y_on.wide(), kBound) &&
         testing::is_close(expected, run.dx_on.wide(), 1e-5) &&
         testing::is_close(expected, dbranch.wide(), kBound) &&
         testing::is_close(run.dw, run.dw_on.wide(), 1e-5);
}

// A root-mean-square norm; where T and Y differ as between layers in training: of the sum of a
// float and a bfloat16 signal, whose own gradient joins. Random operands of any size, made on the
// host once and repeated.
template <typename T, typename Y>
class Operands {
 public:
  Operands(int64_t rows, int64_t channels)
      : rows_(rows),
        channels_(channels),
        w_(testing::normals_on_device<float>(channels, random_)),
        dw_(testing::normals_on_device<float>(channels, random_)) {
    for (auto* signal : {&x_, &dx_, &sum_, &dsum_}) {
      *signal = testing::normals_on_device<T>(rows * channels, random_);
    }
    for (auto* signal : {&y_, &dy_, &branch_, &dbranch_}) {
      *signal = testing::normals_on_device<Y>(rows * channels, random_);
    }
    moments_ = testing::repeated_on_device<float>(2 * rows, [] { return 1.0; });
  }

  RowNormCudaArgs<T, Y> args() {
    RowNormCudaArgs<T, Y> args{.kind = RowNorm::kRms,
                               .x = table(x_),
                               .w = {w_->data(), {channels_}},
                               .y = table(y_),
                               .moments = {moments_->data(), {rows_, 2}}};
    if (kSums) {
      args.branch = table(branch_);
      args.sum = table(sum_);
    }
    return args;
  }

  RowNormCudaGradArgs<T, Y> grad_args() {
    RowNormCudaGradArgs<T, Y> args{.kind = RowNorm::kRms,
                                   .x = table(x_),
                                   .w = {w_->data(), {channels_}},
                                   .moments = {moments_->data(), {rows_, 2}},
                                   .dy = table(dy_),
                                   .dx = table(dx_),
                                   .dw = {dw_->data(), {channels_}}};
    if (kSums) {
      args.dsum = table(dsum_);
      args.dbranch = table(dbranch_);
    }
    return args;
  }

  double bytes() const { return count() * (kSums ? 2 * sizeof(T) + 2 * sizeof(Y) : 2 * sizeof(T)); }
  double grad_bytes() const {
    return count() * (kSums ? 3 * sizeof(T) + 2 * sizeof(Y) : 3 * sizeof(T));
  }
  double footprint() const { return bytes(); }

 private:
  static constexpr bool kSums = !std::is_same_v<T, Y>;
  template <typename Number>
  using Buffer = std::unique_ptr<DeviceBuffer<Number>>;

  double count() const { return static_cast<double>(rows_ * channels_); }
  template <typename Number>
  View<Number, 2> table(const Buffer<Number>& x) const {
    return {x->data(), {rows_, channels_}};
  }

  Random random_{1};
  int64_t rows_, channels_;
  Buffer<float> w_, dw_, moments_;
  Buffer<T> x_, dx_, sum_, dsum_;
  Buffer<Y> y_, dy_, branch_, dbranch_;
};

template <typename T, typename Y>
void time_shape(const char* type, int64_t rows, int64_t channels, double copy_speed) {
  testing::Rotating<Operands<T, Y>> operands(rows, channels);
  const size_t bytes = row_norm_cuda_backward_workspace_bytes(rows, channels);
  DeviceBuffer<std::byte> workspace(static_cast<int64_t>(bytes));
  const testing::ShapeRows table{fmt::format("{:<12} rows {} D{:<5}", type, rows, channels),
                                 copy_speed};
  table.print("forward", operands[0].bytes(),
              [&](int i) { row_norm_cuda(operands[i].args(), nullptr); });
  table.print("backward", operands[0].grad_bytes(), [&](int i) {
    row_norm_cuda_backward(operands[i].grad_args(), {workspace.data(), bytes}, nullptr);
  });
}

int main_of() {
  for (const int64_t channels : kChannels) {
    const testing::NormCase size{RowNorm::kRms, 67, channels};
    if (is_right<float>(size) && is_right<__nv_bfloat16>(size) && is_sum_right(size)) {
      continue;
    }
    std::printf("channels %ld: wrong result, not timed\n", channels);
    return 1;
  }
  const double copy_speed = testing::announce_device();
  std::printf("type         shape            pass     median ms (least to most)     floor ms\n");
  for (const int64_t channels : kChannels) {
    constexpr int64_t kRows = 16384;
    time_shape<__nv_bfloat16, __nv_bfloat16>("bfloat16", kRows, channels, copy_speed);
    time_shape<float, float>("float32", kRows, channels, copy_speed);
    time_shape<float, __nv_bfloat16>("float32+bf16", kRows, channels, copy_speed);
  }
  return 0;
}

}  // namespace
}  // namespace longwave::ops

int main() { return longwave::ops::main_of(); }
