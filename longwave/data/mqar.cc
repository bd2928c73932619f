// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "longwave/data/builtin.h"
#include "longwave/data/generated.h"
#include "longwave/data/next_token.h"
#include "longwave/data/permutation.h"

namespace longwave::data {
namespace {

struct Task {
  int64_t length, pairs, vocabulary;
  double power;
  bool random_filler;

  int64_t gaps() const { return (length - 2 * pairs) / 2; }
};

Schema mqar_schema() {
  return generated_schema(
      100000, {{.key = "length",
                .value = int64_t{64},
                .help = "tokens of a sequence, at least four times the pairs",
                .least = 4,
                .most = 1e8},
               {.key = "pairs",
                .value = int64_t{4},
                .help = "pairs of key and value at the start, each asked for once",
                .least = 1,
                .most = 1e7},
               {.key = "vocabulary",
                .value = int64_t{8192},
                .help = "kinds of tokens: 0 is the filler, then keys, the upper half are values",
                .least = 4,
                .most = 1e7},
               {.key = "power",
                .value = 0.01,
                .help = "a gap of g pairs before a query has weight (g + 1)^(power - 1)",
                .least = 0,
                .most = 10},
               {.key = "filler",
                .value = std::string("zero"),
                .help = "what stands between the queries: token 0 or any token",
                .choices = {"zero", "random"}}});
}

/// `count` different numbers below `size`, in random order.
std::vector<int64_t> distinct(int64_t count, int64_t size, Random& random) {
  const Permutation order(size, random.bits(), 0);
  std::vector<int64_t> numbers(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) numbers[static_cast<size_t>(i)] = order(i);
  return numbers;
}

/// `task.pairs` different gaps, drawn one after the other with their weights from those left.
///
/// Source     Efraimidis & Spirakis 2006: the smallest of exponential times with these rates.
std::vector<int64_t> weighted_gaps(const Task& task, Random& random) {
  std::vector<double> times(static_cast<size_t>(task.gaps()));
  for (size_t gap = 0; gap < times.size(); ++gap) {
    const double weight = std::pow(static_cast<double>(gap + 1), task.power - 1);
    times[gap] = -std::log1p(-random.uniform()) / weight;
  }
  std::vector<int64_t> gaps(times.size());
  std::iota(gaps.begin(), gaps.end(), 0);
  const auto earlier = [&times](int64_t a, int64_t b) {
    return times[static_cast<size_t>(a)] < times[static_cast<size_t>(b)];
  };
  std::partial_sort(gaps.begin(), gaps.begin() + task.pairs, gaps.end(), earlier);
  gaps.resize(static_cast<size_t>(task.pairs));
  return gaps;
}

Example make_example(const Task& task, Random& random) {
  constexpr int64_t kNotAsked = -1;
  const int64_t half = task.vocabulary / 2;
  const std::vector<int64_t> keys = distinct(task.pairs, half - 1, random);
  const std::vector<int64_t> values = distinct(task.pairs, task.vocabulary - half, random);
  const std::vector<int64_t> gaps = weighted_gaps(task, random);
  Example example;
  example.tokens.assign(static_cast<size_t>(task.length), 0);
  if (task.random_filler) {
    for (int64_t& token : example.tokens) token = random.integer(task.vocabulary);
  }
  example.label.assign(example.tokens.size(), kNotAsked);
  for (size_t pair = 0; pair < keys.size(); ++pair) {
    const int64_t key = 1 + keys[pair], value = half + values[pair];
    const auto query = static_cast<size_t>(2 * (task.pairs + gaps[pair]));
    example.tokens[2 * pair] = key;
    example.tokens[2 * pair + 1] = value;
    example.tokens[query] = key;
    example.label[query] = value;
  }
  return example;
}

std::unique_ptr<Dataset> open_mqar(const Options& options, Split split, uint64_t seed) {
  const Task task = {.length = options.integer("length"),
                     .pairs = options.integer("pairs"),
                     .vocabulary = options.integer("vocabulary"),
                     .power = options.real("power"),
                     .random_filler = options.text("filler") == "random"};
  require_option(4 * task.pairs <= task.length, "mqar", "length must be at least 4 pairs",
                 std::to_string(task.length) + " for " + std::to_string(task.pairs) + " pairs");
  require_option(task.pairs < task.vocabulary / 2, "mqar",
                 "vocabulary must be more than twice the pairs, so that keys differ",
                 std::to_string(task.vocabulary));
  const auto make = [task](Random& random) { return make_example(task, random); };
  return std::make_unique<Generated>(
      Generated::Parts{"mqar", next_token_info(task.vocabulary, task.length), make}, options, split,
      seed);
}

}  // namespace

const Source kMqar = {"mqar", "multi-query associative recall (class a step)", mqar_schema,
                      open_mqar};

}  // namespace longwave::data
