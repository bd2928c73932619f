// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "longwave/base/options.h"
#include "longwave/data/dataset.h"

namespace longwave::data {

/// Which steps of a sequence of tokens are asked for the token that follows.
enum class Asked : uint8_t { kAnswer, kEvery };

/// The option "asked" of a generator whose sequences end in a question.
Option asked_option();

/// What a split asks for: held-out splits ask for the answer only.
Asked asked_of(const Options& options, Split split);

/// Tokens in, the next token out at each step.
TaskInfo next_token_info(int64_t vocabulary, int64_t length);

/// The example of `tokens` that `answer` follows.
Example next_token_example(std::vector<int64_t> tokens, int64_t answer, Asked asked);

}  // namespace longwave::data
