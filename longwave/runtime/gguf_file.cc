// SPDX-License-Identifier: Apache-2.0
#include "longwave/runtime/gguf_file.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/io/gguf.h"
#include "longwave/models/published.h"
#include "longwave/ops/quant/quant.h"
#include "longwave/runtime/gguf_exact.h"
#include "longwave/runtime/gguf_metadata.h"
#include "longwave/runtime/gguf_tensors.h"
#include "longwave/runtime/quantize_model.h"
#include "longwave/text/gguf_vocabulary.h"

namespace longwave::runtime {
namespace {

namespace fs = std::filesystem;

using models::PublishedFormat;

/// A file, and what becomes of its pages.
struct PagedFile {
  const io::Gguf& gguf;
  ReadPages pages;

  /// Says that what was looked at so far is not needed soon.
  void done_with_pages() const {
    if (pages == ReadPages::kForgotten) gguf.forget();
  }
};

/// The tensors of a file where they lie; matrices keep their type, and everything else is float32.
class FileTensors {
 public:
  FileTensors(const PagedFile& file, const models::Config& config) {
    for (const io::GgufEntry& entry : file.gguf.entries()) {
      add(file.gguf, entry);
      file.done_with_pages();
    }
    make_alike(config);
  }

  const StoredTensors& all() const { return tensors_; }

 private:
  void add(const io::Gguf& file, const io::GgufEntry& entry) {
    const auto dtype = io::dtype_of(*entry.type);
    if (!dtype) {
      throw DataError({.where = file.path().string(),
                       .what = "tensor " + entry.name + " has a type that is not supported",
                       .got = std::string(entry.type->name),
                       .fix = "write the file again as F32, F16, BF16, Q8_0, Q4_0, Q4_K or Q6_K"});
    }
    const StoredTensor tensor = {*dtype, entry.shape, file.data(entry)};
    const bool aligned =
        reinterpret_cast<uintptr_t>(tensor.bytes.data()) % alignof(std::max_align_t) == 0;
    const bool stays = *dtype == DType::kFloat32 || is_gguf_matrix(entry.name, entry.shape);
    if (aligned && stays) {
      ops::require_finite(entry.name, tensor, file.path().string());
      tensors_.insert_or_assign(entry.name, tensor);
      return;
    }
    Tensor copy = copied(tensor);
    ops::require_finite(entry.name, copy, file.path().string());
    put(entry.name, stays ? std::move(copy) : ops::dequantize(copy));
  }

  static Tensor copied(const StoredTensor& tensor) {
    Tensor copy(tensor.dtype, tensor.shape);
    std::ranges::copy(tensor.bytes, copy.raw());
    return copy;
  }

  void put(const std::string& name, Tensor tensor) {
    copies_.put(name, std::move(tensor));
    tensors_.insert_or_assign(name, stored(copies_.all().at(name)));
  }

  /// Tensors that become one of ours must be of one type; llama.cpp often gives values of attention
  /// more bits than keys.
  void make_alike(const models::Config& config) {
    std::map<std::string, std::vector<std::string>> parts;
    for (const auto& tensor : models::published_tensors(PublishedFormat::kGguf, config)) {
      if (tensors_.contains(tensor.theirs)) parts[tensor.ours].push_back(tensor.theirs);
    }
    for (const auto& [ours, names] : parts) {
      const DType first = tensors_.at(names.front()).dtype;
      const bool alike = std::ranges::all_of(
          names, [&](const std::string& name) { return tensors_.at(name).dtype == first; });
      if (alike) continue;
      for (const std::string& name : names) {
        const StoredTensor& tensor = tensors_.at(name);
        const bool blocks = fits(DType::kQ8_0, tensor.shape);
        put(name, in_type(copied(tensor), blocks ? DType::kQ8_0 : DType::kFloat32));
      }
    }
  }

  Weights copies_;
  StoredTensors tensors_;
};

/// Gives the tensors of the model to `take`, with the bits that the form of the file loses.
void each_tensor(const PagedFile& file, const models::Config& config, const TakeTensor& take) {
  const io::GgufMetadata& metadata = file.gguf.metadata();
  std::map<std::string, models::PublishedTensor> rounded;  // by our names
  bool scaled = false;
  for (const auto& tensor : models::published_tensors(PublishedFormat::kGguf, config)) {
    if (tensor.rounded) rounded.emplace(tensor.ours, tensor);
    scaled = scaled || tensor.scaled;
  }
  const FileTensors theirs(file, config);
  models::each_from_published(
      PublishedFormat::kGguf, config, theirs.all(), file.gguf.path().string(),
      [&](const std::string& name, Tensor tensor) {
        const auto exact = rounded.find(name);
        if (exact != rounded.end()) {
          restore_exact(metadata, exact->second, theirs.all().at(exact->second.theirs), tensor);
        }
        if (scaled) restore_steps(metadata, name, tensor);
        file.done_with_pages();
        take(name, std::move(tensor));
      });
}

}  // namespace

bool is_gguf_file(const fs::path& path) {
  std::error_code ignored;
  return path.extension() == ".gguf" && fs::is_regular_file(path, ignored);
}

ModelSource open_gguf_model(const fs::path& path, ReadPages pages) {
  const auto file = std::make_shared<const io::Gguf>(path);
  models::Config config =
      models::from_published(PublishedFormat::kGguf, description_of(*file), path.string());
  return {config, [file, config, pages](const TakeTensor& take) {
            each_tensor({*file, pages}, config, take);
          }};
}

std::shared_ptr<const text::Tokenizer> load_gguf_tokenizer(const fs::path& path) {
  const io::Gguf file(path);
  auto tokenizer = text::tokenizer_of_gguf(file.metadata(), path.string());
  if (!tokenizer) return nullptr;
  return std::make_shared<const text::Tokenizer>(std::move(*tokenizer));
}

std::optional<text::ChatTemplate> load_gguf_chat_template(const fs::path& path) {
  const io::Gguf file(path);
  const std::string* source = io::gguf_text(file.metadata(), "tokenizer.chat_template");
  if (source == nullptr) return std::nullopt;
  const auto* tokens = io::gguf_items<std::string>(file.metadata(), "tokenizer.ggml.tokens");
  const auto token = [&](std::string_view key) -> std::string {
    const auto found = file.metadata().find(key);
    if (found == file.metadata().end() || tokens == nullptr) return {};
    const auto* id = std::get_if<uint64_t>(&found->second.content);
    return id == nullptr || *id >= tokens->size() ? std::string() : (*tokens)[*id];
  };
  return text::ChatTemplate::parse(*source, path.string() + ": tokenizer.chat_template",
                                   token("tokenizer.ggml.bos_token_id"),
                                   token("tokenizer.ggml.eos_token_id"));
}

}  // namespace longwave::runtime
