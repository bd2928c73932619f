// SPDX-License-Identifier: Apache-2.0
#include "longwave/runtime/gguf_file.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/base/stored_tensor.h"
#include "longwave/io/file.h"
#include "longwave/io/gguf.h"
#include "longwave/io/testing/temporary_folder.h"
#include "longwave/models/published.h"
#include "longwave/runtime/generate.h"
#include "longwave/runtime/gguf_tensors.h"
#include "longwave/runtime/published_folder.h"
#include "longwave/runtime/testing/published_fixtures.h"

namespace longwave::runtime {
namespace {

namespace fs = std::filesystem;

using longwave::testing::message_of;
using longwave::testing::TemporaryFolder;
using models::PublishedFormat;
using testing::kFixtures;

/// Published models that llama.cpp's form can express.
class GgufModel : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Fixtures, GgufModel,
                         ::testing::Values("mamba", "mamba2_one_group", "mamba_state_spaces",
                                           "falcon_mamba", "jamba"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::erase(name, '_');
                           return name;
                         });

void expect_same(const ModelFolder& expected, const ModelFolder& got) {
  ASSERT_EQ(got.weights.all().size(), expected.weights.all().size());
  for (const Parameter& parameter : models::parameters(expected.config)) {
    EXPECT_TRUE(std::ranges::equal(expected.weights.get(parameter.name, parameter.shape),
                                   got.weights.get(parameter.name, parameter.shape)))
        << parameter.name;
  }
}

TEST_P(GgufModel, HuggingFaceToOursToGgufAndBackIsTheSameModel) {
  const TemporaryFolder scratch;
  const ModelFolder published = load_model_folder(kFixtures / GetParam());
  save_model_folder(scratch / "ours", published.config, published.weights);
  save_gguf_model(scratch / "a.gguf", load_model_folder(scratch / "ours"));
  const ModelFolder read = load_model_folder(scratch / "a.gguf");
  expect_same(published, read);
  save_model_folder(scratch / "again", read.config, read.weights);
  save_published_folder(scratch / "hf", PublishedFormat::kHuggingFace,
                        load_model_folder(scratch / "again"));
  const ModelFolder back = load_model_folder(scratch / "hf");
  expect_same(published, back);
  save_gguf_model(scratch / "b.gguf", back);
  EXPECT_EQ(io::Gguf(scratch / "a.gguf").metadata(), io::Gguf(scratch / "b.gguf").metadata());
}

TEST_P(GgufModel, ContinuesAsTheOriginal) {
  const TemporaryFolder scratch;
  save_gguf_model(scratch / "a.gguf", load_model_folder(kFixtures / GetParam()));
  const std::vector<int64_t> prompt = {1, 2, 3, 4, 5};
  const auto continued = [&](const fs::path& path) {
    Session session(Model::load(path));
    return generate(session, nullptr, prompt, {.sampler = {.temperature = 0}, .max_tokens = 12},
                    [](int64_t, std::string_view) { return true; })
        .ids;
  };
  EXPECT_EQ(continued(scratch / "a.gguf"), continued(kFixtures / GetParam()));
}

TEST_P(GgufModel, TensorByTensorIsTheSameFileAndTheSameModel) {
  const TemporaryFolder scratch;
  for (const std::optional<DType> type : {std::optional<DType>(), std::optional(DType::kQ8_0)}) {
    save_gguf_model(scratch / "a.gguf", load_model_folder(kFixtures / GetParam()), {}, type);
    save_gguf_model(scratch / "b.gguf", open_model_folder(kFixtures / GetParam()), {}, type);
    EXPECT_EQ(io::read_file(scratch / "a.gguf", 1 << 20),
              io::read_file(scratch / "b.gguf", 1 << 20));
  }
  const ModelSource once = open_gguf_model(scratch / "a.gguf");
  save_gguf_model(scratch / "c.gguf", once);
  const ModelFolder expected = load_model_folder(scratch / "a.gguf");
  const ModelFolder again = load_model_folder(scratch / "c.gguf");
  for (const auto& [name, tensor] : expected.weights.all()) {
    EXPECT_EQ(stored(tensor).dtype, again.weights.all().at(name).dtype()) << name;
    EXPECT_TRUE(
        std::ranges::equal(stored(tensor).bytes, stored(again.weights.all().at(name)).bytes))
        << name;
  }
}

/// The same file with its data at an odd place, which an alignment of 1 allows.
void misalign(const fs::path& from, const fs::path& to) {
  const io::Gguf file(from);
  io::GgufMetadata metadata = file.metadata();
  const std::string key = "general.alignment";
  metadata["general.alignmenT"] = io::GgufValue::uint32(1);
  std::vector<io::GgufTensor> tensors;
  for (const io::GgufEntry& entry : file.entries()) {
    tensors.push_back({entry.name, entry.type, entry.shape, file.data(entry)});
  }
  const auto letters = [](std::span<const std::byte> bytes) {
    return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  };
  // One letter more in a value at a time until the header ends at an odd place.
  for (std::string odd = "x";; odd += "x") {
    metadata["general.name"] = io::GgufValue::text(odd);
    const std::vector<std::byte> bytes = io::format_gguf(metadata, tensors);
    std::string text = letters(bytes);
    const io::GgufEntry& last = file.entries().back();
    const size_t end = text.find(last.name) + last.name.size() + 4 + 8 * last.shape.size() + 4 + 8;
    if (end % 2 == 0) continue;
    text.erase(end, io::parse_gguf_header(bytes, "header").data_begin - end);
    text.replace(text.find("general.alignmenT"), key.size(), key);
    std::ofstream(to, std::ios::binary) << text;
    return;
  }
}

TEST(GgufFile, TensorsAtOddPlacesAreReadAsWell) {
  const TemporaryFolder scratch;
  for (const DType type : {DType::kFloat32, DType::kFloat16}) {
    save_gguf_model(scratch / "a.gguf", load_model_folder(kFixtures / "mamba"), {}, type);
    misalign(scratch / "a.gguf", scratch / "b.gguf");
    ASSERT_EQ(io::Gguf(scratch / "b.gguf").metadata().contains("general.alignment"), true);
    const ModelFolder expected = load_model_folder(scratch / "a.gguf");
    const ModelFolder got = load_model_folder(scratch / "b.gguf");
    for (const auto& [name, tensor] : expected.weights.all()) {
      const Tensor& other = got.weights.all().at(name);
      EXPECT_TRUE(std::ranges::equal(stored(tensor).bytes, stored(other).bytes)) << name;
    }
  }
}

TEST(GgufFile, MatricesStayInTheirType) {
  const TemporaryFolder scratch;
  const ModelFolder published = load_model_folder(kFixtures / "mamba");
  for (const DType type : {DType::kFloat16, DType::kBFloat16}) {
    save_gguf_model(scratch / "a.gguf", published, {}, type);
    const ModelFolder read = load_model_folder(scratch / "a.gguf");
    EXPECT_EQ(read.weights.all().at("layers.0.mixer.in_proj.weight").dtype(), type);
    EXPECT_EQ(read.weights.all().at("encoder.weight").dtype(), type);
    EXPECT_EQ(read.weights.all().at("layers.0.mixer.A_log").dtype(), DType::kFloat32);
    EXPECT_EQ(read.weights.all().at("layers.0.mixer.conv1d.weight").dtype(), DType::kFloat32);
    save_gguf_model(scratch / "b.gguf", read);
    EXPECT_TRUE(std::ranges::equal(io::read_file(scratch / "a.gguf", 1 << 20),
                                   io::read_file(scratch / "b.gguf", 1 << 20)));
    EXPECT_NE(Model::load(scratch / "a.gguf")->fingerprint(),
              Model::load(kFixtures / "mamba")->fingerprint());
  }
}

TEST(GgufFile, ItsTypeIsThatOfMostNumbers) {
  const TemporaryFolder scratch;
  const ModelFolder published = load_model_folder(kFixtures / "mamba");
  constexpr uint32_t kMostlyFloat16 = 1, kMostlyBFloat16 = 32;
  for (const auto& [large, small, expected] :
       {std::tuple(DType::kBFloat16, DType::kFloat16, kMostlyBFloat16),
        std::tuple(DType::kFloat16, DType::kBFloat16, kMostlyFloat16)}) {
    ModelFolder mixed{published.config, {}};
    for (const auto& [name, tensor] : published.weights.all()) {
      const bool is_large = name == "encoder.weight" || name.ends_with("in_proj.weight");
      const bool is_small = name.ends_with("x_proj.weight") || name.ends_with("dt_proj.weight");
      const DType type = is_large ? large : is_small ? small : DType::kFloat32;
      mixed.weights.put(name, in_type(tensor.clone(), type));
    }
    save_gguf_model(scratch / "a.gguf", mixed);
    const io::Gguf file(scratch / "a.gguf");
    EXPECT_EQ(file.metadata().at("general.file_type"), io::GgufValue::uint32(expected));
  }
}

TEST(GgufFile, NamesShapesAndKeysAreThoseOfLlamaCpp) {
  const TemporaryFolder scratch;
  const auto entry = [](const io::Gguf& file, const std::string& name) {
    const auto found = std::ranges::find(file.entries(), name, &io::GgufEntry::name);
    EXPECT_NE(found, file.entries().end()) << name;
    return found == file.entries().end() ? Shape{} : found->shape;
  };
  save_gguf_model(scratch / "1.gguf", load_model_folder(kFixtures / "mamba"));
  const io::Gguf one(scratch / "1.gguf");
  EXPECT_EQ(one.metadata().at("mamba.ssm.inner_size"), io::GgufValue::uint32(24));
  EXPECT_EQ(one.metadata().at("mamba.ssm.time_step_rank"), io::GgufValue::uint32(3));
  EXPECT_EQ(one.metadata().at("mamba.attention.layer_norm_rms_epsilon"),
            io::GgufValue::float32(1e-5F));
  EXPECT_EQ(one.entries().front().name, "token_embd.weight");
  EXPECT_EQ(one.entries().size(), 2 + 2 * 10u);
  EXPECT_EQ(entry(one, "blk.1.ssm_conv1d.weight"), (Shape{24, 4}));
  EXPECT_EQ(entry(one, "blk.1.ssm_a"), (Shape{24, 5}));
  EXPECT_EQ(entry(one, "blk.0.ssm_dt.bias"), (Shape{24}));
  save_gguf_model(scratch / "2.gguf", load_model_folder(kFixtures / "mamba2_one_group"));
  const io::Gguf two(scratch / "2.gguf");
  EXPECT_EQ(two.metadata().at("mamba2.ssm.time_step_rank"), io::GgufValue::uint32(4));
  EXPECT_EQ(two.metadata().at("mamba2.ssm.group_count"), io::GgufValue::uint32(1));
  EXPECT_EQ(entry(two, "blk.0.ssm_a"), (Shape{4, 1}));
  EXPECT_EQ(entry(two, "blk.0.ssm_d"), (Shape{4, 1}));
  EXPECT_EQ(entry(two, "blk.0.ssm_norm.weight"), (Shape{1, 16}));
}

TEST(GgufFile, WhatLlamaCppCannotComputeIsRefusedByItsOption) {
  const TemporaryFolder scratch;
  const std::string message = message_of<ConfigError>(
      [&] { save_gguf_model(scratch / "a.gguf", load_model_folder(kFixtures / "mamba2")); });
  EXPECT_NE(message.find("mamba2."), std::string::npos) << message;
  EXPECT_NE(message.find("the gguf form"), std::string::npos) << message;
}

/// A file of a tiny Mamba with one change.
class Changed {
 public:
  Changed() {
    save_gguf_model(scratch_ / "good.gguf", load_model_folder(kFixtures / "mamba"));
    const io::Gguf file(scratch_ / "good.gguf");
    metadata = file.metadata();
    for (const io::GgufEntry& entry : file.entries()) {
      const auto data = file.data(entry);
      data_.emplace_back(data.begin(), data.end());
      tensors.push_back({entry.name, entry.type, entry.shape, data_.back()});
    }
  }
  io::GgufMetadata metadata;
  std::vector<io::GgufTensor> tensors;

