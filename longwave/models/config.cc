// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <charconv>
#include <set>
#include <string_view>

#include "longwave/base/error.h"
#include "longwave/mixers/registry.h"
#include "longwave/models/sequence_model.h"

namespace longwave::models {
namespace {

constexpr int64_t kMostLayers = 1024;

[[noreturn]] void reject_pattern(std::string_view word) {
  throw ConfigError({.where = "model.pattern",
                     .what = "an entry must be a family, or a family * a number of layers",
                     .got = "\"" + std::string(word) + "\"",
                     .fix = "write for example \"s4d*4\" or \"s5*2 lru s5*2\""});
}

/// Reads "family" or "family*count".
void append_entry(std::string_view word, std::vector<std::string>& layers) {
  const size_t star = word.find('*');
  const std::string_view name = word.substr(0, star);
  int64_t count = 1;
  if (star != std::string_view::npos) {
    const std::string_view digits = word.substr(star + 1);
    const auto [end, error] = std::from_chars(digits.begin(), digits.end(), count);
    if (error != std::errc() || end != digits.end() || count < 1) reject_pattern(word);
  }
  if (name.empty()) reject_pattern(word);
  if (count + static_cast<int64_t>(layers.size()) > kMostLayers) {
    throw ConfigError({.where = "model.pattern",
                       .what = "at most " + std::to_string(kMostLayers) + " layers are allowed",
                       .got = "\"" + std::string(word) + "\"",
                       .fix = {}});
  }
  layers.insert(layers.end(), count, std::string(mixers::family(name).name));
}

}  // namespace

Schema model_schema() {
  return {
      {.key = "pattern",
       .value = "s4d*4",
       .help = "layers by family, in order: \"s4d*4\", \"s5*2 lru s5*2\""},
      {.key = "d_model",
       .value = int64_t{64},
       .help = "channels of every layer",
       .least = 1,
       .most = 65536},
      {.key = "norm",
       .value = "layer",
       .help = "normalisation: each step (layer, rms) or each channel over the batch (batch)",
       .choices = {"layer", "rms", "batch"}},
      {.key = "prenorm",
       .value = true,
       .help = "normalise the input of each residual branch (true) or the sum after it (false)"},
      {.key = "activation",
       .value = "gelu",
       .help = "function between a mixer and the mixing of channels",
       .choices = {"gelu", "silu", "none"}},
      {.key = "mixing",
       .value = "glu",
       .help = "mixing of channels after a mixer: S4 uses glu, S5 half_glu1 or half_glu2",
       .choices = {"glu", "half_glu1", "half_glu2", "linear", "none"}},
      {.key = "mlp",
       .value = int64_t{0},
       .help = "hidden channels of an MLP after each mixer, in multiples of d_model; 0 = no MLP",
       .least = 0,
       .most = 64},
      {.key = "mlp_kind",
       .value = "gelu",
       .help = "gelu: two linear layers; swiglu: a gated unit, half as many parameters again",
       .choices = {"gelu", "swiglu"}},
      {.key = "dropout",
       .value = 0.0,
       .help = "share of channels dropped at the end of each residual branch in training",
       .least = 0,
       .most = 0.95},
      {.key = "dropout_tied",
       .value = true,
       .help = "drop a channel for the whole sequence (true) or for single steps (false)"},
      {.key = "pool",
       .value = "mean",
       .help = "what the answer of a sequence is read from: the mean over its steps or the last",
       .choices = {"mean", "last"}},
  };
}

std::vector<std::string> layers_of(const std::string& pattern) {
  std::vector<std::string> layers;
  std::string_view rest = pattern;
  while (true) {
    const size_t first = rest.find_first_not_of(' ');
    if (first == std::string_view::npos) break;
    rest.remove_prefix(first);
    const size_t length = std::min(rest.find(' '), rest.size());
    append_entry(rest.substr(0, length), layers);
    rest.remove_prefix(length);
  }
  if (layers.empty()) reject_pattern(pattern);
  return layers;
}

Schema config_schema(const std::string& pattern) {
  Schema schema = in_section("model", model_schema());
  std::ranges::find(schema, "model.pattern", &Option::key)->value = pattern;
  std::set<std::string> done;
  for (const std::string& layer : layers_of(pattern)) {
    if (!done.insert(layer).second) continue;
    const Schema section = in_section(layer, mixers::family(layer).schema());
    schema.insert(schema.end(), section.begin(), section.end());
  }
  return schema;
}

Config make_config(const Interface& interface, const Options& settings) {
  const std::string pattern = settings.text("model.pattern");
  Config config{interface, Options(config_schema(pattern))};
  for (const Option& option : config.options.schema()) {
    if (settings.has(option.key)) config.options.set(option.key, settings.at(option.key), "model");
  }
  return config;
}

}  // namespace longwave::models
