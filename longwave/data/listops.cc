// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "longwave/data/builtin.h"
#include "longwave/data/generated.h"

namespace longwave::data {
namespace {

constexpr int64_t kDigits = 10;
enum Token : int64_t { kMin = kDigits, kMax, kMedian, kSumModulo, kClose, kPad, kUnknown, kEnd };
constexpr int64_t kVocabulary = kEnd + 1;

struct Task {
  int64_t shortest, length, depth, arguments;
};

Schema listops_schema() {
  return generated_schema(96000, {{.key = "shortest",
                                   .value = int64_t{500},
                                   .help = "expressions have more tokens than this",
                                   .least = 0,
                                   .most = 1e6},
                                  {.key = "length",
                                   .value = int64_t{2000},
                                   .help = "expressions have fewer tokens than this",
                                   .least = 2,
                                   .most = 1e6},
                                  {.key = "depth",
                                   .value = int64_t{10},
                                   .help = "levels of an expression, at most",
                                   .least = 1,
                                   .most = 64},
                                  {.key = "arguments",
                                   .value = int64_t{10},
                                   .help = "arguments of an operator, at most",
                                   .least = 2,
                                   .most = 1000}});
}

/// What an operator makes of its arguments.
int64_t applied(int64_t token, std::vector<int64_t>& values) {
  std::ranges::sort(values);
  const size_t middle = values.size() / 2;
  int64_t sum = 0;
  switch (token) {
    case kMin:
      return values.front();
    case kMax:
      return values.back();
    case kMedian:
      return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
    default:
      for (int64_t value : values) sum += value;
      return sum % kDigits;
  }
}

/// Grows one expression and computes its value on the way.
class Expression {
 public:
  Expression(const Task& task, Random& random) : task_(task), random_(random) {}

  /// Its value; nothing as soon as it is too long.
  std::optional<int64_t> grow() {
    const int64_t value = node(1);
    if (too_long()) return std::nullopt;
    return value;
  }

  std::vector<int64_t> take() { return std::move(tokens_); }

 private:
  bool too_long() const { return static_cast<int64_t>(tokens_.size()) >= task_.length; }

  int64_t node(int64_t level) {
    constexpr double kOperator = 0.25;
    if (level >= task_.depth || random_.uniform() >= kOperator) {
      tokens_.push_back(random_.integer(kDigits));
      return tokens_.back();
    }
    const int64_t token = kMin + random_.integer(kClose - kMin);
    std::vector<int64_t> values(static_cast<size_t>(2 + random_.integer(task_.arguments - 1)));
    tokens_.push_back(token);
    for (int64_t& value : values) {
      if (too_long()) return 0;
      value = node(level + 1);
    }
    tokens_.push_back(kClose);
    return applied(token, values);
  }

  const Task& task_;
  Random& random_;
  std::vector<int64_t> tokens_;
};

/// Draws until an expression is long enough and not too long.
Example make_example(const Task& task, Random& random) {
  constexpr int64_t kMostTries = 200000;
  for (int64_t i = 0; i < kMostTries; ++i) {
    Expression expression(task, random);
    const std::optional<int64_t> value = expression.grow();
    std::vector<int64_t> tokens = expression.take();
    if (!value || static_cast<int64_t>(tokens.size()) <= task.shortest) continue;
    tokens.push_back(kEnd);
    Example example;
    example.tokens = std::move(tokens);
    example.label = {*value};
    return example;
  }
  require_option(
      false, "listops",
      "expressions of such lengths must not be rarer than one in " + std::to_string(kMostTries),
      "more than " + std::to_string(task.shortest) + " and fewer than " +
          std::to_string(task.length) + " tokens at depth " + std::to_string(task.depth));
  return {};
}

std::unique_ptr<Dataset> open_listops(const Options& options, Split split, uint64_t seed) {
  const Task task = {.shortest = options.integer("shortest"),
                     .length = options.integer("length"),
                     .depth = options.integer("depth"),
                     .arguments = options.integer("arguments")};
  require_option(task.shortest + 1 < task.length, "listops",
                 "shortest must be below length by at least 2", std::to_string(task.shortest));
  TaskInfo info = {.input = TaskInfo::Input::kTokens,
                   .input_size = kVocabulary,
                   .target = TaskInfo::Target::kClass,
                   .target_size = kDigits,
                   .length = task.length};
  auto dataset = std::make_unique<Generated>(
      Generated::Parts{"listops", info,
                       [task](Random& random) { return make_example(task, random); }},
      options, split, seed);
  // Refuses lengths that are out of reach before any training.
  static_cast<void>(dataset->example(0));
  return dataset;
}

}  // namespace

const Source kListops = {"listops", "the value of a nested expression (class a sequence)",
                         listops_schema, open_listops};

}  // namespace longwave::data
