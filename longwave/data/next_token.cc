// SPDX-License-Identifier: Apache-2.0
#include "longwave/data/next_token.h"

#include <string>
#include <utility>

namespace longwave::data {

Option asked_option() {
  return {.key = "asked",
          .value = std::string("every"),
          .help =
              "steps that are asked for the next token in training; held-out splits ask for "
              "the answer",
          .choices = {"every", "answer"}};
}

Asked asked_of(const Options& options, Split split) {
  const bool every = split == Split::kTrain && options.text("asked") == "every";
  return every ? Asked::kEvery : Asked::kAnswer;
}

TaskInfo next_token_info(int64_t vocabulary, int64_t length) {
  return {.input = TaskInfo::Input::kTokens,
          .input_size = vocabulary,
          .target = TaskInfo::Target::kClassPerStep,
          .target_size = vocabulary,
          .length = length};
}

Example next_token_example(std::vector<int64_t> tokens, int64_t answer, Asked asked) {
  constexpr int64_t kNotAsked = -1;
  Example example;
  if (asked == Asked::kEvery) {
    example.label.assign(tokens.begin() + 1, tokens.end());
  } else {
    example.label.assign(tokens.size() - 1, kNotAsked);
  }
  example.label.push_back(answer);
  example.tokens = std::move(tokens);
  return example;
}

}  // namespace longwave::data
