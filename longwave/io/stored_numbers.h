// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "longwave/base/tensor.h"

/// Numbers as files hold them, which several formats share. Types go by the names of safetensors.
namespace longwave::io {

enum class Float64 : uint8_t { kNarrow, kKeep };     ///< F64 becomes float32, or stays
enum class NotFinite : uint8_t { kAllow, kReject };  ///< whether NaN and infinities are an error

/// A tensor of these little-endian bytes, as many as type and shape need: F32, I64, I32, U8 and
/// BOOL (as 0 and 1) as they are; F16, BF16 and, unless kept, F64 become float32. Nothing for any
/// other type.
std::optional<Tensor> tensor_of(std::string_view type, std::span<const std::byte> data,
                                const Shape& shape, Float64 float64 = Float64::kNarrow);

/// Throws DataError at `where` if a real tensor holds NaN or infinity.
void require_finite(const std::string& name, const Tensor& tensor, std::string_view where);

}  // namespace longwave::io
