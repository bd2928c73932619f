// SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "longwave/data/builtin.h"
#include "longwave/data/generated.h"
#include "longwave/data/next_token.h"

namespace longwave::data {
namespace {

/// Keys are tokens 0 .. keys - 1, values the next `values`, then the token before the query and
/// one that never occurs.
struct Task {
  int64_t pairs, keys, values;
  int64_t query() const { return keys + values; }
};

Schema recall_schema() {
  return generated_schema(
      10000, {{.key = "pairs",
               .value = int64_t{20},
               .help = "pairs of key and value before the query",
               .least = 1,
               .most = 1e8},
              {.key = "vocabulary",
               .value = int64_t{20},
               .help = "kinds of tokens; two are special, the first half of the others are keys",
               .least = 4,
               .most = 1e6},
              asked_option()});
}

Example make_example(const Task& task, Asked asked, Random& random) {
  std::vector<int64_t> value_of(static_cast<size_t>(task.keys));
  for (int64_t& value : value_of) value = task.keys + random.integer(task.values);
  std::vector<int64_t> tokens;
  tokens.reserve(static_cast<size_t>(2 * task.pairs + 2));
  for (int64_t pair = 0; pair < task.pairs; ++pair) {
    const int64_t key = random.integer(task.keys);
    tokens.push_back(key);
    tokens.push_back(value_of[static_cast<size_t>(key)]);
  }
  // A pair drawn at random, so that frequent keys are asked for more often.
  const int64_t key = tokens[static_cast<size_t>(2 * random.integer(task.pairs))];
  tokens.push_back(task.query());
  tokens.push_back(key);
  return next_token_example(std::move(tokens), value_of[static_cast<size_t>(key)], asked);
}

std::unique_ptr<Dataset> open_recall(const Options& options, Split split, uint64_t seed) {
  const int64_t vocabulary = options.integer("vocabulary");
  const int64_t keys = (vocabulary - 2) / 2;
  const Task task = {
      .pairs = options.integer("pairs"), .keys = keys, .values = vocabulary - 2 - keys};
  const auto make = [task, asked = asked_of(options, split)](Random& random) {
    return make_example(task, asked, random);
  };
  return std::make_unique<Generated>(
      Generated::Parts{"recall", next_token_info(vocabulary, 2 * task.pairs + 2), make}, options,
      split, seed);
}

}  // namespace

const Source kRecall = {"recall",
                        "associative recall: which value went with the key? (class a step)",
                        recall_schema, open_recall};

}  // namespace longwave::data
