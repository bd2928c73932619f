// SPDX-License-Identifier: Apache-2.0
#include "longwave/io/stored_numbers.h"

#include <cmath>
#include <cstring>

#include "longwave/base/error.h"
#include "longwave/base/half.h"

namespace longwave::io {
namespace {

template <typename Stored, typename T, typename Convert>
Tensor converted(std::span<const std::byte> data, const Shape& shape, const Convert& convert) {
  Tensor tensor(DTypeOf<T>::value, shape);
  const std::span<T> out = tensor.elements<T>();
  for (size_t i = 0; i < out.size(); ++i) {
    Stored stored;
    std::memcpy(&stored, data.data() + i * sizeof(Stored), sizeof(Stored));
    out[i] = convert(stored);
  }
  return tensor;
}

Tensor copied(std::span<const std::byte> data, const Shape& shape, DType dtype) {
  Tensor tensor(dtype, shape);
  if (!data.empty()) std::memcpy(tensor.raw(), data.data(), data.size());
  return tensor;
}

template <typename T>
void require_finite(const std::string& name, std::span<const T> values, std::string_view where) {
  for (size_t i = 0; i < values.size(); ++i) {
    if (std::isfinite(values[i])) continue;
    throw DataError({.where = std::string(where),
                     .what = "tensor \"" + name + "\" holds a number that is not finite",
                     .got = std::to_string(values[i]) + " at element " + std::to_string(i),
                     .fix = "go back to a checkpoint from before the training diverged"});
  }
}

}  // namespace

std::optional<Tensor> tensor_of(std::string_view type, std::span<const std::byte> data,
                                const Shape& shape, Float64 float64) {
  if (type == "F32") return copied(data, shape, DType::kFloat32);
  if (type == "F64" && float64 == Float64::kKeep) return copied(data, shape, DType::kFloat64);
  if (type == "F64") {
    return converted<double, float>(data, shape, [](double x) { return static_cast<float>(x); });
  }
  if (type == "BF16") return converted<uint16_t, float>(data, shape, from_bfloat16);
  if (type == "F16") return converted<uint16_t, float>(data, shape, from_float16);
  if (type == "I64") return copied(data, shape, DType::kInt64);
  if (type == "I32") return copied(data, shape, DType::kInt32);
  if (type == "U8" || type == "BOOL") return copied(data, shape, DType::kUint8);
  return std::nullopt;
}

void require_finite(const std::string& name, const Tensor& tensor, std::string_view where) {
  if (tensor.dtype() == DType::kFloat32) {
    require_finite(name, tensor.elements<float>(), where);
  } else if (tensor.dtype() == DType::kFloat64) {
    require_finite(name, tensor.elements<double>(), where);
  }
}

}  // namespace longwave::io
