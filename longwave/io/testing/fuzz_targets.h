// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/io/config_file.h"
#include "longwave/io/gguf.h"
#include "longwave/io/gzip.h"
#include "longwave/io/safetensors.h"
#include "longwave/io/testing/fuzz.h"
#include "longwave/io/testing/zip_draft.h"
#include "longwave/io/torch_pickle.h"

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

/// A file is refused with DataError, or what was read is written and read back unchanged.
inline void fuzz_gguf(std::span<const std::byte> bytes) {
  const auto rewritten = [](std::span<const std::byte> file) {
    io::GgufHeader header = io::parse_gguf_header(file, "fuzz");
    header.metadata.erase("general.alignment");
    std::vector<io::GgufTensor> tensors;
    for (const io::GgufEntry& entry : header.entries) {
      tensors.push_back({entry.name, entry.type, entry.shape, header.data(file, entry)});
    }
    return io::format_gguf(header.metadata, tensors);
  };
  try {
    const Bytes once = rewritten(bytes);
    must_hold(rewritten(once) == once, "what was written is read back");
  } catch (const DataError&) {
  }
}

inline std::vector<Bytes> gguf_seeds() {
  using io::GgufArray, io::GgufKind, io::GgufValue;
  const GgufArray inner{GgufKind::kUint8, std::vector<uint64_t>{1, 2, 3}};
  const io::GgufMetadata metadata = {
      {"general.architecture", GgufValue::text("mamba")},
      {"mamba.block_count", GgufValue::uint32(2)},
      {"mamba.attention.layer_norm_rms_epsilon", GgufValue::float32(1e-5F)},
      {"mamba.ssm.dt_b_c_rms", GgufValue::flag(false)},
      {"tokenizer.ggml.tokens", GgufValue::texts({"a", "", "bc"})},
      {"tokenizer.ggml.token_type", GgufValue::int32s({1, 1, -3})},
      {"nested", {GgufKind::kArray, GgufArray{GgufKind::kArray, std::vector{inner, inner}}}},
      {"wide", {GgufKind::kInt64, int64_t{-5}}}};
  const Bytes data(68, std::byte{7});
  const std::vector<io::GgufTensor> tensors = {
      {"token_embd.weight", io::gguf_type("F32"), {3, 4}, std::span(data).first(48)},
      {"blk.0.ssm_in.weight", io::gguf_type("Q8_0"), {2, 32}, data},
      {"blk.0.ssm_d", io::gguf_type("BF16"), {5}, std::span(data).first(10)},
      {"empty", io::gguf_type("F16"), {0}, {}}};
  Bytes wide = io::format_gguf({{"general.alignmenu", GgufValue::uint32(32)}}, tensors);
  wide[8 + 16 + 8 + 16] = std::byte{'t'};  // the key's last letter: now it names the alignment
  return {io::format_gguf({}, {}), io::format_gguf(metadata, tensors), wide};
}

/// Taken as an archive and as the pickle in one, which its check sum would protect from mutations,
/// bytes are refused with DataError, or what is read is a view into a storage.
inline void fuzz_torch_pickle(std::span<const std::byte> bytes) {
  const auto survives = [](std::span<const std::byte> file) {
    try {
      io::parse_torch_pickle(file, "fuzz");
    } catch (const DataError&) {
    }
  };
  survives(bytes);
  survives(torch_archive(std::string(text_of(bytes))).bytes());
}

inline std::vector<Bytes> torch_pickle_seeds() {
  ZipDraft wide = torch_archive(tensor_pickle());
  wide.wide = true;
  return {bytes_of(tensor_pickle()), torch_archive(tensor_pickle()).bytes(), wide.bytes()};
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
