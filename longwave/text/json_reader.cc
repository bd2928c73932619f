// SPDX-License-Identifier: Apache-2.0
#include "longwave/text/json_reader.h"

#include "longwave/base/error.h"

namespace longwave::text {

using Json = nlohmann::json;

void JsonReader::fail(const std::string& what, const std::string& got,
                      const std::string& fix) const {
  constexpr size_t kShown = 200;
  throw DataError({.where = where, .what = what, .got = got.substr(0, kShown), .fix = fix});
}

void JsonReader::unsupported(const std::string& what, const std::string& got) const {
  fail(
      what + " is not supported", got,
      "supported are byte-pair encodings, as those of GPT-2's and Llama's kind, Unigram, WordPiece "
      "and WordLevel");
}

Json JsonReader::parse(std::string_view text) const {
  try {
    return Json::parse(text);
  } catch (const Json::exception& error) {
    fail("this is no JSON", error.what());
  }
}

const Json& JsonReader::at(const Json& object, const char* key, const std::string& place) const {
  static const Json kNull;
  if (!object.is_object()) fail(place + " must be an object", object.type_name());
  const auto found = object.find(key);
  return found == object.end() ? kNull : *found;
}

std::string JsonReader::type(const Json& object, const std::string& place) const {
  return text(at(object, "type", place), place + ".type");
}

std::string JsonReader::text(const Json& value, const std::string& place) const {
  if (!value.is_string()) fail(place + " must be text", value.type_name());
  return value.get<std::string>();
}

bool JsonReader::flag(const Json& object, const char* key, bool otherwise,
                      const std::string& place) const {
  const Json& value = at(object, key, place);
  if (value.is_null()) return otherwise;
  if (!value.is_boolean()) fail(place + "." + key + " must be true or false", value.type_name());
  return value.get<bool>();
}

int64_t JsonReader::count(const Json& value, int64_t least, int64_t most,
                          const std::string& place) const {
  const bool whole = value.is_number_integer();
  // Beyond what 63 bits hold is beyond `most`.
  const bool huge = value.is_number_unsigned() && value.get<uint64_t>() > uint64_t{1} << 62;
  const int64_t number = whole && !huge ? value.get<int64_t>() : -1;
  if (!whole || huge || number < least || number > most) {
    fail(place + " must be a whole number from " + std::to_string(least) + " to " +
             std::to_string(most),
         value.dump());
  }
  return number;
}

int64_t JsonReader::id(const Json& value, const std::string& place) const {
  if (!value.is_number_integer()) fail(place + " must be an id", value.type_name());
  const bool in_range = value.is_number_unsigned()
                            ? value.get<uint64_t>() < static_cast<uint64_t>(kMostTokens)
                            : value.get<int64_t>() >= 0;
  if (!in_range) fail(place + ": the id is out of range", std::to_string(value.get<int64_t>()));
  return value.get<int64_t>();
}

}  // namespace longwave::text
