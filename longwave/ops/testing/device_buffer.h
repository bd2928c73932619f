// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

namespace longwave::ops::testing {

/// Throws if the driver refused or a kernel before failed.
inline void require_cuda(cudaError_t status) {
  if (status != cudaSuccess) throw std::runtime_error(cudaGetErrorString(status));
}

/// Memory of a GPU.
template <typename T>
class DeviceBuffer {
 public:
  explicit DeviceBuffer(int64_t count) : count_(count) {
    // One element at least, so that an operand without elements is not an absent one.
    require_cuda(cudaMalloc(&data_, (count + 1) * sizeof(T)));
    require_cuda(cudaMemset(data_, 0xff, (count + 1) * sizeof(T)));  // NaN for every type
  }
  ~DeviceBuffer() { cudaFree(data_); }
  DeviceBuffer(const DeviceBuffer&) = delete;
  DeviceBuffer& operator=(const DeviceBuffer&) = delete;

  /// A copy of numbers on the host, each rounded to T.
  template <typename From>
  explicit DeviceBuffer(const std::vector<From>& numbers)
      : DeviceBuffer(static_cast<int64_t>(numbers.size())) {
    std::vector<T> rounded;
    rounded.reserve(numbers.size());
    for (const From& x : numbers) rounded.push_back(static_cast<T>(x));
    require_cuda(cudaMemcpy(data_, rounded.data(), count_ * sizeof(T), cudaMemcpyHostToDevice));
  }

  T* data() { return static_cast<T*>(data_); }

  /// The numbers, after all queued work; or the last `count` of them.
  std::vector<T> host() const { return host(count_); }
  std::vector<T> host(int64_t count) const {
    require_cuda(cudaDeviceSynchronize());
    std::vector<T> numbers(count);
    require_cuda(cudaMemcpy(numbers.data(), static_cast<const T*>(data_) + (count_ - count),
                            count * sizeof(T), cudaMemcpyDeviceToHost));
    return numbers;
  }

  /// The same as double.
  std::vector<double> wide() const { return wide(count_); }
  std::vector<double> wide(int64_t count) const {
    std::vector<double> numbers;
    for (const T& x : host(count)) numbers.push_back(static_cast<double>(static_cast<float>(x)));
    return numbers;
  }

 private:
  void* data_ = nullptr;
  int64_t count_;
};

/// Distance from 1 to the next number of T.
template <typename T>
inline constexpr double kEpsilon = std::numeric_limits<T>::epsilon();
template <>
inline constexpr double kEpsilon<__half> = 1.0 / 1024;
template <>
inline constexpr double kEpsilon<__nv_bfloat16> = 1.0 / 128;

/// The least positive number of T.
template <typename T>
inline constexpr double kLeast = std::numeric_limits<T>::denorm_min();
template <>
inline constexpr double kLeast<__half> = 1.0 / (1 << 24);
template <>
inline constexpr double kLeast<__nv_bfloat16> = 0x1p-133;

/// The most that rounding to T moves x.
template <typename T>
double rounding(double x) {
  return std::max(kEpsilon<T> * std::abs(x), kLeast<T>) / 2;
}

}  // namespace longwave::ops::testing