  fs::path path() const {
    io::save_gguf(scratch_ / "changed.gguf", metadata, tensors);
    return scratch_ / "changed.gguf";
  }
  void expect_refused(const std::string& part) const {
    try {
      load_model_folder(path());
      ADD_FAILURE() << "nothing was thrown: " << part;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    }
  }

 private:
  TemporaryFolder scratch_;
  std::vector<std::vector<std::byte>> data_;
};

TEST(GgufFile, LogarithmsThatDoNotBelongToTheNumbersArePassedOver) {
  Changed changed;
  const auto at = std::ranges::find(changed.tensors, "blk.0.ssm_a", &io::GgufTensor::name);
  const std::vector<float> ones(at->data.size() / sizeof(float), -1.0F);
  at->data = std::as_bytes(std::span(ones));
  const auto first = [&] {
    return load_model_folder(changed.path()).weights.get("layers.0.mixer.A_log", {24, 5})[0];
  };
  EXPECT_EQ(first(), 0.0F);
  for (const char* text : {"", "no digits", "3f800000"}) {
    changed.metadata["longwave.exact.blk.0.ssm_a"] = io::GgufValue::text(text);
    EXPECT_EQ(first(), 0.0F) << text;
  }
  changed.metadata["longwave.exact.blk.0.ssm_a"] = io::GgufValue::text(std::string(960, 'g'));
  EXPECT_EQ(first(), 0.0F);
}

TEST(GgufFile, OtherModelsAreRefusedByName) {
  Changed other;
  EXPECT_NO_THROW(load_model_folder(other.path()));
  other.metadata["general.architecture"] = io::GgufValue::text("llama");
  other.expect_refused("llama");
  Changed unknown;
  unknown.metadata["mamba.ssm.twist"] = io::GgufValue::uint32(1);
  unknown.expect_refused("ssm.twist");
  Changed missing;
  missing.metadata.erase("mamba.ssm.state_size");
  missing.expect_refused("ssm.state_size");
  Changed without;
  without.metadata.erase("general.architecture");
  without.expect_refused("general.architecture");
  Changed deep;
  deep.metadata["mamba.block_count"] = io::GgufValue::uint32(4000000000);
  deep.expect_refused("layers");
  Changed more;
  more.metadata["mamba.block_count"] = io::GgufValue::uint32(3);
  more.expect_refused("blk.2.");
  Changed extra;
  extra.tensors.push_back(extra.tensors.back());
  extra.tensors.back().name = "blk.0.surprise";
  extra.expect_refused("blk.0.surprise");
  Changed integer;
  integer.tensors.back().type = io::gguf_type("I32");
  integer.expect_refused("I32");
}

TEST(GgufFile, NumbersThatAreNoneAreRefused) {
  Changed changed;
  const auto at = std::ranges::find(changed.tensors, "blk.0.ssm_a", &io::GgufTensor::name);
  std::vector<float> numbers(at->data.size() / sizeof(float), -1.0F);
  numbers[7] = 0.5F;
  at->data = std::as_bytes(std::span(numbers));
  changed.expect_refused("blk.0.ssm_a");
  numbers[7] = std::numeric_limits<float>::quiet_NaN();
  changed.expect_refused("blk.0.ssm_a");
}

}  // namespace
}  // namespace longwave::runtime
