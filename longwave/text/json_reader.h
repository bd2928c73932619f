// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace longwave::text {

/// Ids beyond this are taken for damage.
inline constexpr int64_t kMostTokens = int64_t{1} << 22;

/// Reads values of JSON with messages that name the file and the place in it.
///
/// Errors     DataError.
struct JsonReader {
  using Json = nlohmann::json;

  std::string where;

  [[noreturn]] void fail(const std::string& what, const std::string& got,
                         const std::string& fix = {}) const;
  [[noreturn]] void unsupported(const std::string& what, const std::string& got) const;

  Json parse(std::string_view text) const;

  /// The entry of an object, null if there is none.
  const Json& at(const Json& object, const char* key, const std::string& place) const;

  /// What an object says it is: its "type".
  std::string type(const Json& object, const std::string& place) const;

  std::string text(const Json& value, const std::string& place) const;
  bool flag(const Json& object, const char* key, bool otherwise, const std::string& place) const;
  int64_t id(const Json& value, const std::string& place) const;
  /// A number from `least`, at least 0, to `most`.
  int64_t count(const Json& value, int64_t least, int64_t most, const std::string& place) const;

  /// Gives `step` the object, or, if it is a "Sequence", each one in its list `parts`; sequences
  /// may hold sequences.
  template <typename Step>
  void each(const Json& object, const char* parts, const std::string& place, const Step& step,
            int depth = 0) const {
    constexpr int kDeepest = 8;
    if (type(object, place) != "Sequence") {
      step(object);
      return;
    }
    const Json& list = at(object, parts, place);
    if (!list.is_array()) fail(place + "." + parts + " must be a list", list.type_name());
    for (const Json& part : list) {
      if (depth == kDeepest) fail(place + ": sequences in sequences in sequences", "too many");
      each(part, parts, place, step, depth + 1);
    }
  }
};

}  // namespace longwave::text
