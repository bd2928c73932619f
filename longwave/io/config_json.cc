// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "longwave/io/config_file.h"
#include "longwave/io/config_reader.h"

namespace longwave::io {
namespace {

using Json = nlohmann::json;

/// Walks over text and counts the lines that the parser has seen.
struct LineCounter {
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  const char* at;
  int64_t* line;

  reference operator*() const { return *at; }
  LineCounter& operator++() {
    *line += *at == '\n' ? 1 : 0;
    ++at;
    return *this;
  }
  LineCounter operator++(int) {
    const LineCounter before = *this;
    ++*this;
    return before;
  }
  bool operator==(const LineCounter& other) const { return at == other.at; }
};

/// Takes an object apart event by event; builds nothing but the settings.
class SettingReader : public nlohmann::json_sax<Json> {
 public:
  SettingReader(std::string_view where, const int64_t& line) : where_(where), line_(line) {}

  std::vector<Setting> take() { return std::move(settings_); }

  bool start_object(size_t) override {
    if (in_list_) fail(key_ + ": " + kListsHoldIntegers);
    if (sections_.size() >= kMostLevels) fail("sections are nested too deeply");
    sections_.push_back(key_);
    return true;
  }
  bool end_object() override {
    sections_.pop_back();
    return true;
  }
  bool key(std::string& name) override {
    key_line_ = line_;
    key_ = joined_key(sections_.back(), name, where_, key_line_);
    if (!seen_.insert(key_).second) fail(key_ + ": this key appears twice");
    return true;
  }

  bool start_array(size_t) override {
    if (in_list_) fail(key_ + ": " + kListsHoldIntegers);
    in_list_ = true;
    list_.clear();
    return true;
  }
  bool end_array() override {
    in_list_ = false;
    return add(list_);
  }

  bool number_integer(int64_t number) override {
    if (!in_list_) return add(number);
    list_.push_back(number);
    return true;
  }
  bool number_unsigned(uint64_t number) override {
    if (number > uint64_t{std::numeric_limits<int64_t>::max()}) {
      fail(key_ + ": this integer is too large", std::to_string(number));
    }
    return number_integer(static_cast<int64_t>(number));
  }
  bool number_float(double number, const std::string&) override { return add(number); }
  bool boolean(bool flag) override { return add(flag); }
  bool string(std::string& text) override { return add(text); }
  bool null() override { fail(key_ + ": null is not a value; leave the key out"); }
  bool binary(Json::binary_t&) override { fail("binary is not JSON"); }
  bool parse_error(size_t, const std::string& token, const Json::exception&) override {
    key_line_ = line_;
    fail("not valid JSON", "\"" + token + "\"");
  }

 private:
  [[noreturn]] void fail(std::string what, std::string got = {}) {
    reject_config(where_, key_line_, std::move(what), std::move(got));
  }

  bool add(Value value) {
    if (sections_.empty()) fail("the outermost value must be an object in { }");
    if (in_list_) fail(key_ + ": " + kListsHoldIntegers);
    settings_.push_back({key_, std::move(value), key_line_});
    return true;
  }

  std::string_view where_;
  const int64_t& line_;
  std::vector<Setting> settings_;
  std::vector<std::string> sections_;
  std::set<std::string> seen_;
  std::string key_;
  std::vector<int64_t> list_;
  bool in_list_ = false;
  int64_t key_line_ = 1;
};

}  // namespace

std::vector<Setting> parse_json(std::string_view text, std::string_view where) {
  int64_t line = 1;
  SettingReader reader(where, line);
  const LineCounter begin{text.data(), &line}, end{text.data() + text.size(), &line};
  Json::sax_parse(begin, end, &reader);
  return reader.take();
}

}  // namespace longwave::io
