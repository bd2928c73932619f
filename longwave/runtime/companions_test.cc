// SPDX-License-Identifier: Apache-2.0
#include "longwave/runtime/companions.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "longwave/base/error.h"
#include "longwave/io/atomic_file.h"
#include "longwave/io/testing/temporary_folder.h"
#include "longwave/runtime/gguf_file.h"
#include "longwave/runtime/model_folder.h"
#include "longwave/runtime/published_folder.h"
#include "longwave/text/chat_template.h"

namespace longwave::runtime {
namespace {

using longwave::testing::TemporaryFolder;
using models::PublishedFormat;
using text::StoredFile;

const std::filesystem::path kTalks = LONGWAVE_SOURCE_DIR "/tests/fixtures/chat_mamba";
const std::vector<text::Message> kMessages = {
    {"system", "Be brief."}, {"user", "Hello"}, {"assistant", "Hi"}, {"user", "caf\xc3\xa9"}};

std::string content_of(const Companions& companions, std::string_view name) {
  for (const StoredFile& file : files_of(companions)) {
    if (file.name == name) return file.content;
  }
  return {};
}

/// The model that talks, with more settings beside it than its tokenizer has.
std::filesystem::path talking_model(const TemporaryFolder& scratch) {
  const std::filesystem::path folder = scratch / "talks";
  std::filesystem::copy(kTalks, folder);
  io::write_file_atomically(folder / "generation_config.json",
                            std::string("{\"temperature\": 0.7, \"top_p\": 0.9}\n"));
  io::write_file_atomically(folder / "special_tokens_map.json", std::string("{\"a\": 1}\n"));
  return folder;
}

std::string rendered(const std::filesystem::path& path) {
  const auto found = load_chat_template(path);
  return found ? found->render(kMessages) : "none";
}

TEST(Companions, GoAlongThroughEveryForm) {
  const TemporaryFolder scratch;
  const std::filesystem::path first = talking_model(scratch);
  const std::string expected = rendered(first);
  ASSERT_NE(expected.find("Be brief."), std::string::npos);
  const std::vector<int64_t> tokens = load_tokenizer(first)->encode_whole("Hello, you");
  const ModelFolder model = load_model_folder(first);
  const auto check = [&](const std::filesystem::path& path) {
    EXPECT_EQ(rendered(path), expected) << path;
    EXPECT_EQ(load_tokenizer(path)->encode_whole("Hello, you"), tokens) << path;
    const Companions found = load_companions(path);
    const auto settings = nlohmann::json::parse(content_of(found, "generation_config.json"));
    EXPECT_EQ(settings["temperature"], 0.7) << path;
    EXPECT_EQ(content_of(found, "special_tokens_map.json"), "{\"a\": 1}\n") << path;
    return found;
  };
  save_published_folder(scratch / "hf", PublishedFormat::kHuggingFace, model, check(first));
  EXPECT_EQ(content_of(check(scratch / "hf"), "tokenizer_config.json"),
            content_of(check(first), "tokenizer_config.json"));
  save_gguf_model(scratch / "a.gguf", model, check(scratch / "hf"));
  save_published_folder(scratch / "back", PublishedFormat::kHuggingFace, model,
                        check(scratch / "a.gguf"));
  save_gguf_model(scratch / "b.gguf", model, check(scratch / "back"));
  check(scratch / "b.gguf");
}

TEST(Companions, ATemplateOfItsOwnFileStaysThatAndWins) {
  const TemporaryFolder scratch;
  const std::filesystem::path folder = talking_model(scratch);
  io::write_file_atomically(folder / "chat_template.jinja", std::string("{{ bos_token }}own"));
  const ModelFolder model = load_model_folder(folder);
  save_published_folder(scratch / "hf", PublishedFormat::kHuggingFace, model,
                        load_companions(folder));
  EXPECT_EQ(rendered(scratch / "hf"), rendered(folder));
  EXPECT_TRUE(std::filesystem::exists((scratch / "hf") / "chat_template.jinja"));
  save_gguf_model(scratch / "a.gguf", model, load_companions(folder));
  EXPECT_EQ(*load_companions(scratch / "a.gguf").chat_template, "{{ bos_token }}own");
  save_published_folder(scratch / "back", PublishedFormat::kHuggingFace, model,
                        load_companions(scratch / "a.gguf"));
  EXPECT_EQ(*load_companions(scratch / "back").chat_template, "{{ bos_token }}own");
}

TEST(Companions, TemplatesThatAreRefusedHereGoAlong) {
  const TemporaryFolder scratch;
  const std::filesystem::path folder = talking_model(scratch);
  const std::string source = "{% generation %}";
  io::write_file_atomically(folder / "chat_template.jinja", source);
  EXPECT_THROW(load_chat_template(folder), DataError);
  const ModelFolder model = load_model_folder(folder);
  save_gguf_model(scratch / "a.gguf", model, load_companions(folder));
  EXPECT_EQ(load_companions(scratch / "a.gguf").chat_template, source);
}

TEST(Companions, OnlyKnownNamesLeaveAGgufFile) {
  const TemporaryFolder scratch;
  Companions companions;
  companions.files = {{"../escaped.json", "{}"}, {"generation_config.json", "{\"top_k\": 3}\n"}};
  const ModelFolder model = load_model_folder(kTalks);
  save_gguf_model(scratch / "a.gguf", model, companions);
  const Companions found = load_companions(scratch / "a.gguf");
  ASSERT_EQ(found.files.size(), 1u);
  EXPECT_EQ(found.files.front(), companions.files.back());
  EXPECT_EQ(found.tokenizer, nullptr);
}

TEST(Companions, DamagedSettingsAreReplacedByWhatTheTokenizerSays) {
  Companions companions = load_companions(kTalks);
  const std::string end = "<|im_end|>";
  for (StoredFile& file : companions.files) file.content = "no JSON \xff";
  const auto config = nlohmann::json::parse(content_of(companions, "tokenizer_config.json"));
  EXPECT_EQ(config["eos_token"], end);
  EXPECT_TRUE(config.contains("chat_template"));
}

}  // namespace
}  // namespace longwave::runtime
