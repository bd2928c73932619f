// SPDX-License-Identifier: Apache-2.0
// The main of the programs that test CUDA backends: without a GPU, laws of plans alone are left.
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <cstdio>

int main(int argc, char** argv) {
  // What CTest takes for a program that was skipped.
  constexpr int kSkipped = 77;
  testing::InitGoogleTest(&argc, argv);
  int devices = 0;
  const bool gpu = cudaGetDeviceCount(&devices) == cudaSuccess && devices > 0;
  if (!gpu) {
    std::puts("no GPU here: of these laws only those of plans are tried");
    if (GTEST_FLAG_GET(filter) == "*") GTEST_FLAG_SET(filter, "*CudaPlan*");
  }
  const int result = RUN_ALL_TESTS();
  return !gpu && testing::UnitTest::GetInstance()->test_to_run_count() == 0 ? kSkipped : result;
}
