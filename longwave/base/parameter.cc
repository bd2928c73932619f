// SPDX-License-Identifier: Apache-2.0
#include "longwave/base/parameter.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "longwave/base/error.h"

namespace longwave {
namespace {

constexpr const char* kBelongTogether =
    "check that config.json and model.safetensors belong together";

bool may_be_matrix(DType dtype) {
  return dtype == DType::kFloat32 || dtype == DType::kFloat16 || dtype == DType::kBFloat16 ||
         is_blocked(dtype);
}

[[noreturn]] void refuse(const std::string& name, const std::string& type, const Shape& shape,
                         const Tensor& tensor) {
  throw DataError(
      {.where = "weights",
       .what = "tensor " + name + " must be " + type + " of shape " + to_string(shape),
       .got = std::string(name_of(tensor.dtype())) + " of shape " + to_string(tensor.shape()),
       .fix = kBelongTogether});
}

}  // namespace

ParameterTable with_prefix(const std::string& prefix, ParameterTable table) {
  for (Parameter& parameter : table) parameter.name = prefix + "." + parameter.name;
  return table;
}

void append(ParameterTable& table, ParameterTable more) {
  std::ranges::move(more, std::back_inserter(table));
}

std::function<void(std::span<float>, Random&)> constant_init(float value) {
  return [value](std::span<float> out, Random&) { std::ranges::fill(out, value); };
}

std::function<void(std::span<float>, Random&)> uniform_init(double low, double high) {
  return [low, high](std::span<float> out, Random& random) {
    for (float& x : out) x = static_cast<float>(random.uniform(low, high));
  };
}

std::function<void(std::span<float>, Random&)> normal_init(double mean, double deviation) {
  return [mean, deviation](std::span<float> out, Random& random) {
    for (float& x : out) x = static_cast<float>(mean + deviation * random.normal());
  };
}

void Weights::put(const std::string& name, Tensor tensor) {
  tensors_->insert_or_assign(prefix_ + name, std::move(tensor));
}

Tensor Weights::take(const std::string& name) {
  find(name);
  return std::move(tensors_->extract(prefix_ + name).mapped());
}

bool Weights::has(const std::string& name) const { return tensors_->contains(prefix_ + name); }

const Tensor& Weights::find(const std::string& name) const {
  const auto found = tensors_->find(prefix_ + name);
  if (found != tensors_->end()) return found->second;
  throw DataError({.where = "weights",
                   .what = "tensor " + prefix_ + name + " is missing",
                   .got = std::to_string(tensors_->size()) + " tensors",
                   .fix = kBelongTogether});
}

std::span<const float> Weights::get(const std::string& name, const Shape& shape) const {
  const Tensor& tensor = find(name);
  if (tensor.shape() != shape || tensor.dtype() != DType::kFloat32) {
    refuse(prefix_ + name, "float32", shape, tensor);
  }
  return tensor.elements<float>();
}

Matrix Weights::matrix(const std::string& name, const Shape& shape) const {
  LONGWAVE_ASSERT(shape.size() >= 2, "a matrix has two extents or more");
  const Tensor& tensor = find(name);
  if (tensor.shape() != shape || !may_be_matrix(tensor.dtype())) {
    refuse(prefix_ + name, "float32, float16, bfloat16 or blocks", shape, tensor);
  }
  const int64_t rows = element_count(Shape(shape.begin(), shape.end() - 1));
  Matrix matrix(tensor.dtype(), rows, shape.back(), tensor.raw());
  matrix.layout = tensor.layout();
  return matrix;
}

const Tensor& Weights::of(const Parameter& parameter) const {
  if (parameter.storage == Storage::kMatrix) {
    matrix(parameter.name, parameter.shape);
  } else {
    get(parameter.name, parameter.shape);
  }
  return find(parameter.name);
}

Weights Weights::scope(const std::string& name) const {
  Weights inner = *this;
  inner.prefix_ = prefix_ + name + ".";
  return inner;
}

std::string Weights::path() const {
  return prefix_.empty() ? prefix_ : prefix_.substr(0, prefix_.size() - 1);
}

Weights initialise(const ParameterTable& table, uint64_t seed) {
  Weights weights;
  for (const Parameter& parameter : table) {
    Tensor tensor(DType::kFloat32, parameter.shape);
    Random random(seed, stream_id(parameter.name));
    parameter.init(tensor.elements<float>(), random);
    weights.put(parameter.name, std::move(tensor));
  }
  for (const Parameter& parameter : table) {
    if (!parameter.adjust) continue;
    const size_t dot = parameter.name.rfind('.');
    const Weights layer =
        dot == std::string::npos ? weights : weights.scope(parameter.name.substr(0, dot));
    Tensor tensor = weights.all().at(parameter.name).clone();
    parameter.adjust(tensor.elements<float>(), layer);
    weights.put(parameter.name, std::move(tensor));
  }
  return weights;
}

}  // namespace longwave
