// SPDX-License-Identifier: Apache-2.0
#include "longwave/models/published_config.h"

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/models/pattern.h"

namespace longwave::models {
namespace {

/// Layers that a configuration may ask for.
constexpr int64_t kMostLayers = 10000;

std::string spelled(const Value& value) {
  const auto* text = std::get_if<std::string>(&value);
  return text != nullptr ? "\"" + *text + "\"" : to_string(value);
}

/// Whether two values are the same number, flag or text.
bool same(const Value& a, const Value& b) {
  const auto number = [](const Value& value) -> std::optional<double> {
    if (const auto* integer = std::get_if<int64_t>(&value)) return static_cast<double>(*integer);
    if (const auto* real = std::get_if<double>(&value)) return *real;
    return std::nullopt;
  };
  const auto left = number(a), right = number(b);
  return left && right ? *left == *right : a == b;
}

[[noreturn]] void cannot_publish(PublishedFormat format, const std::string& option,
                                 const std::string& got, const std::string& only,
                                 const std::string& of_what = {}) {
  throw ConfigError(
      {.where = option,
       .what = "the " + std::string(name_of(format)) + " form" + of_what + " cannot say this",
       .got = got,
       .fix = "it needs " + only});
}

/// Options that say how a model starts, trains or is run, but not what it computes.
bool computes_nothing(const std::string& key) {
  constexpr const char* kEndings[] = {".dropout",  ".dropout_tied", ".scale_branches", ".pool",
                                      ".balance",  ".vocabulary",   ".A_min",          ".A_max",
                                      ".dt_min",   ".dt_max",       ".dt_floor",       ".dt_init",
                                      ".dt_scale", ".family",       ".window"};
  return std::ranges::any_of(kEndings, [&](const char* ending) { return key.ends_with(ending); });
}

/// Whether both options say the same of the model.
bool agree(const std::string& key, const Options& ours, const Options& back) {
  if (computes_nothing(key)) return true;
  if (key == "model.head_bias" && ours.flag("model.tie")) return true;
  if (key == "mamba.dt_rank" && ours.integer(key) == 0) return true;  // what follows from the width
  if (!back.has(key)) return false;
  if (key != "model.pattern") return ours.at(key) == back.at(key);
  return parse_pattern(ours.text(key)).layers == parse_pattern(back.text(key)).layers;
}

}  // namespace

void PublishedReader::refuse(const std::string& key, std::string what, std::string fix) const {
  const auto found = config_.find(key);
  throw ConfigError({.where = std::string(where_),
                     .what = key + ": " + std::move(what),
                     .got = found == config_.end() ? std::string() : spelled(found->second),
                     .fix = std::move(fix)});
}

const Value* PublishedReader::find(const std::string& key) {
  asked_.insert(key);
  const auto found = config_.find(key);
  return found == config_.end() ? nullptr : &found->second;
}

template <typename T>
const T* PublishedReader::typed(const std::string& key, const char* type) {
  const Value* value = find(key);
  if (value == nullptr) return nullptr;
  const T* content = std::get_if<T>(value);
  if (content == nullptr) refuse(key, std::string("must be ") + type);
  return content;
}

int64_t PublishedReader::integer(const std::string& key, std::optional<int64_t> otherwise) {
  const auto* value = typed<int64_t>(key, "an integer");
  if (value != nullptr) return *value;
  if (!otherwise) refuse(key, "is missing", "this is no configuration of a model");
  return *otherwise;
}

bool PublishedReader::flag(const std::string& key, bool otherwise) {
  const auto* value = typed<bool>(key, "true or false");
  return value != nullptr ? *value : otherwise;
}

std::string PublishedReader::text(const std::string& key, const std::string& otherwise) {
  const auto* value = typed<std::string>(key, "text");
  return value != nullptr ? *value : otherwise;
}

double PublishedReader::real(const std::string& key, double otherwise) {
  // transformers 5 writes infinity as {"__float__": "Infinity"}.
  const std::string inner = key + ".__float__";
  const std::string& name = has(inner) ? inner : key;
  const Value* value = find(name);
  if (value == nullptr) return otherwise;
  if (const auto* real = std::get_if<double>(value)) return *real;
  if (const auto* integer = std::get_if<int64_t>(value)) return static_cast<double>(*integer);
  if (*value == Value(std::string("Infinity"))) return std::numeric_limits<double>::infinity();
  refuse(name, "must be a number");
}

bool PublishedReader::says(const std::string& key, const Value& value) {
  const Value* found = find(key);
  return found != nullptr && same(*found, value);
}

void PublishedReader::must_be(const std::string& key, const Value& only) {
  const Value* value = find(key);
  if (value != nullptr && !same(*value, only)) {
    refuse(key, "this is not supported", "only " + spelled(only) + " is");
  }
}

void PublishedReader::pass_over(std::initializer_list<const char*> keys) {
  for (const char* key : keys) {
    for (const auto& [path, value] : config_) {
      if (path == key || path.starts_with(std::string(key) + ".")) asked_.insert(path);
    }
  }
}

void PublishedReader::finish() const {
  for (const auto& [key, value] : config_) {
    if (asked_.contains(key)) continue;
    refuse(key, "this is not supported", "take the key out if it does not change the answers");
  }
}

Options published_options(const std::string& family, int64_t layers) {
  if (layers < 1 || layers > kMostLayers) {
    throw ConfigError({.where = "config.json",
                       .what = "the number of layers is out of range",
                       .got = std::to_string(layers),
                       .fix = {}});
  }
  const std::string pattern = family + (layers == 1 ? "" : "*" + std::to_string(layers));
  Options options(config_schema(pattern));
  for (const auto& [key, value] :
       std::vector<std::pair<const char*, Value>>{{"model.norm", std::string("rms")},
                                                  {"model.activation", std::string("none")},
                                                  {"model.mixing", std::string("none")},
                                                  {"model.head_bias", false}}) {
    options.set(key, value, "published");
  }
  return options;
}

void check_next_token(PublishedFormat format, const Config& config) {
  const Interface& io = config.interface;
  if (io.input == Interface::Input::kTokens && io.output == Interface::Output::kStep &&
      io.input_size == io.output_size) {
    return;
  }
  cannot_publish(format, "io", "other inputs and outputs", "a model of the next token");
}

void check_way_back(PublishedFormat format, const Options& back, const Config& config) {
  const Options& ours = config.options;
  const std::string& family = ours.text("model.family");
  for (const Option& option : ours.schema()) {
    if (agree(option.key, ours, back)) continue;
    cannot_publish(format, option.key, to_string(ours.at(option.key)),
                   back.has(option.key) ? to_string(back.at(option.key))
                                        : "the layers " + to_string(back.at("model.pattern")),
                   family.empty() ? "" : " of " + family);
  }
}

Config next_token_config(PublishedReader& reader, Options options) {
  const int64_t vocabulary = reader.integer("vocab_size");
  if (vocabulary < 1 || vocabulary > (1 << 24)) reader.refuse("vocab_size", "is out of range");
  return {{.input = Interface::Input::kTokens,
           .input_size = vocabulary,
           .output = Interface::Output::kStep,
           .output_size = vocabulary},
          std::move(options)};
}

void check_publishable(PublishedFormat format, const Config& config) {
  check_next_token(format, config);
  const Options& options = config.options;
  const std::string& pattern = options.text("model.pattern");
  const std::vector<Pattern::Layer> layers = parse_pattern(pattern).layers;
  const std::string& family = layers.front().family;
  const bool known = family == "mamba" || family == "mamba2";
  const bool alike = std::ranges::all_of(layers, [&](const Pattern::Layer& layer) {
    return layer.family == family && layer.after == AfterMixer::kNone && !layer.shared;
  });
  if (!known || !alike) {
    cannot_publish(format, "model.pattern", "\"" + pattern + "\"",
                   "layers of mamba only, or of mamba2 only");
  }
  const auto must_be = [&](const char* key, const Value& only) {
    if (options.at(key) == only) return;
    cannot_publish(format, key, spelled(options.at(key)), spelled(only));
  };
  must_be("model.prenorm", true);
  must_be("model.mlp", int64_t{0});
  must_be("model.hidden", int64_t{0});
  must_be("model.mixing", std::string("none"));
  must_be("model.activation", std::string("none"));
  if (format == PublishedFormat::kStateSpaces || family == "mamba2") {
    must_be("model.norm_epsilon", 1e-5);
  }
  if (family == "mamba") must_be("mamba.selection_norm", std::string("none"));
  for (const Option& option : options.schema()) {
    if (option.key.ends_with("_multiplier")) must_be(option.key.c_str(), 1.0);
  }
  if (!options.flag("model.tie")) must_be("model.head_bias", false);
  const std::string& norm = options.text("model.norm");
  if (norm != "rms" && !(norm == "layer" && format == PublishedFormat::kStateSpaces)) {
    cannot_publish(format, "model.norm", "\"" + norm + "\"", "\"rms\"");
  }
}

}  // namespace longwave::models
