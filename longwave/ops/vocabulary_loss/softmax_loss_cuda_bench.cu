// SPDX-License-Identifier: Apache-2.0
// Times the loss over a vocabulary, which leaves its gradient in the place of the scores, on a GPU
// against the time that their bytes need at the speed of a copy in the same run. Checks against the
// formula first, and refuses to time a wrong kernel.
#include <cuda_runtime.h>

#include <cstdio>
#include <memory>
#include <vector>

#include "longwave/ops/testing/device_bench.h"
#include "longwave/ops/vocabulary_loss/testing/softmax_device.h"

namespace longwave::ops {
namespace {

using testing::DeviceBuffer;

template <typename T>
bool is_right(int64_t classes) {
  testing::SoftmaxDevice<T> run(37, classes, 1);
  softmax_loss_cuda(run.args(), nullptr);
  return testing::is_close(run.losses, run.losses_on.wide(), 1e-5) &&
         testing::is_close(run.slopes, run.scores_on.wide(),
                           run.kScale * (testing::kEpsilon<T> + 1e-6));
}

// Random scores of any size, made on the host once and repeated. A repetition finds what the one
// before made of them, which takes no other time.
template <typename T>
class Operands {
 public:
  Operands(int64_t rows, int64_t classes)
      : rows_(rows),
        classes_(classes),
        scores_(testing::normals_on_device<T>(rows * classes, random_)),
        labels_(std::vector<int64_t>(rows, classes / 2)),
        scale_(std::vector<float>{1.0f}),
        losses_(rows) {}

  SoftmaxLossCudaArgs<T> args() {
    return {.label = {labels_.data(), {rows_}},
            .scale = {scale_.data(), {1}},
            .scores = {scores_->data(), {rows_, classes_}},
            .loss = {losses_.data(), {rows_}}};
  }

  double bytes() const { return 2 * footprint(); }
  double footprint() const { return static_cast<double>(rows_ * classes_) * sizeof(T); }

 private:
  Random random_{1};
  int64_t rows_, classes_;
  std::unique_ptr<DeviceBuffer<T>> scores_;
  DeviceBuffer<int64_t> labels_;
  DeviceBuffer<float> scale_, losses_;
};

template <typename T>
void time_shape(const char* type, int64_t rows, int64_t classes, double copy_speed) {
  testing::Rotating<Operands<T>> operands(rows, classes);
  const auto time = testing::time_on_device(
      testing::kRepeats, [&](int i) { softmax_loss_cuda(operands[i].args(), nullptr); });
  std::printf("%-8s rows %-5ld classes %-5ld %s\n", type, rows, classes,
              testing::timing(time, operands[0].bytes(), copy_speed).c_str());
}

int main_of() {
  constexpr int64_t kVocabulary = 50288;
  for (const int64_t classes : {int64_t{4096}, kVocabulary}) {
    if (is_right<float>(classes) && is_right<__nv_bfloat16>(classes)) continue;
    std::printf("classes %ld: wrong result, not timed\n", classes);
    return 1;
  }
  const double copy_speed = testing::announce_device();
  std::printf("type     shape                   median ms (least to most)     floor ms\n");
  time_shape<__nv_bfloat16>("bfloat16", 2048, kVocabulary, copy_speed);
  time_shape<float>("float32", 2048, kVocabulary, copy_speed);
  time_shape<__nv_bfloat16>("bfloat16", 16384, 4096, copy_speed);
  time_shape<float>("float32", 16384, 4096, copy_speed);
  return 0;
}

}  // namespace
}  // namespace longwave::ops

int main() { return longwave::ops::main_of(); }
