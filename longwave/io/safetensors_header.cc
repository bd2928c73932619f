// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "longwave/base/error.h"
#include "longwave/io/byte_reader.h"
#include "longwave/io/safetensors.h"

namespace longwave::io {
namespace {

using Json = nlohmann::json;

constexpr uint64_t kLengthBytes = 8;
constexpr size_t kMostExtents = 16;
constexpr uint64_t kMostElements = uint64_t{1} << 52;

[[noreturn]] void reject(std::string_view where, std::string what, std::string got = {}) {
  throw DataError({.where = std::string(where),
                   .what = "not a sound safetensors file: " + std::move(what),
                   .got = std::move(got),
                   .fix = "fetch or export the file again; it is damaged or of another format"});
}

/// Takes the header apart event by event, so that nothing but the expected form is ever built:
///
///   {"__metadata__": {text: text}, name: {"dtype": text, "shape": [n], "data_offsets": [n, n]}}
class HeaderReader : public nlohmann::json_sax<Json> {
 public:
  HeaderReader(std::string_view where, SafetensorsHeader& header)
      : where_(where), header_(header) {}

  bool start_object(size_t) override {
    if (place_ == Place::kOutside) {
      place_ = Place::kTop;
    } else if (place_ == Place::kTop && name_ == "__metadata__") {
      place_ = Place::kMetadata;
    } else if (place_ == Place::kTop) {
      place_ = Place::kTensor;
      seen_.clear();
      header_.entries.push_back({.name = name_, .dtype = {}, .shape = {}});
    } else {
      unexpected("an object");
    }
    return true;
  }

  bool end_object() override {
    if (place_ == Place::kTensor && seen_.size() != 3) {
      reject(where_, "tensor " + in_quotes(name_) + " must have dtype, shape and data_offsets");
    }
    place_ = place_ == Place::kTop ? Place::kOutside : Place::kTop;
    return true;
  }

  bool key(std::string& text) override {
    if (place_ == Place::kTop) {
      if (!names_.insert(text).second) reject(where_, "duplicate name " + in_quotes(text));
      name_ = text;
      return true;
    }
    const bool known = text == "dtype" || text == "shape" || text == "data_offsets";
    if (place_ == Place::kTensor && !known) {
      reject(where_, "tensor " + in_quotes(name_) + " has an unknown field", in_quotes(text));
    }
    const bool is_new =
        place_ == Place::kTensor ? seen_.insert(text).second : !header_.metadata.contains(text);
    if (!is_new) reject(where_, "duplicate field " + in_quotes(text) + " of " + in_quotes(name_));
    field_ = text;
    return true;
  }

  bool string(std::string& text) override {
    if (place_ == Place::kMetadata) {
      header_.metadata[field_] = text;
    } else if (place_ == Place::kTensor && field_ == "dtype") {
      header_.entries.back().dtype = text;
    } else {
      unexpected("text");
    }
    return true;
  }

  bool start_array(size_t) override {
    if (place_ != Place::kTensor || field_ == "dtype") unexpected("a list");
    place_ = field_ == "shape" ? Place::kShape : Place::kOffsets;
    offset_count_ = 0;
    return true;
  }

  bool end_array() override {
    if (place_ == Place::kOffsets && offset_count_ != 2) {
      reject(where_, "data_offsets of " + in_quotes(name_) + " must be two numbers");
    }
    place_ = Place::kTensor;
    return true;
  }

  bool number_unsigned(uint64_t number) override {
    if (place_ == Place::kShape) {
      Shape& shape = header_.entries.back().shape;
      if (number > kMostElements || shape.size() >= kMostExtents) {
        reject(where_, "tensor " + in_quotes(name_) + " is too large or has too many extents",
               std::to_string(number));
      }
      shape.push_back(static_cast<int64_t>(number));
    } else if (place_ == Place::kOffsets && offset_count_ < 2) {
      SafetensorsEntry& entry = header_.entries.back();
      (offset_count_++ == 0 ? entry.begin : entry.end) = number;
    } else {
      unexpected("a number");
    }
    return true;
  }

  bool number_integer(int64_t) override { return unexpected("a negative number"); }
  bool number_float(double, const std::string&) override { return unexpected("a real number"); }
  bool boolean(bool) override { return unexpected("true or false"); }
  bool null() override { return unexpected("null"); }
  bool binary(Json::binary_t&) override { return unexpected("binary"); }
  bool parse_error(size_t position, const std::string& token, const Json::exception&) override {
    reject(where_, "the header is not JSON at byte " + std::to_string(kLengthBytes + position),
           in_quotes(token));
  }

 private:
  enum class Place : uint8_t { kOutside, kTop, kMetadata, kTensor, kShape, kOffsets };

