// SPDX-License-Identifier: Apache-2.0
#include "longwave/models/pattern.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "longwave/base/error.h"
#include "longwave/mixers/parallel.h"

namespace longwave::models {
namespace {

constexpr int64_t kMostLayers = 1024;
constexpr int kMostDepth = 8;

[[noreturn]] void reject(std::string what, std::string_view got) {
  throw ConfigError({.where = "model.pattern",
                     .what = std::move(what),
                     .got = "\"" + std::string(got) + "\"",
                     .fix = "write for example \"s4d*4\" or \"(mamba*3 attention)*2 | mlp\""});
}

std::optional<int64_t> read_count(std::string_view digits) {
  int64_t count = 0;
  const auto [end, error] = std::from_chars(digits.begin(), digits.end(), count);
  if (error != std::errc() || end != digits.end()) return {};
  return count;
}

/// The words of a text with blanks between them.
std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> words;
  while (true) {
    const size_t first = text.find_first_not_of(' ');
    if (first == std::string_view::npos) return words;
    text.remove_prefix(first);
    const size_t length = std::min(text.find(' '), text.size());
    words.push_back(text.substr(0, length));
    text.remove_prefix(length);
  }
}

constexpr std::string_view kShared = "shared>";

std::string_view without_shared(std::string_view layer) {
  return layer.starts_with(kShared) ? layer.substr(kShared.size()) : layer;
}

/// What a layer of this name is if it has no mixer.
std::optional<AfterMixer> without_mixer(std::string_view name) {
  if (name == "mlp") return AfterMixer::kMlp;
  if (name == "moe") return AfterMixer::kMoe;
  return std::nullopt;
}

/// Families with groups and repetitions, by recursive descent.
class LayerReader {
 public:
  explicit LayerReader(std::string_view text) : text_(text) {}

  std::vector<std::string> read() {
    std::vector<std::string> layers = sequence(0);
    if (!rest().empty()) reject("a group is closed that was not opened", rest());
    return layers;
  }

 private:
  std::string_view rest() const { return text_.substr(at_); }
  char next() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  std::vector<std::string> sequence(int depth) {
    if (depth > kMostDepth) reject("groups are nested too deeply", text_);
    std::vector<std::string> layers;
    while (true) {
      while (next() == ' ') ++at_;
      if (next() == '\0' || next() == ')') break;
      const size_t begin = at_;
      const std::vector<std::string> one = item(depth);
      const int64_t times = count(begin);
      if (times * static_cast<int64_t>(one.size()) + static_cast<int64_t>(layers.size()) >
          kMostLayers) {
        reject("at most " + std::to_string(kMostLayers) + " layers are allowed",
               text_.substr(begin));
      }
      for (int64_t i = 0; i < times; ++i) layers.insert(layers.end(), one.begin(), one.end());
    }
    if (layers.empty()) reject("layers are missing", text_);
    return layers;
  }

  std::vector<std::string> item(int depth) {
    if (next() != '(') {
      const size_t length = std::min(rest().find_first_of(" *()"), rest().size());
      const std::string_view name = rest().substr(0, length);
      if (name.empty()) reject("an entry must be a family, or a group of them", rest());
      at_ += length;
      // Refuses what is no family.
      if (!without_mixer(name)) mixers::families_of_layer(without_shared(name));
      return {std::string(name)};
    }
    ++at_;
    std::vector<std::string> layers = sequence(depth + 1);
    if (next() != ')') reject("a group is not closed", text_);
    ++at_;
    return layers;
  }

  /// "*count" behind an item that began at `begin`, or 1; then the item ends.
  int64_t count(size_t begin) {
    if (next() != '*') {
      const bool ends = next() == '\0' || next() == ' ' || next() == ')';
      if (!ends) reject("entries must be separated by blanks", text_.substr(begin));
      return 1;
    }
    ++at_;
    const size_t length = std::min(rest().find_first_of(" )"), rest().size());
    const std::optional<int64_t> times = read_count(rest().substr(0, length));
    if (!times || *times < 1 || *times > kMostLayers) {
      reject("behind * there must be a number of layers, at most " + std::to_string(kMostLayers),
             text_.substr(begin));
    }
    at_ += length;
    return *times;
  }

  std::string_view text_;
  size_t at_ = 0;
};

struct Rule {
  AfterMixer after = AfterMixer::kNone;
  int64_t period = 1, first = 0;
};

Rule read_rule(std::string_view text) {
  const std::vector<std::string_view> words = words_of(text);
  Rule rule;
  if (words.empty()) reject("behind | and each comma there must be a rule", text);
  if (words[0] == "mlp") {
    rule.after = AfterMixer::kMlp;
  } else if (words[0] == "moe") {
    rule.after = AfterMixer::kMoe;
  } else if (words[0] != "none") {
    reject("a rule begins with none, mlp or moe", words[0]);
  }
  if (words.size() == 1) return rule;
  const bool shape = (words.size() == 3 || words.size() == 5) && words[1] == "every" &&
                     (words.size() == 3 || words[3] == "offset");
  const std::optional<int64_t> period = shape ? read_count(words[2]) : std::nullopt;
  if (!period || *period < 1) reject("a rule is a kind [every period [offset first]]", text);
  const std::optional<int64_t> first = words.size() == 5 ? read_count(words[4]) : *period - 1;
  if (!first || *first < 0 || *first >= *period) {
    reject("an offset lies between 0 and the period less 1", text);
  }
  rule.period = *period;
  rule.first = *first;
  return rule;
}

std::vector<Rule> read_rules(std::string_view text) {
  std::vector<Rule> rules;
  while (true) {
    const size_t comma = text.find(',');
    rules.push_back(read_rule(text.substr(0, comma)));
    if (comma == std::string_view::npos) return rules;
    text.remove_prefix(comma + 1);
  }
}

}  // namespace

Pattern parse_pattern(std::string_view text) {
  const size_t bar = text.find('|');
  Pattern pattern;
  for (const std::string& layer : LayerReader(text.substr(0, bar)).read()) {
    const std::optional<AfterMixer> alone = without_mixer(layer);
    pattern.layers.push_back({.family = alone ? "" : std::string(without_shared(layer)),
                              .after = alone.value_or(AfterMixer::kNone),
                              .shared = layer.starts_with(kShared)});
    pattern.says_after = pattern.says_after || alone.has_value();
  }
  if (bar == std::string_view::npos) return pattern;
  pattern.says_after = true;
  const std::vector<Rule> rules = read_rules(text.substr(bar + 1));
  for (size_t i = 0; i < pattern.layers.size(); ++i) {
    const auto applies = [i](const Rule& rule) {
      return static_cast<int64_t>(i) % rule.period == rule.first;
    };
    if (pattern.layers[i].family.empty()) continue;
    const auto found = std::ranges::find_if(rules, applies);
    if (found != rules.end()) pattern.layers[i].after = found->after;
  }
  return pattern;
}

}  // namespace longwave::models
