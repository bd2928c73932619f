// SPDX-License-Identifier: Apache-2.0
#include "longwave/runtime/published_folder.h"

#include <functional>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/io/atomic_file.h"
#include "longwave/io/file.h"
#include "longwave/io/foreign_json.h"
#include "longwave/io/safetensors.h"
#include "longwave/io/safetensors_writer.h"
#include "longwave/io/torch_pickle.h"
#include "longwave/ops/quant/quant.h"

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

/// The tensors of a model's files, and what they lie in.
class TensorFiles {
 public:
  explicit TensorFiles(ReadPages pages) : pages_(pages) {}

  const StoredTensors& tensors() const { return tensors_; }

  /// Says that what was looked at so far is not needed soon.
  void done_with_pages() const {
    if (pages_ == ReadPages::kKept) return;
    for (const auto& file : mapped_) file->forget();
  }

  void read_safetensors(const fs::path& path) {
    mapped_.push_back(std::make_unique<io::MappedSafetensors>(path));
    for (const auto& [name, tensor] : mapped_.back()->tensors()) {
      if (ops::is_weight_type(tensor.dtype)) ops::require_finite(name, tensor, path.string());
      done_with_pages();
    }
    add(mapped_.back()->tensors(), path);
  }

  void read_torch_pickle(const fs::path& path) {
    copies_.push_back(io::load_torch_pickle(path, {.not_finite = io::NotFinite::kReject}));
    add(stored(copies_.back()), path);
  }

 private:
  void add(const StoredTensors& file, const fs::path& path) {
    for (const auto& [name, tensor] : file) {
      if (tensors_.emplace(name, tensor).second) continue;
      throw DataError({.where = path.string(),
                       .what = "tensor " + name + " is in another file, too",
                       .got = {},
                       .fix = {}});
    }
  }

  ReadPages pages_;
  std::vector<std::unique_ptr<io::MappedSafetensors>> mapped_;
  std::vector<Weights> copies_;
  StoredTensors tensors_;
};

/// The files that weights may lie in, the ones to take first on top.
struct WeightsForm {
  const char* whole;
  const char* index;  ///< names the files if there are several
  void (TensorFiles::*read)(const fs::path&);
};
constexpr WeightsForm kForms[] = {
    {kWeightsName, "model.safetensors.index.json", &TensorFiles::read_safetensors},
    {"pytorch_model.bin", "pytorch_model.bin.index.json", &TensorFiles::read_torch_pickle}};

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

void each_published_tensor(const fs::path& folder, const PublishedDescription& description,
                           ReadPages pages, const TakeTensor& take) {
  std::error_code ignored;
  TensorFiles files(pages);
  const auto ours = [&](const fs::path& from) {
    models::each_from_published(description.format, description.config, files.tensors(),
                                from.string(), [&](const std::string& name, Tensor tensor) {
                                  files.done_with_pages();
                                  take(name, std::move(tensor));
                                });
  };
  for (const WeightsForm& form : kForms) {
    const fs::path whole = folder / form.whole, index = folder / form.index;
    if (fs::exists(whole, ignored)) {
      (files.*form.read)(whole);
      return ours(whole);
    }
    if (fs::exists(index, ignored)) {
      for (const std::string& name : files_of_index(index)) (files.*form.read)(folder / name);
      return ours(index);
    }
  }
  throw DataError({.where = folder.string(),
                   .what = "there are no weights beside config.json",
                   .got = {},
                   .fix = "put model.safetensors or pytorch_model.bin there, or the files and the "
                          "index of a model in several files"});
}

namespace {

/// Writes a folder whose tensors `write` puts into the file of the name that it is given.
void save_folder(const fs::path& folder, models::PublishedFormat format,
                 const models::Config& config, const Companions& companions,
                 const std::function<void(const fs::path&)>& write) {
  std::vector<io::Setting> settings;
  for (auto& [key, value] : models::to_published(format, config)) {
    settings.push_back({key, value, 0});
  }
  io::AtomicFolder atomic(folder);
  write(atomic.path() / kWeightsName);
  io::write_file_atomically(atomic.path() / "config.json", io::format_foreign_json(settings));
  write_companions(atomic.path(), companions);
  atomic.commit();
}

/// What transformers looks for before it reads a file.
const io::Metadata& metadata_of_weights() {
  static const io::Metadata kMetadata = {{"format", "pt"}};
  return kMetadata;
}

}  // namespace

void save_published_folder(const fs::path& folder, models::PublishedFormat format,
                           const ModelFolder& model, const Companions& companions) {
  save_folder(folder, format, model.config, companions, [&](const fs::path& path) {
    io::save_safetensors(path, models::to_published(format, model.config, model.weights),
                         metadata_of_weights());
  });
}

void save_published_folder(const fs::path& folder, models::PublishedFormat format,
                           const ModelSource& source, const Companions& companions) {
  save_folder(folder, format, source.config, companions, [&](const fs::path& path) {
    std::optional<io::SafetensorsWriter> writer;
    models::ToPublished theirs(
        format, source.config,
        [&](const std::string& name, const Tensor& tensor) { writer->write(name, tensor); });
    io::SafetensorsItems items;
    for (const auto& [name, shape] : theirs.shapes()) items[name] = {DType::kFloat32, shape};
    writer.emplace(path, items, metadata_of_weights());
    source.each([&](const std::string& name, const Tensor& tensor) {
      if (tensor.dtype() == DType::kFloat32) return theirs.add(name, tensor);
      theirs.add(name, ops::dequantize(tensor));
    });
    theirs.finish();
    writer->commit();
  });
}

}  // namespace longwave::runtime
