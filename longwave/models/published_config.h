// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "longwave/models/published.h"

/// What the readers and writers of published configurations share.
namespace longwave::models {

/// Asks for the values of a configuration and knows which were never asked for.
///
/// Errors     ConfigError naming key and value, from every member.
class PublishedReader {
 public:
  PublishedReader(const PublishedConfig& config, std::string_view where)
      : config_(config), where_(where) {}

  bool has(const std::string& key) const { return config_.contains(key); }

  /// The value; without one `otherwise`, and if there is none either, an error.
  int64_t integer(const std::string& key, std::optional<int64_t> otherwise = {});
  bool flag(const std::string& key, bool otherwise);
  double real(const std::string& key, double otherwise);
  std::string text(const std::string& key, const std::string& otherwise);

  /// Whether the key is there with this value.
  bool says(const std::string& key, const Value& value);

  /// Refuses any other value, as one that Longwave does not compute.
  void must_be(const std::string& key, const Value& only);

  /// Keys, also those below them, that do not change what the model computes.
  void pass_over(std::initializer_list<const char*> keys);

  /// Refuses what nobody asked for.
  void finish() const;

  [[noreturn]] void refuse(const std::string& key, std::string what, std::string fix = {}) const;

 private:
  const Value* find(const std::string& key);
  template <typename T>
  const T* typed(const std::string& key, const char* type);

  const PublishedConfig& config_;
  std::string_view where_;
  std::set<std::string> asked_;
};

/// Options of `layers` layers of a family as published models have them: before the mixer a norm,
/// nothing after it, no bias of the head.
Options published_options(const std::string& family, int64_t layers);

/// Throws ConfigError unless the model takes tokens and gives logits of the next one.
void check_next_token(PublishedFormat format, const Config& config);

/// Throws ConfigError unless the model has the form of a Mamba or Mamba-2 as first published.
void check_publishable(PublishedFormat format, const Config& config);

/// Step sizes above this are not limited: what others call infinity.
inline constexpr double kNoStepLimit = 1e9;

Config from_state_spaces(PublishedReader& reader);
PublishedConfig to_state_spaces(const Config& config);
/// The form of transformers: what all families share, around what the family in families/ says.
Config from_hugging_face(PublishedReader& reader);
PublishedConfig to_hugging_face(const Config& config);

/// The form of GGUF, likewise; "general.architecture" says what the family is.
Config from_gguf(PublishedReader& reader);
PublishedConfig to_gguf(const Config& config);

/// Throws ConfigError if the options that a written configuration gives back describe another
/// model.
void check_way_back(PublishedFormat format, const Options& back, const Config& config);

/// A model of the next token over so many tokens; refuses a vocabulary that is out of range.
Config next_token_config(PublishedReader& reader, Options options);

}  // namespace longwave::models
