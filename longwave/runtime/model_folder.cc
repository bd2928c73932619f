// SPDX-License-Identifier: Apache-2.0
#include "longwave/runtime/model_folder.h"

#include <algorithm>
#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/io/atomic_file.h"
#include "longwave/io/config_file.h"
#include "longwave/io/file.h"
#include "longwave/io/safetensors.h"
#include "longwave/io/safetensors_writer.h"
#include "longwave/ops/quant/quant.h"
#include "longwave/runtime/gguf_file.h"
#include "longwave/runtime/published_folder.h"
#include "longwave/runtime/run_folder.h"

namespace longwave::runtime {
namespace {

constexpr const char* kFormat = "longwave-model";
constexpr const char* kConfigName = "config.json";
constexpr const char* kWeightsName = "model.safetensors";

/// Bytes of a config.json that are read at most.
constexpr uint64_t kConfigLimit = 1 << 20;

/// What a config.json consists of for models of this pattern.
Schema file_schema(const std::string& pattern) {
  Schema schema = {
      {.key = "format", .value = kFormat, .help = "what the file is", .choices = {kFormat}},
      {.key = "version",
       .value = kModelVersion,
       .help = "of the file",
       .least = 1,
       .most = static_cast<double>(kModelVersion)},
      {.key = "io.input",
       .value = "real",
       .help = "what a step is: real numbers or a token",
       .choices = {"real", "tokens"}},
      {.key = "io.input_size",
       .value = int64_t{1},
       .help = "features of a step, or size of the vocabulary",
       .least = 1,
       .most = 1 << 24},
      {.key = "io.output",
       .value = "sequence",
       .help = "one answer a sequence, or one a step",
       .choices = {"sequence", "step"}},
      {.key = "io.output_size",
       .value = int64_t{1},
       .help = "classes, or entries of a real vector",
       .least = 1,
       .most = 1 << 24},
  };
  const Schema model = models::config_schema(pattern);
  schema.insert(schema.end(), model.begin(), model.end());
  return schema;
}

const io::Setting& required(const std::vector<io::Setting>& settings, const std::string& key,
                            std::string_view where) {
  const auto found = std::ranges::find(settings, key, &io::Setting::key);
  if (found != settings.end()) return *found;
  throw ConfigError({.where = std::string(where),
                     .what = "\"" + key + "\" is missing",
                     .got = std::to_string(settings.size()) + " settings",
                     .fix = "this is no model configuration, or it was cut off"});
}

const std::string& required_text(const std::vector<io::Setting>& settings, const std::string& key,
                                 std::string_view where) {
  const io::Setting& setting = required(settings, key, where);
  if (const auto* text = std::get_if<std::string>(&setting.value)) return *text;
  throw ConfigError({.where = std::string(where) + ":" + std::to_string(setting.line),
                     .what = key + ": must be text",
                     .got = to_string(setting.value),
                     .fix = {}});
}

/// The tensors of our own file, checked one by one against the table; what only float32 will do
/// becomes it.
void each_own_tensor(const std::filesystem::path& path, const models::Config& config,
                     const TakeTensor& take) {
  const std::string where = path.string();
  std::map<std::string, Parameter> open;
  for (Parameter& parameter : models::parameters(config)) open.emplace(parameter.name, parameter);
  const size_t expected = open.size();
  size_t count = 0;
  std::string stranger;
  const auto check = [&](const std::string& name, Tensor tensor) {
    ++count;
    const auto found = open.find(name);
    if (found == open.end()) {
      stranger = name;
      return;
    }
    const Parameter parameter = found->second;
    if (tensor.dtype() != DType::kFloat32 && ops::is_weight_type(tensor.dtype())) {
      ops::require_finite(name, tensor, where);
      const bool widens = parameter.storage == Storage::kFloat32 && !is_blocked(tensor.dtype());
      if (widens) tensor = ops::dequantize(tensor);
    }
    const bool typed =
        tensor.dtype() == DType::kFloat32 ||
        (parameter.storage == Storage::kMatrix && ops::is_weight_type(tensor.dtype()));
    if (!typed || tensor.shape() != parameter.shape) {
      Weights one;
      one.put(name, std::move(tensor));
      tensor = one.of(parameter).clone();  // refuses another shape or type
    }
    open.erase(found);
    take(name, std::move(tensor));
  };
  io::each_safetensors(path,
                       {.half = io::SafetensorsOptions::Half::kKeep,
                        .not_finite = io::SafetensorsOptions::NotFinite::kReject},
                       check);
  if (!open.empty()) static_cast<void>(Weights().of(open.begin()->second));
  if (stranger.empty()) return;
  throw DataError(
      {.where = where,
       .what = "tensor " + stranger + " belongs to no layer of the model",
       .got = std::to_string(count) + " tensors, " + std::to_string(expected) + " expected",
       .fix = "check that config.json and model.safetensors belong together"});
}

io::SafetensorsItems items_of(const ParameterTable& table,
                              const std::function<DType(const Parameter&)>& type) {
  io::SafetensorsItems items;
  for (const Parameter& parameter : table) {
    items.emplace(parameter.name, io::SafetensorsItem{type(parameter), parameter.shape});
  }
  return items;
}

}  // namespace

std::string format_model_config(const models::Config& config) {
  using Interface = models::Interface;
  Options file(file_schema(config.options.text("model.pattern")));
  const Interface& io = config.interface;
  file.set("io.input", io.input == Interface::Input::kTokens ? "tokens" : "real", kConfigName);
  file.set("io.input_size", io.input_size, kConfigName);
  file.set("io.output", io.output == Interface::Output::kStep ? "step" : "sequence", kConfigName);
  file.set("io.output_size", io.output_size, kConfigName);
  for (const Option& option : config.options.schema()) {
    file.set(option.key, config.options.at(option.key), kConfigName);
  }
  return io::to_json(file);
}

models::Config parse_model_config(std::string_view text, std::string_view where) {
  using Interface = models::Interface;
  const std::vector<io::Setting> settings = io::parse_json(text, where);
  required_text(settings, "format", where);
  for (const char* key :
       {"version", "io.input", "io.input_size", "io.output", "io.output_size", "model.d_model"}) {
    required(settings, key, where);
  }
  Options file(file_schema(required_text(settings, "model.pattern", where)));
  io::apply(settings, where, file);
  models::Interface io;
  io.input =
      file.text("io.input") == "tokens" ? Interface::Input::kTokens : Interface::Input::kReal;
  io.input_size = file.integer("io.input_size");
  io.output =
      file.text("io.output") == "step" ? Interface::Output::kStep : Interface::Output::kSequence;
  io.output_size = file.integer("io.output_size");
  return models::make_config(io, file);
}

ModelSource open_model_folder(const std::filesystem::path& path, ReadPages pages) {
  if (is_gguf_file(path)) return open_gguf_model(path, pages);
  const std::filesystem::path folder = find_model_folder(path);
  const std::filesystem::path config_path = folder / kConfigName;
  const std::string text = io::read_text(config_path, kConfigLimit);
  if (auto published = parse_published_config(text, config_path.string())) {
    models::Config config = published->config;
    return {std::move(config),
            [folder, published = std::move(*published), pages](const TakeTensor& take) {
              each_published_tensor(folder, published, pages, take);
            }};
  }
  models::Config config = parse_model_config(text, config_path.string());
  return {config, [path = folder / kWeightsName, config](const TakeTensor& take) {
            each_own_tensor(path, config, take);
          }};
}

ModelFolder load_model_folder(const std::filesystem::path& path) {
  ModelSource source = open_model_folder(path, ReadPages::kKept);
  Weights weights;
  source.each(put_into(weights));
  return {std::move(source.config), std::move(weights)};
}

void set_context(models::Config& config, int64_t positions) {
  Options& options = config.options;
  if (!options.has("attention.positions") || options.integer("attention.positions") == 0) return;
  options.set("attention.window", positions, "context");
  models::parameters(config);  // refuses a window beyond the model's positions
}

void write_model_files(const std::filesystem::path& folder, const models::Config& config,
                       const Weights& weights) {
  const ParameterTable table = models::parameters(config);
  const auto type = [&](const Parameter& parameter) { return weights.of(parameter).dtype(); };
  io::SafetensorsWriter writer(folder / kWeightsName, items_of(table, type), {{"format", kFormat}});
  for (const Parameter& parameter : table) writer.write(parameter.name, weights.of(parameter));
  io::write_file_atomically(folder / kConfigName, format_model_config(config));
  writer.commit();
}

void write_model_files(const std::filesystem::path& folder, const ModelSource& source,
                       const ModelChange& change) {
  std::map<std::string, Parameter> table;
  for (Parameter& parameter : models::parameters(source.config)) {
    table.emplace(parameter.name, std::move(parameter));
  }
  io::SafetensorsWriter writer(folder / kWeightsName,
                               items_of(models::parameters(source.config), change.type),
                               {{"format", kFormat}});
  source.each([&](const std::string& name, Tensor tensor) {
    const auto found = table.find(name);
    if (found != table.end()) writer.write(name, change.change(found->second, std::move(tensor)));
  });
  io::write_file_atomically(folder / kConfigName, format_model_config(source.config));
  writer.commit();
}

void write_tokenizer(const std::filesystem::path& folder, const text::Tokenizer& tokenizer) {
  for (const text::StoredFile& file : tokenizer.files()) {
    io::write_file_atomically(folder / file.name, file.content);
  }
}

std::shared_ptr<const text::Tokenizer> load_tokenizer(const std::filesystem::path& path) {
  if (is_gguf_file(path)) return load_gguf_tokenizer(path);
  auto tokenizer = text::Tokenizer::find(find_model_folder(path));
  if (!tokenizer) return nullptr;
  return std::make_shared<const text::Tokenizer>(std::move(*tokenizer));
}

std::optional<text::ChatTemplate> load_chat_template(const std::filesystem::path& path) {
  if (is_gguf_file(path)) return load_gguf_chat_template(path);
  return text::ChatTemplate::load(find_model_folder(path));
}

void save_model_folder(const std::filesystem::path& folder, const models::Config& config,
                       const Weights& weights) {
  io::AtomicFolder atomic(folder);
  write_model_files(atomic.path(), config, weights);
  atomic.commit();
}

}  // namespace longwave::runtime
