// SPDX-License-Identifier: Apache-2.0
#include "longwave/models/published.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <span>
#include <utility>

#include "longwave/base/error.h"
#include "longwave/base/matrix.h"
#include "longwave/models/families/family.h"
#include "longwave/models/families/transformers_keys.h"
#include "longwave/models/published_config.h"
#include "longwave/ops/quant/quant.h"

namespace longwave::models {
namespace {

std::string head_name(PublishedFormat format) {
  return format == PublishedFormat::kGguf ? "output.weight" : "lm_head.weight";
}

TensorMap map_of(PublishedFormat format, const Config& config, TensorMap::InFile in_file) {
  TensorMap map(config, std::move(in_file));
  if (format == PublishedFormat::kStateSpaces) {
    place_backbone(map, "embedding.weight");
  } else if (format == PublishedFormat::kGguf) {
    gguf_form_of(config).place(map);
  } else {
    family_of(config).place(map);
  }
  return map;
}

std::vector<Placement> placements(PublishedFormat format, const Config& config) {
  return map_of(format, config, {}).finish();
}

/// Whether a tensor of a file is another one once more.
bool is_repeat(const TensorMap& map, const Weights& file, const std::string& name) {
  for (const TensorMap::Repeat& repeat : map.repeats()) {
    if (!name.starts_with(repeat.again)) continue;
    const auto first = file.all().find(repeat.first + name.substr(repeat.again.size()));
    if (first == file.all().end()) continue;
    const Tensor &one = first->second, &other = file.all().at(name);
    return one.dtype() == other.dtype() && one.shape() == other.shape() &&
           std::equal(one.raw(), one.raw() + one.bytes(), other.raw());
  }
  return false;
}

/// A tensor as the rows that pieces speak of; vectors are float32.
Matrix rows_of(const Weights& weights, const std::string& name, const Shape& shape) {
  if (shape.size() >= 2) return weights.matrix(name, shape);
  const auto values = weights.get(name, shape);
  return View<const float, 2>(values.data(), {static_cast<int64_t>(values.size()), 1});
}

/// The x of y = -exp(x).
float logarithm_of(float y, const std::string& name) {
  if (y < 0 && std::isfinite(y)) return std::log(-y);
  throw DataError({.where = name,
                   .what = "numbers of A must be negative and finite",
                   .got = std::to_string(y),
                   .fix = "convert the model again from its original form"});
}

enum class Direction : uint8_t { kToOurs, kToTheirs };

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

/// Copies the rows of a piece in their own type; the other tensor is made if it is not there yet.
void copy_piece(const Placement& piece, Direction direction, const Weights& from,
                std::map<std::string, Tensor>& into) {
  const bool ours = direction == Direction::kToOurs;
  const std::string& name = ours ? piece.ours : piece.theirs;
  const Matrix source =
      rows_of(from, ours ? piece.theirs : piece.ours, ours ? piece.their_shape : piece.our_shape);
  const Shape& shape = ours ? piece.our_shape : piece.their_shape;
  Tensor& target = into.try_emplace(name, source.dtype, shape).first->second;
  if (target.dtype() != source.dtype) {
    throw DataError(
        {.where = ours ? piece.theirs : piece.ours,
         .what = "tensors that make up " + name + " must be of one type",
         .got = std::string(name_of(source.dtype)) + " and " + std::string(name_of(target.dtype())),
         .fix = {}});
  }
  const int64_t runs = piece.their_step == 1 ? 1 : piece.rows;
  const int64_t count = piece.rows / runs * columns_of(piece.our_shape);
  for (int64_t run = 0; run < runs; ++run) {
    const int64_t our_row = piece.our_row + run;
    const int64_t their_row = piece.their_row + run * piece.their_step;
    std::byte* to =
        target.raw() + bytes_of(source.dtype, (ours ? our_row : their_row) * columns_of(shape));
    std::copy_n(source.row(ours ? their_row : our_row), bytes_of(source.dtype, count), to);
    if (piece.factor != 1) scale(source.dtype, count, piece.factor, direction, to);
    if (piece.change == Placement::Change::kNone) continue;
    LONGWAVE_ASSERT(source.dtype == DType::kFloat32, "only float32 numbers are changed");
    for (float& x : std::span(reinterpret_cast<float*>(to), static_cast<size_t>(count))) {
      x = ours ? logarithm_of(x, piece.theirs) : -std::exp(x);
    }
  }
}

Weights weights_of(std::map<std::string, Tensor> tensors) {
  Weights weights;
  for (auto& [name, tensor] : tensors) weights.put(name, std::move(tensor));
  return weights;
}

/// Refuses a head that is said to be the embedding and is not.
void check_tied_head(const Weights& file, const std::string& name, const Placement& embedding,
                     std::string_view where) {
  if (!file.has(name)) return;
  const auto head = file.get(name, embedding.their_shape);
  if (std::ranges::equal(head, file.get(embedding.theirs, embedding.their_shape))) return;
  throw DataError({.where = std::string(where),
                   .what = name + " differs from " + embedding.theirs +
                           ", and the configuration says that they are tied",
                   .got = {},
                   .fix = "set tie_embeddings or tie_word_embeddings to false in config.json"});
}

}  // namespace

std::string_view name_of(PublishedFormat format) {
  switch (format) {
    case PublishedFormat::kStateSpaces:
      return "state-spaces";
    case PublishedFormat::kHuggingFace:
      return "hf";
    case PublishedFormat::kGguf:
      break;
  }
  return "gguf";
}

std::optional<PublishedFormat> published_format(const PublishedConfig& config) {
  if (config.contains("model_type")) return PublishedFormat::kHuggingFace;
  if (config.contains("d_model") && config.contains("n_layer")) {
    return PublishedFormat::kStateSpaces;
  }
  return std::nullopt;
}

Config from_published(PublishedFormat format, const PublishedConfig& config,
                      std::string_view where) {
  PublishedReader reader(config, where);
  Config result = format == PublishedFormat::kStateSpaces   ? from_state_spaces(reader)
                  : format == PublishedFormat::kHuggingFace ? from_hugging_face(reader)
                                                            : from_gguf(reader);
  reader.finish();
  parameters(result);  // refuses options that contradict each other
  return result;
}

PublishedConfig to_published(PublishedFormat format, const Config& config) {
  if (format == PublishedFormat::kHuggingFace) return to_hugging_face(config);
  if (format == PublishedFormat::kGguf) return to_gguf(config);
  check_publishable(format, config);
  return to_state_spaces(config);
}

std::vector<PublishedTensor> published_tensors(PublishedFormat format, const Config& config) {
  std::vector<PublishedTensor> tensors;
  for (const Placement& piece : placements(format, config)) {
    auto found = std::ranges::find(tensors, piece.theirs, &PublishedTensor::theirs);
    if (found == tensors.end()) {
      tensors.push_back(
          {piece.ours, piece.theirs, piece.their_shape, piece.change != Placement::Change::kNone});
      found = std::prev(tensors.end());
    }
    found->scaled = found->scaled || piece.factor != 1;
  }
  return tensors;
}

Weights from_published(PublishedFormat format, const Config& config, const Weights& file,
                       std::string_view where) {
  const TensorMap map =
      map_of(format, config, [&](const std::string& name) { return file.has(name); });
  const std::vector<Placement> pieces = map.finish();
  const bool tied = config.options.flag("model.tie");
  std::map<std::string, Tensor> tensors;
  std::set<std::string> known;
  for (const Placement& piece : pieces) {
    copy_piece(piece, Direction::kToOurs, file, tensors);
    known.insert(piece.theirs);
  }
  if (tied) {
    check_tied_head(file, head_name(format), pieces.front(), where);
    known.insert(head_name(format));
  }
  for (const auto& [name, tensor] : file.all()) {
    if (known.contains(name) || is_repeat(map, file, name)) continue;
    throw DataError({.where = std::string(where),
                     .what = "tensor " + name + " belongs to no layer of the model",
                     .got = {},
                     .fix = "check that config.json and the tensors belong together"});
  }
  Weights result = weights_of(std::move(tensors));
  for (const char* name : {"decoder.shift", "decoder.scale"}) {
    Tensor tensor(DType::kFloat32, {config.interface.output_size});
    const float value = std::string_view(name) == "decoder.scale" ? 1 : 0;
    std::ranges::fill(tensor.elements<float>(), value);
    result.put(name, std::move(tensor));
  }
  return result;
}

Weights to_published(PublishedFormat format, const Config& config, const Weights& weights) {
  const Shape row = {config.interface.output_size};
  const auto all = [](std::span<const float> values, float only) {
    return std::ranges::all_of(values, [only](float value) { return value == only; });
  };
  if (!all(weights.get("decoder.shift", row), 0) || !all(weights.get("decoder.scale", row), 1)) {
    throw DataError({.where = "decoder.shift, decoder.scale",
                     .what = "published forms have no standardisation of outputs",
                     .got = {},
                     .fix = "set them to 0 and 1"});
  }
  std::map<std::string, Tensor> tensors;
  for (const Placement& piece : placements(format, config)) {
    copy_piece(piece, Direction::kToTheirs, weights, tensors);
  }
  if (format == PublishedFormat::kStateSpaces && config.options.flag("model.tie")) {
    tensors.emplace(head_name(format), tensors.at("backbone.embedding.weight").clone());
  }
  return weights_of(std::move(tensors));
}

}  // namespace longwave::models
