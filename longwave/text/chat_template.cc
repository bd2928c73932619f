// SPDX-License-Identifier: Apache-2.0
#include "longwave/text/chat_template.h"

#include <cstdint>
#include <nlohmann/json.hpp>
#include <utility>

#include "longwave/base/error.h"
#include "longwave/io/file.h"
#include "longwave/text/jinja/evaluate.h"
#include "longwave/text/jinja/syntax.h"
#include "longwave/text/token_settings.h"

namespace longwave::text {
namespace {

using Json = nlohmann::json;

/// Bytes of a template, or of the file that it is in, that are read at most.
constexpr uint64_t kFileLimit = uint64_t{16} << 20;
constexpr size_t kSourceLimit = size_t{1} << 20;

/// "chat_template" may be text, or a list of which "default" counts.
std::optional<std::string> source_of(const Json& config) {
  const auto found = config.find("chat_template");
  if (found == config.end()) return std::nullopt;
  if (found->is_string()) return found->get<std::string>();
  if (!found->is_array()) return std::nullopt;
  for (const Json& each : *found) {
    if (each.is_object() && each.value("name", Json()) == Json("default") &&
        each.contains("template") && each["template"].is_string()) {
      return each["template"].get<std::string>();
    }
  }
  return std::nullopt;
}

/// A template and the place that messages name.
struct Source {
  std::string text, where;
};

std::optional<Source> source_in(const std::filesystem::path& folder) {
  const std::filesystem::path config_path = folder / "tokenizer_config.json";
  const std::filesystem::path own_path = folder / "chat_template.jinja";
  std::error_code ignored;
  if (std::filesystem::exists(own_path, ignored)) {
    return Source{io::read_text(own_path, kFileLimit), own_path.string()};
  }
  if (!std::filesystem::exists(config_path, ignored)) return std::nullopt;
  const Json config = Json::parse(io::read_text(config_path, kFileLimit), nullptr, false);
  if (!config.is_object()) {
    throw DataError({.where = config_path.string(),
                     .what = "this is no JSON object",
                     .got = {},
                     .fix = "download the file again, or delete it"});
  }
  std::optional<std::string> text = source_of(config);
  if (!text) return std::nullopt;
  return Source{std::move(*text), config_path.string() + ": chat_template"};
}

}  // namespace

struct ChatTemplate::Parsed {
  enum class End : uint8_t { kClosed, kAsking };
  jinja::Body body;
  std::string where, bos_token, eos_token;

  std::string render(std::span<const Message> messages, End end) const {
    jinja::List list;
    for (const Message& message : messages) {
      list.emplace_back(jinja::Dict{{"role", message.role}, {"content", message.content}});
    }
    const jinja::Dict variables = {
        {"messages", std::move(list)}, {"add_generation_prompt", end == End::kAsking},
        {"bos_token", bos_token},      {"eos_token", eos_token},
        {"tools", jinja::Value()},     {"documents", jinja::Value()}};
    return jinja::evaluate(body, variables, where);
  }
};

ChatTemplate ChatTemplate::parse(std::string_view source, std::string_view where,
                                 std::string bos_token, std::string eos_token) {
  if (source.size() > kSourceLimit) {
    throw DataError({.where = std::string(where),
                     .what = "the chat template is too long",
                     .got = std::to_string(source.size()) + " bytes",
                     .fix = {}});
  }
  auto parsed = std::make_shared<Parsed>();
  parsed->body = jinja::parse(source, where);
  parsed->where = where;
  parsed->bos_token = std::move(bos_token);
  parsed->eos_token = std::move(eos_token);
  return ChatTemplate(std::move(parsed));
}

std::optional<ChatTemplate> ChatTemplate::load(const std::filesystem::path& folder) {
  const std::optional<Source> source = source_in(folder);
  if (!source) return std::nullopt;
  const TokenSettings tokens = load_token_settings(folder);
  return parse(source->text, source->where, tokens.begin.value_or(""), tokens.end.value_or(""));
}

std::optional<std::string> ChatTemplate::find_source(const std::filesystem::path& folder) {
  std::optional<Source> source = source_in(folder);
  if (!source) return std::nullopt;
  return std::move(source->text);
}

std::string ChatTemplate::render(std::span<const Message> messages) const {
  return parsed_->render(messages, Parsed::End::kAsking);
}

std::string ChatTemplate::render_closed(std::span<const Message> messages) const {
  return parsed_->render(messages, Parsed::End::kClosed);
}

}  // namespace longwave::text
