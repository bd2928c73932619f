// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/io/config_file.h"
#include "longwave/io/gzip.h"
#include "longwave/io/safetensors.h"
#include "longwave/io/testing/fuzz.h"

namespace longwave::testing {

inline std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// A file is refused with DataError, or what was read is written and read back unchanged.
inline void fuzz_safetensors(std::span<const std::byte> bytes) {
  constexpr io::SafetensorsOptions kKeep = {.float64 = io::SafetensorsOptions::Float64::kKeep};
  try {
    const io::Safetensors read = io::parse_safetensors(bytes, "fuzz", kKeep);
    const Bytes written = io::format_safetensors(read.weights, read.metadata);
    const io::Safetensors again = io::parse_safetensors(written, "again", kKeep);
    must_hold(again.metadata == read.metadata, "metadata survive a round trip");
    must_hold(again.weights.all().size() == read.weights.all().size(), "no tensor is lost");
    for (const auto& [name, tensor] : read.weights.all()) {
      const Tensor& copy = again.weights.all().at(name);
      must_hold(copy.shape() == tensor.shape() && copy.dtype() == tensor.dtype(),
                "shapes survive a round trip");
      must_hold(tensor.bytes() == 0 || std::memcmp(copy.raw(), tensor.raw(), tensor.bytes()) == 0,
                "numbers survive a round trip");
    }
  } catch (const DataError&) {
  }
}

inline std::vector<Bytes> safetensors_seeds() {
  Weights weights;
  weights.put("layers.0.A", Tensor(DType::kFloat32, {2, 3}));
  weights.put("step", Tensor(DType::kInt64, {}));
  weights.put("empty", Tensor(DType::kFloat64, {0, 4}));
  std::vector<Bytes> seeds = {io::format_safetensors({}), io::format_safetensors(weights),
                              io::format_safetensors(weights, {{"format", "longwave"}})};
  const std::string half = R"({"h":{"dtype":"F16","shape":[2],"data_offsets":[0,4]},)"
                           R"("b":{"dtype":"BF16","shape":[1,1],"data_offsets":[4,6]}}  )";
  std::string file(8, '\0');
  file[0] = static_cast<char>(half.size());
  file.append(half).append("abcdef");
  seeds.push_back(bytes_of(file));
  return seeds;
}

/// A text is refused with ConfigError, or every setting has a key and a line of the text.
inline void fuzz_config(std::span<const std::byte> bytes,
                        std::vector<io::Setting> (*parse)(std::string_view, std::string_view)) {
  const std::string_view text = text_of(bytes);
  const auto lines = 1 + std::count(text.begin(), text.end(), '\n');
  try {
    Options options(Schema{{.key = "train.lr", .value = 0.5, .help = "", .least = 0, .most = 1}});
    for (const io::Setting& setting : parse(text, "fuzz")) {
      must_hold(!setting.key.empty(), "every setting has a key");
      must_hold(setting.line >= 1 && setting.line <= lines, "every line is one of the text");
      io::apply({setting}, "fuzz", options);
    }
  } catch (const ConfigError&) {
  }
}

inline void fuzz_toml(std::span<const std::byte> bytes) { fuzz_config(bytes, io::parse_toml); }
inline void fuzz_json(std::span<const std::byte> bytes) { fuzz_config(bytes, io::parse_json); }

inline std::vector<Bytes> toml_seeds() {
  return {bytes_of("train.lr = 1e-3\n"), bytes_of("[train]\nlr = 0.5 # half\n"),
          bytes_of("a.b = { c = [1, 2,\n 3], d = \"x\\u00e9\" }\n[e]\nf = '''x\ny'''\n[[g]]\nh = "
                   "1979-05-27T07:32:00Z\n")};
}

inline std::vector<Bytes> json_seeds() {
  return {bytes_of("{\"train\": {\"lr\": 1e-3}}"),
          bytes_of("{\"a\": {\"b\": [1, -2], \"c\": \"x\\u00e9\\ud83d\\ude00\"},\n\"d\": true,\n "
                   "\"e\": null}")};
}

/// Bytes are refused with DataError, or unpacked within the limit.
inline void fuzz_gzip(std::span<const std::byte> bytes) {
  constexpr uint64_t kLimit = uint64_t{1} << 20;
  try {
    must_hold(io::gunzip(bytes, kLimit, "fuzz").size() <= kLimit, "the limit holds");
  } catch (const DataError&) {
  }
}

inline std::vector<Bytes> gzip_seeds() {
  // "longwave\n" five times, as gzip stores it.
  static constexpr unsigned char kPacked[] = {0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00,
                                              0x02, 0x03, 0xcb, 0xc9, 0xcf, 0x4b, 0x2f, 0x4f,
                                              0x2c, 0x4b, 0xe5, 0xca, 0x21, 0x82, 0x01, 0x00,
                                              0x8e, 0x24, 0xd3, 0xb4, 0x2d, 0x00, 0x00, 0x00};
  const auto bytes = std::as_bytes(std::span(kPacked));
  return {Bytes(bytes.begin(), bytes.end())};
}

}  // namespace longwave::testing
