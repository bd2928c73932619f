// SPDX-License-Identifier: Apache-2.0
#include "longwave/train/batch.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <utility>

#include "longwave/base/error.h"
#include "longwave/ops/operand_torch.h"

namespace longwave::train {
namespace {

using Target = data::TaskInfo::Target;

constexpr std::array<std::pair<DType, torch::ScalarType>, 5> kTypes = {{
    {DType::kFloat32, torch::kFloat32},
    {DType::kFloat64, torch::kFloat64},
    {DType::kInt64, torch::kInt64},
    {DType::kInt32, torch::kInt32},
    {DType::kUint8, torch::kUInt8},
}};

torch::ScalarType torch_type(DType dtype) {
  for (const auto& [ours, theirs] : kTypes) {
    if (ours == dtype) return theirs;
  }
  throw InvalidArgument({.where = "to_torch",
                         .what = "complex tensors are stored as pairs",
                         .got = std::string(name_of(dtype)),
                         .fix = {}});
}

DType own_type(torch::ScalarType type) {
  for (const auto& [ours, theirs] : kTypes) {
    if (theirs == type) return ours;
  }
  throw InvalidArgument({.where = "from_torch",
                         .what = "no such element type here",
                         .got = torch::toString(type),
                         .fix = {}});
}

constexpr std::array<std::pair<const char*, torch::Tensor Batch::*>, 5> kParts = {{
    {"input", &Batch::input},
    {"tokens", &Batch::tokens},
    {"lengths", &Batch::lengths},
    {"value", &Batch::value},
    {"label", &Batch::label},
}};

torch::Tensor row(const std::vector<float>& values, const torch::Device& device) {
  if (values.empty()) return {};
  return torch::tensor(torch::ArrayRef<float>(values)).to(device);
}

constexpr int64_t kNotAsked = -1;

bool has_classes(const data::TaskInfo& info) {
  return info.target == Target::kClass || info.target == Target::kClassPerStep;
}

torch::Tensor class_loss(const torch::Tensor& output, const torch::Tensor& label) {
  const torch::Tensor rows = ops::widened(output.reshape({-1, output.size(-1)}));
  return torch::nn::functional::cross_entropy(
      rows, label.reshape({-1}),
      torch::nn::functional::CrossEntropyFuncOptions().ignore_index(kNotAsked));
}

torch::Tensor value_loss(const torch::Tensor& output, const torch::Tensor& wanted,
                         const torch::Tensor& asked) {
  const torch::Tensor error = output.reshape(wanted.sizes()) - wanted;
  // `where` and not a product: NaN times zero is NaN.
  const torch::Tensor kept = torch::where(asked, error, torch::zeros_like(error));
  return kept.square().sum() / asked.sum();
}

}  // namespace

std::span<const std::pair<const char*, torch::Tensor Batch::*>> parts_of_batches() {
  return kParts;
}

torch::Tensor to_torch(const Tensor& tensor) {
  torch::Tensor result = torch::empty(tensor.shape(), torch_type(tensor.dtype()));
  if (tensor.size() > 0) std::memcpy(result.data_ptr(), tensor.raw(), tensor.bytes());
  return result;
}

Tensor from_torch(const torch::Tensor& tensor) {
  const torch::Tensor dense = tensor.detach().cpu().contiguous();
  Tensor result(own_type(dense.scalar_type()), dense.sizes().vec());
  if (result.size() > 0) std::memcpy(result.raw(), dense.data_ptr(), result.bytes());
  return result;
}

Batch to_torch(const data::TaskInfo& info, const data::Batch& batch) {
  const bool steps = info.target == Target::kClassPerStep || info.target == Target::kValuePerStep;
  const auto tensor = [](const auto& values, const Shape& shape) {
    return values.empty() ? torch::Tensor() : torch::tensor(values).reshape(shape);
  };
  const Shape rows{batch.batch, batch.time};
  Batch result;
  result.input = tensor(batch.input, {batch.batch, batch.time, info.input_size});
  result.tokens = tensor(batch.tokens, rows);
  const bool padded =
      std::ranges::any_of(batch.lengths, [&](int64_t length) { return length != batch.time; });
  if (padded) result.lengths = tensor(batch.lengths, {batch.batch});
  result.label = tensor(batch.label, steps ? rows : Shape{batch.batch});
  result.value = tensor(batch.value, steps ? Shape{batch.batch, batch.time, info.target_size}
                                           : Shape{batch.batch, info.target_size});
  return result;
}

torch::Tensor to_device(const torch::Tensor& tensor, const torch::Device& device) {
  if (!tensor.defined()) return {};
  if (!device.is_cuda() || !tensor.is_cpu()) return tensor.to(device);
  // Only from memory that stays in place may a copy run by itself.
  return tensor.pin_memory().to(device, /*non_blocking=*/true);
}

Batch to_device(const Batch& batch, const torch::Device& device) {
  Batch moved;
  for (const auto& [name, part] : kParts) moved.*part = to_device(batch.*part, device);
  return moved;
}

void put(Weights& weights, const std::string& prefix, const Batch& batch) {
  for (const auto& [name, part] : kParts) {
    if ((batch.*part).defined()) weights.put(prefix + "." + name, from_torch(batch.*part));
  }
}

Batch get(const Weights& weights, const std::string& prefix) {
  Batch batch;
  for (const auto& [name, part] : kParts) {
    const auto found = weights.all().find(prefix + "." + name);
    if (found != weights.all().end()) batch.*part = to_torch(found->second);
  }
  return batch;
}

void require_targets(const data::TaskInfo& info, const Batch& batch) {
  const torch::Tensor asked =
      has_classes(info) ? batch.label.ne(kNotAsked) : batch.value.isnan().logical_not();
  if (asked.any().item<bool>()) return;
  throw DataError({.where = "training batch",
                   .what = "no sequence of it has a target",
                   .got = "only -1 labels or NaN values",
                   .fix = "check the target column of the data"});
}

Loss::Loss(const data::TaskInfo& info, const torch::Device& device)
    : classes_(has_classes(info)),
      shift_(row(info.target_shift, device)),
      scale_(row(info.target_scale, device)) {}

torch::Tensor Loss::operator()(const torch::Tensor& output, const Batch& batch) const {
  if (classes_) return class_loss(output, batch.label);
  torch::Tensor wanted = batch.value;
  if (shift_.defined()) wanted = wanted - shift_;
  if (scale_.defined()) wanted = wanted / scale_;
  return value_loss(output, wanted, batch.value.isnan().logical_not());
}

}  // namespace longwave::train
