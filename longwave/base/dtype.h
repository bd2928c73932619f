// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <complex>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace longwave {

/// Element types that a Tensor may hold. The last four are blocks: numbers of a row that share
/// scales and lie together in the bytes that GGUF gives the type of the same name
/// (ops/quant/block_layout.h).
enum class DType : uint8_t {
  kFloat32,
  kFloat64,
  kComplex64,
  kComplex128,
  kInt64,
  kInt32,
  kUint8,
  kFloat16,
  kBFloat16,
  kQ8_0,
  kQ4_0,
  kQ4_K,
  kQ6_K,
};

/// How the rows of a matrix of blocks lie in memory. In files, always as rows.
enum class Layout : uint8_t {
  kRows,    ///< one after the other
  kPanels,  ///< sixteen at a time, interleaved as products want them (ops/quant/panels.h)
};

/// Rows of a panel.
inline constexpr int64_t kPanelRows = 16;

/// Where numbers live and kernels run.
enum class Device : uint8_t { kCpu, kCuda };

/// The least that can be stored of a type: plain types have blocks of one element.
struct BlockShape {
  int64_t elements;
  size_t bytes;
};
BlockShape block_of(DType dtype);

/// Whether elements share bytes, so that only whole blocks can be looked at.
bool is_blocked(DType dtype);

/// Bytes of one element of a type without blocks.
size_t size_of(DType dtype);

/// Bytes of `count` elements, whole blocks.
size_t bytes_of(DType dtype, int64_t count);

/// The name that messages and files use: "float32", "complex64", "q4_k", ...
std::string_view name_of(DType dtype);

/// The type of that name, or none.
std::optional<DType> dtype_named(std::string_view name);

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
