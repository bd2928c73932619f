// SPDX-License-Identifier: Apache-2.0
#include "longwave/io/foreign_json.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "longwave/base/error.h"
#include "longwave/io/config_reader.h"

namespace longwave::io {
namespace {

using Json = nlohmann::json;

/// The text with Python's words for numbers that JSON lacks in quotes; no line moves.
std::string with_quoted_numbers(std::string_view text) {
  constexpr std::array<std::string_view, 3> kWords = {"-Infinity", "Infinity", "NaN"};
  std::string result;
  bool in_text = false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (in_text && text[i] == '\\' && i + 1 < text.size()) {
      result += text.substr(i++, 2);
      continue;
    }
    if (text[i] == '"') in_text = !in_text;
    const auto word = std::ranges::find_if(kWords, [&](std::string_view known) {
      return !in_text && text.substr(i).starts_with(known);
    });
    if (word == kWords.end()) {
      result += text[i];
      continue;
    }
    result += '"' + std::string(*word) + '"';
    i += word->size() - 1;
  }
  return result;
}

/// Takes a document apart event by event.
class LeafReader : public nlohmann::json_sax<Json> {
 public:
  LeafReader(std::string_view text, std::string_view where) : text_(text), where_(where) {}

  std::vector<Setting> take() { return std::move(leaves_); }

  bool start_object(size_t) override { return open(kNoList); }
  bool start_array(size_t) override {
    if (levels_.empty()) fail("the outermost value must be an object in { }");
    return open(0);
  }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(std::string& name) override {
    levels_.back().key = name;
    return true;
  }
  bool number_integer(int64_t number) override { return add(number); }
  bool number_unsigned(uint64_t number) override {
    if (number > uint64_t{std::numeric_limits<int64_t>::max()}) {
      fail(path() + ": this integer is too large", std::to_string(number));
    }
    return add(static_cast<int64_t>(number));
  }
  bool number_float(double number, const std::string&) override { return add(number); }
  bool boolean(bool flag) override { return add(flag); }
  bool string(std::string& text) override { return add(text); }
  bool null() override {
    if (levels_.empty()) fail("the outermost value must be an object in { }");
    next();
    return true;
  }
  bool binary(Json::binary_t&) override { fail("binary is not JSON"); }
  bool parse_error(size_t position, const std::string& token, const Json::exception&) override {
    const size_t end = std::min(position, text_.size());
    const auto line =
        1 + std::count(text_.begin(), text_.begin() + static_cast<int64_t>(end), '\n');
    reject_config(where_, line, "not valid JSON", "\"" + token + "\"");
  }

 private:
  static constexpr int64_t kNoList = -1;
  struct Level {
    std::string key;
    int64_t entry = kNoList;  // number of the next one of a list
  };

  [[noreturn]] void fail(std::string what, std::string got = {}) {
    throw ConfigError(
        {.where = std::string(where_), .what = std::move(what), .got = std::move(got), .fix = {}});
  }

  std::string path() const {
    std::string path;
    for (const Level& level : levels_) {
      if (!path.empty()) path += '.';
      path += level.entry == kNoList ? level.key : std::to_string(level.entry);
    }
    return path;
  }
  void next() {
    if (!levels_.empty() && levels_.back().entry != kNoList) ++levels_.back().entry;
  }
  bool open(int64_t entry) {
    if (levels_.size() >= kMostLevels) fail("values are nested too deeply");
    levels_.push_back({.key = {}, .entry = entry});
    return true;
  }
  bool close() {
    levels_.pop_back();
    next();
    return true;
  }
  bool add(Value value) {
    if (levels_.empty()) fail("the outermost value must be an object in { }");
    const std::string key = path();
    if (!seen_.insert(key).second) fail(key + ": this key appears twice");
    leaves_.push_back({key, std::move(value), 0});
    next();
    return true;
  }

  std::string_view text_, where_;
  std::vector<Level> levels_;
  std::vector<Setting> leaves_;
  std::set<std::string> seen_;
};

}  // namespace

std::vector<Setting> parse_foreign_json(std::string_view text, std::string_view where) {
  const std::string plain = with_quoted_numbers(text);
  LeafReader reader(plain, where);
  Json::sax_parse(plain, &reader);
  return reader.take();
}

std::string format_foreign_json(const std::vector<Setting>& settings) {
  Json flat = Json::object();
  for (const Setting& setting : settings) {
    const auto* real = std::get_if<double>(&setting.value);
    if (real != nullptr && !std::isfinite(*real)) {
      throw ConfigError({.where = setting.key,
                         .what = "JSON has no number for this value",
                         .got = to_string(setting.value),
                         .fix = {}});
    }
    std::string pointer = "/" + setting.key;
    std::ranges::replace(pointer, '.', '/');
    flat[pointer] = std::visit([](const auto& content) { return Json(content); }, setting.value);
  }
  try {
    return flat.unflatten().dump(2) + "\n";
  } catch (const Json::type_error& error) {
    throw ConfigError(
        {.where = "config.json", .what = "text must be UTF-8", .got = error.what(), .fix = {}});
  }
}

}  // namespace longwave::io
