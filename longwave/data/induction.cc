// SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <string>
#include <utility>

#include "longwave/data/builtin.h"
#include "longwave/data/generated.h"
#include "longwave/data/next_token.h"

namespace longwave::data {
namespace {

/// Random tokens in which a prefix token is followed by the answer once; at the end the prefix
/// token comes again.
struct Task {
  int64_t length, ordinary;
  int64_t prefix() const { return ordinary; }
};

Schema induction_schema() {
  return generated_schema(10000, {{.key = "length",
                                   .value = int64_t{256},
                                   .help = "tokens of a sequence, the last prefix token included",
                                   .least = 4,
                                   .most = 1e9},
                                  {.key = "held_out_length",
                                   .value = int64_t{0},
                                   .help = "tokens of a held-out sequence; 0: as many as length",
                                   .least = 0,
                                   .most = 1e9},
                                  {.key = "vocabulary",
                                   .value = int64_t{16},
                                   .help = "kinds of tokens; the last two are the prefix token and "
                                           "one that never occurs",
                                   .least = 3,
                                   .most = 1e6},
                                  asked_option()});
}

Example make_example(const Task& task, Asked asked, Random& random) {
  std::vector<int64_t> tokens(static_cast<size_t>(task.length));
  for (int64_t& token : tokens) token = random.integer(task.ordinary);
  const auto place = static_cast<size_t>(random.integer(task.length - 3));
  tokens[place] = task.prefix();
  tokens.back() = task.prefix();
  const int64_t answer = tokens[place + 1];
  return next_token_example(std::move(tokens), answer, asked);
}

std::unique_ptr<Dataset> open_induction(const Options& options, Split split, uint64_t seed) {
  const int64_t held_out = split == Split::kTrain ? 0 : options.integer("held_out_length");
  require_option(held_out == 0 || held_out >= 4, "induction",
                 "held_out_length must be 0, or hold a question: at least 4",
                 std::to_string(held_out));
  const Task task = {.length = held_out > 0 ? held_out : options.integer("length"),
                     .ordinary = options.integer("vocabulary") - 2};
  const auto make = [task, asked = asked_of(options, split)](Random& random) {
    return make_example(task, asked, random);
  };
  return std::make_unique<Generated>(
      Generated::Parts{"induction", next_token_info(options.integer("vocabulary"), task.length),
                       make},
      options, split, seed);
}

}  // namespace

const Source kInduction = {"induction",
                           "induction heads: what followed the prefix token? (class a step)",
                           induction_schema, open_induction};

}  // namespace longwave::data
