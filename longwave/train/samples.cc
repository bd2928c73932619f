// SPDX-License-Identifier: Apache-2.0
#include "longwave/train/samples.h"

#include <fmt/core.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/io/atomic_file.h"
#include "longwave/runtime/generate.h"
#include "longwave/runtime/session.h"

namespace longwave::train {
namespace {

/// The texts between bars; empty ones are left out.
std::vector<std::string> prompts_of(std::string_view text) {
  std::vector<std::string> prompts;
  while (!text.empty()) {
    const size_t bar = text.find('|');
    if (bar != 0) prompts.emplace_back(text.substr(0, bar));
    if (bar == std::string_view::npos) break;
    text.remove_prefix(bar + 1);
  }
  return prompts;
}

std::string answer(const std::shared_ptr<const runtime::Model>& model, const Trainer& trainer,
                   const std::string& prompt) {
  const text::Tokenizer& tokenizer = *trainer.info().tokenizer;
  const runtime::GenerateOptions options{
      .sampler = {.seed = static_cast<uint64_t>(trainer.recipe().integer("seed"))},
      .max_tokens = trainer.recipe().integer("train.sample_tokens")};
  runtime::Session session(model);
  std::string text;
  try {
    runtime::generate(session, &tokenizer, tokenizer.encode(prompt), options,
                      [&text](int64_t, std::string_view part) {
                        text += part;
                        return true;
                      });
  } catch (const Error& error) {
    text += fmt::format(" [{}]", error.report().what);
  }
  return text;
}

}  // namespace

void write_samples(const std::filesystem::path& run_folder, const Trainer& trainer) {
  if (trainer.info().tokenizer == nullptr) return;
  if (trainer.recipe().integer("train.sample_tokens") == 0) return;
  const auto model =
      std::make_shared<const runtime::Model>(trainer.model().config(), trainer.model().weights());
  if (!model->network().causal()) return;
  std::string page;
  for (const std::string& prompt : prompts_of(trainer.recipe().text("train.prompts"))) {
    page += fmt::format("[{}]{}\n\n", prompt, answer(model, trainer, prompt));
  }
  const std::filesystem::path folder = run_folder / "samples";
  std::filesystem::create_directories(folder);
  io::write_file_atomically(folder / fmt::format("step_{:08}.txt", trainer.counters().step), page);
}

}  // namespace longwave::train
