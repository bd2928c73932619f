// SPDX-License-Identifier: Apache-2.0
#include "longwave/models/tensor_assembly.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <utility>

#include "longwave/base/error.h"
#include "longwave/base/matrix.h"
#include "longwave/ops/quant/quant.h"

namespace longwave::models {
namespace {

/// A tensor as the rows that pieces speak of; each number of a vector is a row.
Matrix rows_of(const StoredTensors& tensors, const std::string& name, const Shape& shape) {
  constexpr const char* kFix = "check that config.json and the tensors belong together";
  const auto found = tensors.find(name);
  if (found == tensors.end()) {
    throw DataError({.where = "weights",
                     .what = "tensor " + name + " is missing",
                     .got = std::to_string(tensors.size()) + " tensors",
                     .fix = kFix});
  }
  const StoredTensor& tensor = found->second;
  const bool vector = shape.size() < 2;
  const bool fits = ops::is_weight_type(tensor.dtype) && (!vector || !is_blocked(tensor.dtype));
  if (tensor.shape != shape || !fits) {
    throw DataError(
        {.where = "weights",
         .what =
             "tensor " + name + " must be " +
             (vector ? "float32, float16 or bfloat16" : "float32, float16, bfloat16 or blocks") +
             " of shape " + to_string(shape),
         .got = std::string(name_of(tensor.dtype)) + " of shape " + to_string(tensor.shape),
         .fix = kFix});
  }
  const int64_t columns = vector ? 1 : shape.back();
  return {tensor.dtype, columns == 0 ? 0 : element_count(shape) / columns, columns,
          tensor.bytes.data()};
}

/// The x of y = -exp(x).
float logarithm_of(float y, const std::string& name) {
  if (y < 0 && std::isfinite(y)) return std::log(-y);
  throw DataError({.where = name,
                   .what = "numbers of A must be negative and finite",
                   .got = std::to_string(y),
                   .fix = "convert the model again from its original form"});
}

/// Multiplies numbers of any type by the factor of their piece, or divides them.
void scale(DType dtype, int64_t count, double factor, Direction direction, std::byte* numbers) {
  const auto single = static_cast<float>(factor);
  const auto scale_all = [&](std::span<float> all) {
    for (float& x : all) x = direction == Direction::kToOurs ? x / single : x * single;
  };
  if (dtype == DType::kFloat32) {
    scale_all({reinterpret_cast<float*>(numbers), static_cast<size_t>(count)});
    return;
  }
  Tensor stored(dtype, {1, count});
  std::copy_n(numbers, stored.bytes(), stored.raw());
  Tensor plain = ops::dequantize(stored);
  scale_all(plain.elements<float>());
  const Tensor scaled = ops::quantize(plain, dtype);
  std::copy_n(scaled.raw(), scaled.bytes(), numbers);
}

/// Copies `count` numbers, as float32 or in their own type.
void copy_numbers(const Matrix& source, int64_t row, int64_t count, DType dtype, std::byte* to) {
  if (dtype == source.dtype) {
    std::copy_n(source.row(row), bytes_of(dtype, count), to);
    return;
  }
  ops::dequantize({.W = Matrix(source.dtype, 1, count, source.row(row)),
                   .y = {reinterpret_cast<float*>(to), {1, count}}});
}

/// Copies the rows of a piece in their own type, or as float32 where `storage` is that and they are
/// of 16 bits; the other tensor is made if it is not there yet.
void copy_piece(const Placement& piece, Direction direction, const StoredTensors& from,
                Storage storage, std::map<std::string, Tensor>& into) {
  const bool ours = direction == Direction::kToOurs;
  const std::string& name = ours ? piece.ours : piece.theirs;
  const Matrix source =
      rows_of(from, ours ? piece.theirs : piece.ours, ours ? piece.their_shape : piece.our_shape);
  const Shape& shape = ours ? piece.our_shape : piece.their_shape;
  const bool widens = storage == Storage::kFloat32 && !is_blocked(source.dtype);
  const DType dtype = widens ? DType::kFloat32 : source.dtype;
  Tensor& target = into.try_emplace(name, dtype, shape).first->second;
  if (target.dtype() != dtype) {
    throw DataError(
        {.where = ours ? piece.theirs : piece.ours,
         .what = "tensors that make up " + name + " must be of one type",
         .got = std::string(name_of(dtype)) + " and " + std::string(name_of(target.dtype())),
         .fix = {}});
  }
  const int64_t runs = piece.their_step == 1 ? 1 : piece.rows;
  const int64_t count = piece.rows / runs * columns_of(piece.our_shape);
  for (int64_t run = 0; run < runs; ++run) {
    const int64_t our_row = piece.our_row + run;
    const int64_t their_row = piece.their_row + run * piece.their_step;
    std::byte* to =
        target.raw() + bytes_of(dtype, (ours ? our_row : their_row) * columns_of(shape));
    copy_numbers(source, ours ? their_row : our_row, count, dtype, to);
    if (piece.factor != 1) scale(dtype, count, piece.factor, direction, to);
    if (piece.change == Placement::Change::kNone) continue;
    LONGWAVE_ASSERT(dtype == DType::kFloat32, "only float32 numbers are changed");
    for (float& x : std::span(reinterpret_cast<float*>(to), static_cast<size_t>(count))) {
      x = ours ? logarithm_of(x, piece.theirs) : -std::exp(x);
    }
  }
}

}  // namespace

TensorAssembly::TensorAssembly(const std::vector<Placement>& pieces, Direction direction,
                               TakeTensor take)
    : direction_(direction), take_(std::move(take)) {
  for (const Placement& piece : pieces) ++missing_[target(piece)];
}

void TensorAssembly::add(const Placement& piece, const StoredTensors& from, Storage storage) {
  copy_piece(piece, direction_, from, storage, tensors_);
  const auto count = missing_.find(target(piece));
  if (--count->second > 0) return;
  auto whole = tensors_.extract(count->first);
  missing_.erase(count);
  take_(whole.key(), std::move(whole.mapped()));
}

void scale_there_and_back(const Placement& piece, Tensor& ours) {
  rows_of({{piece.ours, stored(ours)}}, piece.ours, piece.our_shape);  // refuses another shape
  const int64_t columns = columns_of(piece.our_shape);
  const auto numbers = ours.elements<float>().subspan(static_cast<size_t>(piece.our_row * columns),
                                                      static_cast<size_t>(piece.rows * columns));
  for (const Direction direction : {Direction::kToTheirs, Direction::kToOurs}) {
    scale(DType::kFloat32, std::ssize(numbers), piece.factor, direction,
          std::as_writable_bytes(numbers).data());
  }
}

}  // namespace longwave::models
