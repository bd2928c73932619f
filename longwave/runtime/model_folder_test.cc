// SPDX-License-Identifier: Apache-2.0
#include "longwave/runtime/model_folder.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "longwave/base/error.h"
#include "longwave/io/safetensors.h"
#include "longwave/io/testing/temporary_folder.h"
#include "longwave/models/testing/model_case.h"
#include "longwave/runtime/session.h"
#include "longwave/text/sentencepiece_file.h"

namespace longwave::runtime {
namespace {

using longwave::testing::message_of;
using longwave::testing::TemporaryFolder;
using models::testing::all_cases;
using models::testing::ModelCase;

const ModelCase kCase{"model", {"model.dropout=0.25", "model.prenorm=false"}, {}};

void write(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

std::string read(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(ModelFolder, RoundTripKeepsEveryBit) {
  const TemporaryFolder folder;
  for (const ModelCase& test_case : all_cases()) {
    const models::Config config = test_case.config();
    const Weights weights = test_case.weights(4);
    save_model_folder(folder / "model", config, weights);
    const ModelFolder loaded = load_model_folder(folder / "model");
    EXPECT_EQ(format_model_config(loaded.config), format_model_config(config));
    for (const Parameter& parameter : models::parameters(config)) {
      EXPECT_TRUE(std::ranges::equal(weights.get(parameter.name, parameter.shape),
                                     loaded.weights.get(parameter.name, parameter.shape)))
          << parameter.name;
    }
    EXPECT_EQ(Model::load(folder / "model")->fingerprint(), Model(config, weights).fingerprint());
  }
}

/// A SentencePiece model is kept as it is, with what was said beside it about its tokens.
TEST(ModelFolder, TokenizersTravelWithTheirSettings) {
  const TemporaryFolder folder;
  text::SentencePieceFile pieces;
  pieces.pieces = {{"<unk>", 0, text::PieceModel::Type::kUnknown},
                   {"<s>", 0, text::PieceModel::Type::kControl},
                   {text::kBlankMark, -1, text::PieceModel::Type::kNormal},
                   {"a", -1, text::PieceModel::Type::kNormal}};
  const std::string model = text::format_sentencepiece(pieces);
  const auto saved = [&](const char* name) {
    save_model_folder(folder / name, kCase.config(), kCase.weights(4));
    return folder / name;
  };
  const std::filesystem::path theirs = saved("theirs"), ours = saved("ours");
  EXPECT_EQ(load_tokenizer(theirs), nullptr);
  write(theirs / "tokenizer.model", model);
  write(theirs / "tokenizer_config.json", R"({"add_bos_token": false, "bos_token": "<s>"})");
  write(theirs / "generation_config.json", R"({"eos_token_id": 3})");
  const auto tokenizer = load_tokenizer(theirs);
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_EQ(tokenizer->encode_prompt("a"), (std::vector<int64_t>{2, 3})) << "no <s>";
  EXPECT_TRUE(tokenizer->is_end(3));
  write_tokenizer(ours, *tokenizer);
  EXPECT_EQ(read(ours / "tokenizer.model"), model);
  const auto again = load_tokenizer(ours);
  EXPECT_EQ(again->files(), tokenizer->files());
  EXPECT_EQ(again->encode_prompt("a"), tokenizer->encode_prompt("a"));
  EXPECT_TRUE(again->is_end(3));
}

TEST(ModelFolder, ConfigNamesEveryOption) {
  const models::Config config = kCase.config();
  const std::string text = format_model_config(config);
  for (const Option& option : config.options.schema()) {
    const std::string name = option.key.substr(option.key.find('.') + 1);
    EXPECT_NE(text.find("\"" + name + "\""), std::string::npos) << option.key;
  }
}

TEST(ModelFolder, StrangeConfigsAreRefused) {
  const std::string good = format_model_config(kCase.config());
  EXPECT_NO_THROW(parse_model_config(good, "config.json"));
  const auto refused = [](const std::string& text) {
    return message_of<ConfigError>([&] { parse_model_config(text, "config.json"); });
  };
  EXPECT_NE(refused(replaced(good, "\"d_model\"", "\"d_modle\"")).find("d_model"),
            std::string::npos);
  EXPECT_NE(refused(replaced(good, "\"prenorm\"", "\"prenrom\"")).find("prenorm"),
            std::string::npos);
  refused(replaced(good, "longwave-model", "other-model"));
  refused(replaced(good, "\"version\": 1", "\"version\": 2"));
  refused(replaced(good, "\"d_model\": 6", "\"d_model\": 0"));
  refused(replaced(good, "\"d_model\": 6", "\"d_model\": \"six\""));
  refused(replaced(good, "\"input_size\": 1", "\"input_size\": -1"));
  refused(replaced(good, "s4d*2", "s9*2"));
  refused(replaced(good, "\"s4d*2\"", "[1]"));
  refused("{}");
  refused("[]");
  refused("");
  for (size_t size = 0; size + 2 < good.size(); size += 7) refused(good.substr(0, size));
}

TEST(ModelFolder, TensorsMustBeThoseOfTheConfig) {
  const TemporaryFolder folder;
  const auto save = [&](const Weights& weights) {
    save_model_folder(folder / "model", kCase.config(), kCase.weights(1));
    io::save_safetensors(folder / "model" / "model.safetensors", weights);
  };
  const auto copy = [](const Weights& weights, const std::string& without) {
    Weights result;
    for (const auto& [name, tensor] : weights.all()) {
      if (name != without) result.put(name, tensor.clone());
    }
    return result;
  };
  const auto refused = [&] {
    return message_of<DataError>([&] { load_model_folder(folder / "model"); });
  };
  save(copy(kCase.weights(1), "decoder.weight"));
  EXPECT_NE(refused().find("decoder.weight"), std::string::npos);
  Weights more = kCase.weights(1);
  more.put("surprise", Tensor(DType::kFloat32, {1}));
  save(more);
  EXPECT_NE(refused().find("surprise"), std::string::npos);
  Weights misshapen = kCase.weights(1);
  misshapen.put("decoder.weight", Tensor(DType::kFloat32, {1}));
  save(misshapen);
  EXPECT_NE(refused().find("decoder.weight"), std::string::npos);
  Weights broken = kCase.weights(1);
  Tensor bias(DType::kFloat32, {1});
  bias.elements<float>()[0] = std::numeric_limits<float>::quiet_NaN();
  broken.put("decoder.bias", std::move(bias));
  save(broken);
  EXPECT_NE(refused().find("decoder.bias"), std::string::npos);
}

TEST(ModelFolder, TruncatedFilesAreRefused) {
  const TemporaryFolder folder;
  save_model_folder(folder / "model", kCase.config(), kCase.weights(1));
  const std::filesystem::path path = folder / "model" / "model.safetensors";
  const std::string good = read(path);
  for (size_t size = 0; size < good.size(); size += 1 + good.size() / 50) {
    write(path, good.substr(0, size));
    EXPECT_THROW(load_model_folder(folder / "model"), Error) << size;
  }
  std::filesystem::remove(path);
  EXPECT_THROW(load_model_folder(folder / "model"), IoError);
  EXPECT_THROW(load_model_folder(folder / "nothing"), IoError);
}

TEST(ModelFolder, AFailedSaveLeavesTheOldOne) {
  const TemporaryFolder folder;
  save_model_folder(folder / "model", kCase.config(), kCase.weights(1));
  EXPECT_THROW(save_model_folder(folder / "model", kCase.config(), Weights()), DataError);
  EXPECT_NO_THROW(load_model_folder(folder / "model"));
}

}  // namespace
}  // namespace longwave::runtime
