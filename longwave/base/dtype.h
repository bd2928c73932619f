// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <complex>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace longwave {

/// Element types that a Tensor may hold.
enum class DType : uint8_t { kFloat32, kFloat64, kComplex64, kComplex128, kInt64, kInt32, kUint8 };

/// Where numbers live and kernels run.
enum class Device : uint8_t { kCpu, kCuda };

/// Bytes of one element.
size_t size_of(DType dtype);

/// The name that messages and files use: "float32", "complex64", ...
std::string_view name_of(DType dtype);

template <typename T>
struct DTypeOf;
template <>
struct DTypeOf<float> {
  static constexpr DType value = DType::kFloat32;
};
template <>
struct DTypeOf<double> {
  static constexpr DType value = DType::kFloat64;
};
template <>
struct DTypeOf<std::complex<float>> {
  static constexpr DType value = DType::kComplex64;
};
template <>
struct DTypeOf<std::complex<double>> {
  static constexpr DType value = DType::kComplex128;
};
template <>
struct DTypeOf<int64_t> {
  static constexpr DType value = DType::kInt64;
};
template <>
struct DTypeOf<int32_t> {
  static constexpr DType value = DType::kInt32;
};
template <>
struct DTypeOf<uint8_t> {
  static constexpr DType value = DType::kUint8;
};

}  // namespace longwave
