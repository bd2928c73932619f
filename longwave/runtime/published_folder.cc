// SPDX-License-Identifier: Apache-2.0
#include "longwave/runtime/published_folder.h"

#include <set>
#include <utility>

#include "longwave/base/error.h"
#include "longwave/io/atomic_file.h"
#include "longwave/io/file.h"
#include "longwave/io/foreign_json.h"
#include "longwave/io/safetensors.h"
#include "longwave/io/torch_pickle.h"

namespace longwave::runtime {
namespace {

namespace fs = std::filesystem;

constexpr const char* kWeightsName = "model.safetensors";
/// Bytes of an index that are read at most: a few hundred a tensor.
constexpr uint64_t kIndexLimit = uint64_t{64} << 20;

/// The files that an index names, each once, all beside it.
std::set<std::string> files_of_index(const fs::path& index) {
  std::set<std::string> files;
  const std::string where = index.string();
  for (const io::Setting& leaf : io::parse_foreign_json(io::read_text(index, kIndexLimit), where)) {
    if (!leaf.key.starts_with("weight_map.")) continue;
    const auto* name = std::get_if<std::string>(&leaf.value);
    const bool plain = name != nullptr && !name->empty() && name->front() != '.' &&
                       name->find_first_of("/\\") == std::string::npos;
    if (!plain) {
      throw DataError({.where = where,
                       .what = leaf.key + ": must be the name of a file beside the index",
                       .got = to_string(leaf.value),
                       .fix = {}});
    }
    files.insert(*name);
  }
  if (!files.empty()) return files;
  throw DataError({.where = where, .what = "the index names no files", .got = {}, .fix = {}});
}

Weights read_safetensors(const fs::path& path) {
  return io::load_safetensors(path, {.not_finite = io::NotFinite::kReject}).weights;
}

Weights read_torch_pickle(const fs::path& path) {
  return io::load_torch_pickle(path, {.not_finite = io::NotFinite::kReject});
}

/// The files that weights may lie in, the ones to take first on top.
struct WeightsForm {
  const char* whole;
  const char* index;  ///< names the files if there are several
  Weights (*read)(const fs::path&);
};
constexpr WeightsForm kForms[] = {
    {kWeightsName, "model.safetensors.index.json", read_safetensors},
    {"pytorch_model.bin", "pytorch_model.bin.index.json", read_torch_pickle}};

Weights load_shards(const fs::path& index, const WeightsForm& form) {
  Weights all;
  for (const std::string& name : files_of_index(index)) {
    const fs::path path = index.parent_path() / name;
    const Weights file = form.read(path);
    for (const auto& [tensor_name, tensor] : file.all()) {
      if (all.has(tensor_name)) {
        throw DataError({.where = path.string(),
                         .what = "tensor " + tensor_name + " is in another file, too",
                         .got = {},
                         .fix = {}});
      }
      all.put(tensor_name, tensor.clone());
    }
  }
  return all;
}

}  // namespace

std::optional<PublishedDescription> parse_published_config(std::string_view text,
                                                           std::string_view where) {
  models::PublishedConfig values;
  for (io::Setting& leaf : io::parse_foreign_json(text, where)) {
    values.emplace(std::move(leaf.key), std::move(leaf.value));
  }
  const auto format = models::published_format(values);
  if (!format) return std::nullopt;
  return PublishedDescription{*format, models::from_published(*format, values, where)};
}

Weights load_published_weights(const fs::path& folder, const PublishedDescription& description) {
  std::error_code ignored;
  const auto ours = [&](const Weights& file, const fs::path& from) {
    return models::from_published(description.format, description.config, file, from.string());
  };
  for (const WeightsForm& form : kForms) {
    const fs::path whole = folder / form.whole, index = folder / form.index;
    if (fs::exists(whole, ignored)) return ours(form.read(whole), whole);
    if (fs::exists(index, ignored)) return ours(load_shards(index, form), index);
  }
  throw DataError({.where = folder.string(),
                   .what = "there are no weights beside config.json",
                   .got = {},
                   .fix = "put model.safetensors or pytorch_model.bin there, or the files and the "
                          "index of a model in several files"});
}

void save_published_folder(const fs::path& folder, models::PublishedFormat format,
                           const ModelFolder& model, const text::Tokenizer* tokenizer) {
  std::vector<io::Setting> settings;
  for (auto& [key, value] : models::to_published(format, model.config)) {
    settings.push_back({key, value, 0});
  }
  const Weights tensors = models::to_published(format, model.config, model.weights);
  io::AtomicFolder atomic(folder);
  io::write_file_atomically(atomic.path() / "config.json", io::format_foreign_json(settings));
  // What transformers looks for before it reads a file.
  io::save_safetensors(atomic.path() / kWeightsName, tensors, {{"format", "pt"}});
  if (tokenizer != nullptr) write_tokenizer(atomic.path(), *tokenizer);
  atomic.commit();
}

}  // namespace longwave::runtime
