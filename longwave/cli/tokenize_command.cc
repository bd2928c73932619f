// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>

#include <chrono>
#include <filesystem>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "longwave/base/joined.h"
#include "longwave/cli/commands.h"
#include "longwave/cli/token_list.h"
#include "longwave/inspect/number_text.h"
#include "longwave/io/atomic_file.h"
#include "longwave/io/file.h"
#include "longwave/runtime/gguf_file.h"
#include "longwave/runtime/model_folder.h"
#include "longwave/text/bpe_train.h"
#include "longwave/text/tokenizer.h"
#include "longwave/text/utf8.h"

namespace longwave::cli {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kTextLimit = uint64_t{4} << 30;

std::vector<std::string> texts_of(Call& call) {
  std::vector<std::string> texts;
  for (size_t i = 1; i < call.words.size(); ++i) {
    texts.push_back(io::read_text(call.words[i], kTextLimit));
  }
  if (texts.empty()) {
    texts.emplace_back(std::istreambuf_iterator<char>(call.console.in),
                       std::istreambuf_iterator<char>());
  }
  return texts;
}

/// "bytes", a tokenizer's file or folder, or a model or run that has one.
std::shared_ptr<const text::Tokenizer> tokenizer_of(const std::string& name) {
  const auto shared = [](text::Tokenizer tokenizer) {
    return std::make_shared<const text::Tokenizer>(std::move(tokenizer));
  };
  if (name == "bytes") return shared(text::Tokenizer::bytes());
  std::error_code ignored;
  const fs::path path = name;
  const bool is_model = runtime::is_gguf_file(path) ||
                        fs::exists(path / "model.safetensors", ignored) ||
                        fs::exists(path / "checkpoints", ignored);
  if (!is_model) return shared(text::Tokenizer::load(path));
  if (auto tokenizer = runtime::load_tokenizer(path)) return tokenizer;
  throw DataError({.where = name, .what = "the model has no tokenizer", .got = {}, .fix = {}});
}

ExitCode train(Call& call) {
  const std::string& out = call.options.text("out");
  if (out.empty()) {
    throw UsageError({.where = "longwave tokenize train",
                      .what = "where is the tokenizer to be written?",
                      .got = {},
                      .fix = "--out tokenizer.json"});
  }
  const std::vector<std::string> texts = texts_of(call);
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  text::BpeTraining options{.vocabulary = call.options.integer("vocab")};
  const std::string& special = call.options.text("special");
  if (!special.empty()) options.special.push_back(special);
  const auto start = std::chrono::steady_clock::now();
  const text::Tokenizer tokenizer = text::train_bpe(views, options);
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  size_t bytes = 0, tokens = 0;
  for (const std::string& text : texts) {
    bytes += text.size();
    tokens += tokenizer.encode(text).size();
  }
  io::write_file_atomically(out, tokenizer.files().front().content);
  const double each = static_cast<double>(bytes) / static_cast<double>(std::max<size_t>(tokens, 1));
  if (call.json()) {
    const nlohmann::ordered_json report{{"file", out},
                                        {"tokens", tokenizer.size()},
                                        {"bytes_per_token", each},
                                        {"seconds", seconds}};
    call.console.out << report.dump() << '\n';
  } else {
    call.console.out << fmt::format("{}: {} tokens, {:.2f} bytes a token, learnt in {:.1f} s\n",
                                    out, inspect::thousands(tokenizer.size()), each, seconds);
  }
  return ExitCode::kOk;
}

ExitCode encode(Call& call) {
  const auto tokenizer = tokenizer_of(call.options.text("tokenizer"));
  for (const std::string& text : texts_of(call)) {
    const std::vector<int64_t> ids = tokenizer->encode(text);
    if (call.json()) {
      call.console.out << nlohmann::json{{"ids", ids}}.dump() << '\n';
    } else {
      call.console.out << joined(ids, " ") << '\n';
    }
  }
  return ExitCode::kOk;
}

ExitCode decode(Call& call) {
  const auto tokenizer = tokenizer_of(call.options.text("tokenizer"));
  for (const std::string& text : texts_of(call)) {
    const std::vector<int64_t> ids = token_list(text, "tokens");
    for (const int64_t id : ids) {
      if (id < tokenizer->size()) continue;
      throw DataError({.where = "tokens",
                       .what = "the token is not in the vocabulary",
                       .got = fmt::format("{} of {}", id, tokenizer->size()),
                       .fix = {}});
    }
    const std::string decoded = tokenizer->decode(ids);
    if (call.json()) {
      call.console.out << nlohmann::json{{"text", text::showable(decoded)}}.dump() << '\n';
    } else {
      call.console.out << decoded;
    }
  }
  return ExitCode::kOk;
}

ExitCode run_tokenize(Call& call) {
  const std::string& action = call.words.front();
  if (action == "train") return train(call);
  if (action == "encode") return encode(call);
  if (action == "decode") return decode(call);
  throw UsageError({.where = "longwave tokenize",
                    .what = "there are three actions: train, encode, decode",
                    .got = action,
                    .fix = {}});
}

}  // namespace

Command tokenize_command() {
  return {
      .name = "tokenize",
      .summary = "Learn a tokenizer from text, turn text into tokens and back",
      .description =
          "train learns a byte-level byte-pair encoding and writes it as a tokenizer.json, which "
          "Hugging Face's tokenizers read, too. encode prints the numbers of tokens, decode the "
          "text. Without a FILE they read stdin.",
      .examples = {{"longwave tokenize train book.txt --vocab 4096 --out tokenizer.json",
                    "learn 4096 tokens"},
                   {"echo 'It is a truth' | longwave tokenize encode --tokenizer tokenizer.json",
                    "text to tokens"},
                   {"echo 104 105 | longwave tokenize decode", "tokens to text, here bytes"}},
      .positionals = {{.name = "ACTION", .help = "train, encode or decode"},
                      {.name = "FILE",
                       .help = "text, or numbers of tokens for decode",
                       .count = Positional::Count::kMany}},
      .flags = {{.option = {.key = "tokenizer",
                            .value = std::string("bytes"),
                            .help =
                                "bytes, a tokenizer.json or tokenizer.model, a folder with one or "
                                "with vocab.json and merges.txt, or a model"},
                 .takes = "PATH"},
                {.option = {.key = "vocab",
                            .value = int64_t{4096},
                            .help = "tokens to learn, the 256 bytes included",
                            .least = 256,
                            .most = 1 << 20},
                 .takes = "COUNT"},
                {.option = {.key = "special",
                            .value = std::string(),
                            .help = "a special token to add, such as <|endoftext|>"},
                 .takes = "TEXT"},
                {.option = {.key = "out",
                            .value = std::string(),
                            .help = "file for the tokenizer that train learns"},
                 .takes = "FILE"}},
      .run = run_tokenize,
  };
}

}  // namespace longwave::cli
