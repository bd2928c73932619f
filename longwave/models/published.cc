// SPDX-License-Identifier: Apache-2.0
#include "longwave/models/published.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
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

/// Tensors that are put together of pieces, given away when they are whole.
class Assembly {
 public:
  Assembly(const std::vector<Placement>& pieces, Direction direction, TakeTensor take)
      : direction_(direction), take_(std::move(take)) {
    for (const Placement& piece : pieces) ++missing_[target(piece)];
  }

  void add(const Placement& piece, const StoredTensors& from, Storage storage) {
    copy_piece(piece, direction_, from, storage, tensors_);
    const auto count = missing_.find(target(piece));
    if (--count->second > 0) return;
    auto whole = tensors_.extract(count->first);
    missing_.erase(count);
    take_(whole.key(), std::move(whole.mapped()));
  }

 private:
  const std::string& target(const Placement& piece) const {
    return direction_ == Direction::kToOurs ? piece.ours : piece.theirs;
  }

  Direction direction_;
  TakeTensor take_;
  std::map<std::string, int64_t> missing_;  // pieces of each that did not come yet
  std::map<std::string, Tensor> tensors_;
};

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
  Assembly assembly(pieces, Direction::kToOurs, take);
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
  Assembly assembly;
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
  Assembly assembly(pieces, Direction::kToTheirs, std::move(take));
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
  const StoredTensors one = {{name, stored(tensor)}};
  const auto [first, last] = parts_->pieces.equal_range(name);
  for (auto part = first; part != last; ++part) {
    const Placement& piece = part->second;
    static_cast<void>(rows_of(one, name, piece.our_shape));  // refuses another shape
    if (piece.factor == 1) continue;
    if (!back) back = tensor.clone();
    const auto numbers = back->elements<float>().subspan(
        static_cast<size_t>(piece.our_row * columns_of(piece.our_shape)),
        static_cast<size_t>(piece.rows * columns_of(piece.our_shape)));
    for (const Direction direction : {Direction::kToTheirs, Direction::kToOurs}) {
      scale(DType::kFloat32, std::ssize(numbers), piece.factor, direction,
            std::as_writable_bytes(numbers).data());
    }
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
