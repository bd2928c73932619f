// SPDX-License-Identifier: Apache-2.0
#include "longwave/runtime/gguf_metadata.h"

#include <fmt/core.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "longwave/base/error.h"

namespace longwave::runtime {
namespace {

constexpr const char* kArchitecture = "general.architecture";
constexpr const char* kVocabulary = "vocab_size";
constexpr const char* kTied = "tie_word_embeddings";
constexpr const char* kEmbedding = "token_embd.weight";
constexpr const char* kHead = "output.weight";
constexpr std::string_view kLayer = "blk.", kRouter = ".ffn_gate_inp.weight";
constexpr std::string_view kScanNorm = ".ssm_norm.weight";
/// What follows from tensors.
constexpr std::string_view kHas = "has_";
constexpr std::string_view kHasExperts = "has_experts.", kHasScanNorm = "has_scan_norm";
/// Keys of ours, of which some are not about the architecture.
constexpr std::string_view kOurs = "longwave.", kExact = "longwave.exact.",
                           kSteps = "longwave.steps.";
constexpr std::string_view kMultiplier = "longwave.multiplier.", kReal = "longwave.real.";
/// Arrays of more numbers are none that describe layers.
constexpr size_t kMostLayers = 10000;

/// The shortest number that is this float32: what was meant by 1e-5.
double as_meant(double value) { return std::stod(fmt::format("{}", static_cast<float>(value))); }

std::optional<Value> single(io::GgufKind, uint64_t number) {
  if (number > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return std::nullopt;
  return Value(static_cast<int64_t>(number));
}
std::optional<Value> single(io::GgufKind, int64_t number) { return Value(number); }
std::optional<Value> single(io::GgufKind kind, double number) {
  return Value(kind == io::GgufKind::kFloat32 ? as_meant(number) : number);
}
std::optional<Value> single(io::GgufKind, bool flag) { return Value(flag); }
std::optional<Value> single(io::GgufKind, const std::string& text) { return Value(text); }

/// Adds a value, or one a layer as "key.0", "key.1", ...; what is neither is passed over.
void add(const std::string& key, const io::GgufValue& value, models::PublishedConfig& config) {
  if (const auto* array = std::get_if<io::GgufArray>(&value.content)) {
    std::visit(
        [&](const auto& items) {
          using Item = typename std::decay_t<decltype(items)>::value_type;
          if constexpr (!std::is_same_v<Item, io::GgufArray>) {
            if (items.size() > kMostLayers) return;
            for (size_t i = 0; i < items.size(); ++i) {
              const auto item = single(array->kind, static_cast<Item>(items[i]));
              if (item) config[key + "." + std::to_string(i)] = *item;
            }
          }
        },
        array->items);
    return;
  }
  std::visit(
      [&](const auto& content) {
        if constexpr (!std::is_same_v<std::decay_t<decltype(content)>, io::GgufArray>) {
          if (const auto only = single(value.kind, content)) config[key] = *only;
        }
      },
      value.content);
}

/// Whether a key of ours says something of the architecture.
bool is_setting(const std::string& key) {
  return key.starts_with(kOurs) && !key.starts_with(kExact) && !key.starts_with(kSteps) &&
         !key.starts_with(kReal);
}

/// Puts what was meant in the place of numbers that float32 changed; of others it is not ours.
void restore_reals(const io::GgufMetadata& metadata, const std::string& prefix,
                   models::PublishedConfig& config) {
  for (auto& [key, value] : config) {
    auto* stored = std::get_if<double>(&value);
    const auto found = metadata.find(std::string(kReal) + prefix + key);
    if (stored == nullptr || found == metadata.end()) continue;
    const auto* meant = std::get_if<double>(&found->second.content);
    if (meant != nullptr && static_cast<float>(*meant) == static_cast<float>(*stored)) {
      *stored = *meant;
    }
  }
}

io::GgufValue metadata_value(const std::string& key, const Value& value) {
  if (const auto* number = std::get_if<int64_t>(&value)) {
    if (*number >= 0 && *number <= std::numeric_limits<uint32_t>::max()) {
      return io::GgufValue::uint32(static_cast<uint32_t>(*number));
    }
    throw ConfigError({.where = key,
                       .what = "the gguf form cannot say this",
                       .got = std::to_string(*number),
                       .fix = "it needs a number of 32 bits"});
  }
  if (const auto* real = std::get_if<double>(&value)) {
    if (key.starts_with(kOurs)) return io::GgufValue::float64(*real);
    return io::GgufValue::float32(static_cast<float>(*real));
  }
  if (const auto* flag = std::get_if<bool>(&value)) return io::GgufValue::flag(*flag);
  return io::GgufValue::text(std::get<std::string>(value));
}

/// "key.0", "key.1", ... as one array of int32.
void add_layers(const std::string& key, const std::string& place, const Value& value,
                io::GgufMetadata& metadata) {
  auto& entry =
      metadata.try_emplace(place + key.substr(0, key.rfind('.')), io::GgufValue::int32s({}))
          .first->second;
  auto& items = std::get<std::vector<int64_t>>(std::get<io::GgufArray>(entry.content).items);
  const auto index = static_cast<size_t>(std::stoul(key.substr(key.rfind('.') + 1)));
  if (items.size() <= index) items.resize(index + 1);
  items[index] = std::get<int64_t>(value);
}

}  // namespace

models::PublishedConfig description_of(const io::Gguf& file) {
  const std::string where = file.path().string();
  const std::string* architecture = io::gguf_text(file.metadata(), kArchitecture);
  if (architecture == nullptr) {
    throw DataError({.where = where,
                     .what = std::string(kArchitecture) + " is missing",
                     .got = {},
                     .fix = "this file holds no language model"});
  }
  models::PublishedConfig config = {{kArchitecture, *architecture}, {kTied, true}};
  const std::string prefix = *architecture + ".";
  const bool plain = std::ranges::all_of(
      file.entries(), [](const io::GgufEntry& entry) { return entry.type->name == "F32"; });
  for (const auto& [key, value] : file.metadata()) {
    if (key.starts_with(prefix)) add(key.substr(prefix.size()), value, config);
    if (is_setting(key) && (plain || !key.starts_with(kMultiplier))) add(key, value, config);
  }
  restore_reals(file.metadata(), prefix, config);
  for (const io::GgufEntry& entry : file.entries()) {
    if (entry.name == kEmbedding && entry.shape.size() == 2) config[kVocabulary] = entry.shape[0];
    if (entry.name == kHead) config[kTied] = false;
    if (entry.name.starts_with(kLayer) && entry.name.ends_with(kRouter)) {
      const size_t digits = entry.name.size() - kLayer.size() - kRouter.size();
      config[std::string(kHasExperts) + entry.name.substr(kLayer.size(), digits)] = true;
    }
    if (entry.name.ends_with(kScanNorm)) config[std::string(kHasScanNorm)] = true;
  }
  return config;
}

io::GgufMetadata metadata_of(const models::PublishedConfig& config) {
  io::GgufMetadata metadata;
  const std::string& architecture = std::get<std::string>(config.at(kArchitecture));
  for (const auto& [key, value] : config) {
    if (key == kTied || key.starts_with(kHas)) continue;
    const bool alone = key.starts_with("general.") || key.starts_with(kOurs);
    const std::string place = alone ? "" : architecture + ".";
    const std::string last = key.substr(key.rfind('.') + 1);
    if (std::ranges::all_of(last, [](char c) { return c >= '0' && c <= '9'; })) {
      add_layers(key, place, value, metadata);
    } else {
      metadata.insert_or_assign(place + key, metadata_value(key, value));
    }
    const auto* real = std::get_if<double>(&value);
    if (real != nullptr && !key.starts_with(kOurs) && as_meant(*real) != *real) {
      metadata.insert_or_assign(std::string(kReal) + place + key, io::GgufValue::float64(*real));
    }
  }
  return metadata;
}

void forget_multipliers(io::GgufMetadata& metadata) {
  std::erase_if(metadata, [](const auto& entry) { return entry.first.starts_with(kMultiplier); });
}

}  // namespace longwave::runtime
