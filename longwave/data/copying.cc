// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "longwave/data/builtin.h"
#include "longwave/data/generated.h"
#include "longwave/data/permutation.h"

namespace longwave::data {
namespace {

/// `symbols` tokens among `lag` blanks, then `symbols` markers under which the tokens are asked
/// for.
struct Task {
  int64_t lag, symbols, alphabet;
  bool reverse;  ///< asked for last token first

  TaskInfo info() const {
    return {.input = TaskInfo::Input::kTokens,
            .input_size = alphabet,
            .target = TaskInfo::Target::kClassPerStep,
            .target_size = alphabet,
            .length = lag + 2 * symbols};
  }
};

Task task_of(const Options& options) {
  return {.lag = options.integer("lag"),
          .symbols = options.integer("symbols"),
          .alphabet = options.integer("alphabet"),
          .reverse = options.text("order") == "reverse"};
}

Schema copying_options(int64_t lag, int64_t symbols, int64_t alphabet) {
  constexpr double kMost = 1e8;
  return generated_schema(
      10000,
      {{.key = "lag", .value = lag, .help = "blanks in a sequence", .least = 0, .most = kMost},
       {.key = "symbols",
        .value = symbols,
        .help = "tokens to remember",
        .least = 1,
        .most = kMost},
       {.key = "alphabet",
        .value = alphabet,
        .help = "kinds of tokens, of which 0 is the blank and the last one the marker",
        .least = 3,
        .most = 1e6},
       {.key = "order",
        .value = std::string("forward"),
        .help = "order in which the tokens are asked for",
        .choices = {"forward", "reverse"}}});
}

/// The example whose tokens stand at `places` of the first lag + symbols steps.
Example make_example(const Task& task, const std::vector<int64_t>& places, Random& random) {
  constexpr int64_t kBlank = 0, kNotAsked = -1;
  const auto begin_of_answer = static_cast<size_t>(task.lag + task.symbols);
  Example example;
  example.tokens.assign(begin_of_answer, kBlank);
  example.tokens.resize(begin_of_answer + places.size(), task.alphabet - 1);
  example.label.assign(example.tokens.size(), kNotAsked);
  for (size_t i = 0; i < places.size(); ++i) {
    const int64_t token = 1 + random.integer(task.alphabet - 2);
    example.tokens[places[i]] = token;
    example.label[begin_of_answer + (task.reverse ? places.size() - 1 - i : i)] = token;
  }
  return example;
}

Schema copying_schema() { return copying_options(100, 10, 10); }

std::unique_ptr<Dataset> open_copying(const Options& options, Split split, uint64_t seed) {
  const Task task = task_of(options);
  const auto make = [task](Random& random) {
    std::vector<int64_t> places(static_cast<size_t>(task.symbols));
    for (size_t i = 0; i < places.size(); ++i) places[i] = static_cast<int64_t>(i);
    return make_example(task, places, random);
  };
  return std::make_unique<Generated>(Generated::Parts{"copying", task.info(), make}, options, split,
                                     seed);
}

Schema selective_copying_schema() { return copying_options(4080, 16, 16); }

std::unique_ptr<Dataset> open_selective_copying(const Options& options, Split split,
                                                uint64_t seed) {
  const Task task = task_of(options);
  const auto make = [task](Random& random) {
    const uint64_t key = random.bits();
    const Permutation order(task.lag + task.symbols, key, 0);
    std::vector<int64_t> places(static_cast<size_t>(task.symbols));
    for (size_t i = 0; i < places.size(); ++i) places[i] = order(static_cast<int64_t>(i));
    std::ranges::sort(places);
    return make_example(task, places, random);
  };
  return std::make_unique<Generated>(Generated::Parts{"selective_copying", task.info(), make},
                                     options, split, seed);
}

}  // namespace

const Source kCopying = {"copying", "tokens to be repeated after a pause (class a step)",
                         copying_schema, open_copying};

const Source kSelectiveCopying = {"selective_copying",
                                  "tokens at random places among blanks, to be repeated at the end "
                                  "(class a step)",
                                  selective_copying_schema, open_selective_copying};

}  // namespace longwave::data
