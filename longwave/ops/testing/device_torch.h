// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "longwave/ops/cuda/device_torch.h"

namespace longwave::ops::testing {

inline bool has_gpu() { return gpu::kBuiltIn && torch::cuda::is_available(); }

/// A fixture of what needs a GPU.
template <typename Base = ::testing::Test>
class OnDevice : public Base {
 protected:
  void SetUp() override {
    if (!has_gpu()) GTEST_SKIP() << "no GPU, or a build without CUDA";
  }
};

}  // namespace longwave::ops::testing