  bool unexpected(const char* what) {
    reject(where_,
           "the header has a value of the wrong kind" +
               (name_.empty() ? std::string() : " at " + in_quotes(name_)),
           what);
  }

  std::string_view where_;
  SafetensorsHeader& header_;
  Place place_ = Place::kOutside;
  std::string name_, field_;
  std::set<std::string, std::less<>> names_, seen_;
  int offset_count_ = 0;
};

/// Bytes of an element by the format's names; types that the format knows and we cannot use
/// have their size too, so that the header is checked all the same.
uint64_t element_bytes(std::string_view dtype) {
  static constexpr std::array<std::pair<std::string_view, uint64_t>, 16> kSizes = {{{"BOOL", 1},
                                                                                    {"U8", 1},
                                                                                    {"I8", 1},
                                                                                    {"F8_E4M3", 1},
                                                                                    {"F8_E5M2", 1},
                                                                                    {"U16", 2},
                                                                                    {"I16", 2},
                                                                                    {"F16", 2},
                                                                                    {"BF16", 2},
                                                                                    {"U32", 4},
                                                                                    {"I32", 4},
                                                                                    {"F32", 4},
                                                                                    {"U64", 8},
                                                                                    {"I64", 8},
                                                                                    {"F64", 8},
                                                                                    {"C64", 8}}};
  const auto found =
      std::ranges::find(kSizes, dtype, &std::pair<std::string_view, uint64_t>::first);
  return found == kSizes.end() ? 0 : found->second;
}

void check_entry(const SafetensorsEntry& entry, std::string_view where) {
  const uint64_t element = element_bytes(entry.dtype);
  if (element == 0) {
    reject(where, "tensor " + in_quotes(entry.name) + " has an unknown element type",
           in_quotes(entry.dtype));
  }
  uint64_t count = 1;
  for (int64_t extent : entry.shape) {
    const uint64_t factor = static_cast<uint64_t>(std::max<int64_t>(extent, 1));
    if (count > kMostElements / factor) {
      reject(where, "the extents of tensor " + in_quotes(entry.name) + " overflow",
             to_string(entry.shape));
    }
    count *= factor;
  }
  if (std::ranges::find(entry.shape, 0) != entry.shape.end()) count = 0;
  if (entry.end < entry.begin || entry.end - entry.begin != count * element) {
    reject(where,
           "tensor " + in_quotes(entry.name) + " needs " + std::to_string(count * element) +
               " bytes for " + entry.dtype + " of shape " + to_string(entry.shape),
           "offsets " + std::to_string(entry.begin) + " to " + std::to_string(entry.end));
  }
}

/// The data must be tiled: each entry starts where the one before ended, the last ends the file.
void check_tiling(const SafetensorsHeader& header, uint64_t data_bytes, std::string_view where) {
  uint64_t expected = 0;
  for (const SafetensorsEntry& entry : header.entries) {
    if (entry.begin != expected) {
      reject(where,
             "tensor " + in_quotes(entry.name) + " must start at byte " + std::to_string(expected) +
                 " of the data; there is an overlap or a hole",
             std::to_string(entry.begin));
    }
    if (entry.end > data_bytes) {
      reject(where, "the file ends inside tensor " + in_quotes(entry.name),
             std::to_string(data_bytes) + " of at least " + std::to_string(entry.end) +
                 " bytes of data");
    }
    expected = entry.end;
  }
  if (expected != data_bytes) {
    reject(where, "there are bytes after the last tensor", std::to_string(data_bytes - expected));
  }
}

}  // namespace

SafetensorsHeader parse_safetensors_header(std::span<const std::byte> file, std::string_view where,
                                           const SafetensorsOptions& options) {
  if (file.size() < kLengthBytes) {
    reject(where, "a file must have at least 8 bytes", std::to_string(file.size()) + " bytes");
  }
  uint64_t length = 0;
  std::memcpy(&length, file.data(), kLengthBytes);
  if (length > options.header_limit || length > file.size() - kLengthBytes) {
    reject(
        where,
        "the header must fit in the file and in " + std::to_string(options.header_limit) + " bytes",
        "a header of " + std::to_string(length) + " bytes in a file of " +
            std::to_string(file.size()));
  }
  const auto* text = reinterpret_cast<const char*>(file.data()) + kLengthBytes;
  if (length == 0 || *text != '{') reject(where, "the header must start with {");
  SafetensorsHeader header;
  header.data_begin = kLengthBytes + length;
  HeaderReader reader(where, header);
  Json::sax_parse(text, text + length, &reader);
  for (const SafetensorsEntry& entry : header.entries) check_entry(entry, where);
  std::ranges::stable_sort(header.entries, {}, [](const SafetensorsEntry& entry) {
    return std::pair(entry.begin, entry.end);
  });
  check_tiling(header, file.size() - header.data_begin, where);
  return header;
}

}  // namespace longwave::io
