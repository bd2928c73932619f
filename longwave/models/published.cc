// SPDX-License-Identifier: Apache-2.0
#include "longwave/models/published.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "longwave/base/error.h"
#include "longwave/models/families/family.h"
#include "longwave/models/families/transformers_keys.h"
#include "longwave/models/published_config.h"
#include "longwave/models/tensor_assembly.h"

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

bool same(const StoredTensor& one, const StoredTensor& other) {
  return one.dtype == other.dtype && one.shape == other.shape &&
         std::ranges::equal(one.bytes, other.bytes);
}

/// Whether a tensor of a file is another one once more.
bool is_repeat(const TensorMap& map, const StoredTensors& file, const std::string& name) {
  for (const TensorMap::Repeat& repeat : map.repeats()) {
    if (!name.starts_with(repeat.again)) continue;
    const auto first = file.find(repeat.first + name.substr(repeat.again.size()));
    if (first != file.end()) return same(first->second, file.at(name));
  }
  return false;
}

/// Refuses a head that is said to be the embedding and is not.
void check_tied_head(const StoredTensors& file, const std::string& name, const Placement& embedding,
                     std::string_view where) {
  const auto head = file.find(name);
  if (head == file.end() || same(head->second, file.at(embedding.theirs))) return;
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

void each_from_published(PublishedFormat format, const Config& config, const StoredTensors& file,
                         std::string_view where, const TakeTensor& take) {
  const TensorMap map =
      map_of(format, config, [&](const std::string& name) { return file.contains(name); });
  std::map<std::string, Storage> storage;
  for (const Parameter& parameter : parameters(config)) {
    storage.emplace(parameter.name, parameter.storage);
  }
  const std::vector<Placement> pieces = map.finish();
  const bool tied = config.options.flag("model.tie");
  TensorAssembly assembly(pieces, Direction::kToOurs, take);
  std::set<std::string> known;
  for (const Placement& piece : pieces) {
    // What must be float32 of a GGUF file is that already; it says so itself.
    const bool gguf = format == PublishedFormat::kGguf;
    assembly.add(piece, file, gguf ? Storage::kMatrix : storage.at(piece.ours));
    known.insert(piece.theirs);
  }
  if (tied) {
    check_tied_head(file, head_name(format), pieces.front(), where);
    known.insert(head_name(format));
  }
  for (const auto& [name, tensor] : file) {
    if (known.contains(name) || is_repeat(map, file, name)) continue;
    throw DataError({.where = std::string(where),
                     .what = "tensor " + name + " belongs to no layer of the model",
                     .got = {},
                     .fix = "check that config.json and the tensors belong together"});
  }
  for (const char* name : {"decoder.shift", "decoder.scale"}) {
    Tensor tensor(DType::kFloat32, {config.interface.output_size});
    const float value = std::string_view(name) == "decoder.scale" ? 1 : 0;
    std::ranges::fill(tensor.elements<float>(), value);
    take(name, std::move(tensor));
  }
}

Weights from_published(PublishedFormat format, const Config& config, const StoredTensors& file,
                       std::string_view where) {
  Weights weights;
  each_from_published(format, config, file, where, put_into(weights));
  return weights;
}

struct ToPublished::Parts {
  std::multimap<std::string, Placement> pieces;  // by our names
  std::map<std::string, Shape> shapes;           // by theirs
  Shape outputs;                                 // of the standardisation
  TensorAssembly assembly;
};

ToPublished::ToPublished(PublishedFormat format, const Config& config, TakeTensor take) {
  const std::vector<Placement> pieces = placements(format, config);
  std::multimap<std::string, Placement> by_name;
  std::map<std::string, Shape> shapes;
  for (const Placement& piece : pieces) {
    by_name.emplace(piece.ours, piece);
    shapes.emplace(piece.theirs, piece.their_shape);
  }
  if (format == PublishedFormat::kStateSpaces && config.options.flag("model.tie")) {
    const std::string embedding = pieces.front().theirs, head = head_name(format);
    shapes.emplace(head, pieces.front().their_shape);
    take = [take = std::move(take), head, embedding](const std::string& name, Tensor tensor) {
      if (name == embedding) take(head, tensor.clone());
      take(name, std::move(tensor));
    };
  }
  TensorAssembly assembly(pieces, Direction::kToTheirs, std::move(take));
  parts_ = std::make_unique<Parts>(Parts{
      std::move(by_name), std::move(shapes), {config.interface.output_size}, std::move(assembly)});
}

const std::map<std::string, Shape>& ToPublished::shapes() const { return parts_->shapes; }

ToPublished::~ToPublished() = default;

void ToPublished::add(const std::string& name, const Tensor& tensor) {
  if (name == "decoder.shift" || name == "decoder.scale") {
    const float neutral = name == "decoder.scale" ? 1 : 0;
    const auto is_neutral = [neutral](float value) { return value == neutral; };
    if (tensor.dtype() == DType::kFloat32 && tensor.shape() == parts_->outputs &&
        std::ranges::all_of(tensor.elements<float>(), is_neutral)) {
      return;
    }
    throw DataError({.where = "decoder.shift, decoder.scale",
                     .what = "published forms have no standardisation of outputs",
                     .got = {},
                     .fix = "set them to 0 and 1"});
  }
  const StoredTensors one = {{name, stored(tensor)}};
  const auto [first, last] = parts_->pieces.equal_range(name);
  for (auto piece = first; piece != last; ++piece) {
    parts_->assembly.add(piece->second, one, Storage::kMatrix);
  }
  parts_->pieces.erase(first, last);
}

std::optional<Tensor> ToPublished::there_and_back(const std::string& name,
                                                  const Tensor& tensor) const {
  std::optional<Tensor> back;
  const auto [first, last] = parts_->pieces.equal_range(name);
  for (auto part = first; part != last; ++part) {
    if (part->second.factor == 1) continue;
    if (!back) back = tensor.clone();
    scale_there_and_back(part->second, *back);
  }
  return back;
}

void ToPublished::finish() {
  if (parts_->pieces.empty()) return;
  throw DataError({.where = "weights",
                   .what = "tensor " + parts_->pieces.begin()->first + " is missing",
                   .got = {},
                   .fix = "check that config.json and the tensors belong together"});
}

Weights to_published(PublishedFormat format, const Config& config, const Weights& weights) {
  Weights result;
  ToPublished parts(format, config, put_into(result));
  for (const auto& [name, tensor] : weights.all()) parts.add(name, tensor);
  parts.finish();
  return result;
}

}  // namespace longwave::models
