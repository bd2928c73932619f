// SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <string>
#include <vector>

#include "longwave/data/builtin.h"
#include "longwave/data/generated.h"

namespace longwave::data {
namespace {

constexpr int64_t kEndToken = 2;

Schema parity_schema() {
  return generated_schema(
      10000, {{.key = "task",
               .value = std::string("parity"),
               .help = "what is asked: parity or majority of all bits at the end, or parity so far",
               .choices = {"parity", "majority", "cumulative"}},
              {.key = "length",
               .value = int64_t{40},
               .help = "bits of the longest sequence",
               .least = 1,
               .most = 1e8},
              {.key = "shortest",
               .value = int64_t{40},
               .help = "bits of the shortest sequence; lengths are uniform in between",
               .least = 1,
               .most = 1e8}});
}

std::vector<int64_t> random_bits(int64_t shortest, int64_t longest, Random& random) {
  std::vector<int64_t> bits(static_cast<size_t>(shortest + random.integer(longest - shortest + 1)));
  for (int64_t& bit : bits) bit = random.integer(2);
  return bits;
}

int64_t ones_in(const std::vector<int64_t>& bits) {
  int64_t ones = 0;
  for (int64_t bit : bits) ones += bit;
  return ones;
}

std::unique_ptr<Dataset> open_parity(const Options& options, Split split, uint64_t seed) {
  const int64_t longest = options.integer("length");
  const int64_t shortest = options.integer("shortest");
  require_option(shortest <= longest, "parity", "shortest must be at most length",
                 std::to_string(shortest));
  const std::string& task = options.text("task");
  TaskInfo info = {.input = TaskInfo::Input::kTokens,
                   .input_size = 3,
                   .target = TaskInfo::Target::kClass,
                   .target_size = 2,
                   .length = longest + 1};
  std::function<Example(Random&)> make;
  if (task == "cumulative") {
    info.input_size = 2;
    info.length = longest;
    info.target = TaskInfo::Target::kClassPerStep;
    make = [shortest, longest](Random& random) {
      Example example;
      example.tokens = random_bits(shortest, longest, random);
      int64_t parity = 0;
      for (int64_t bit : example.tokens) example.label.push_back(parity ^= bit);
      return example;
    };
  } else {
    make = [shortest, longest, majority = task == "majority"](Random& random) {
      Example example;
      example.tokens = random_bits(shortest, longest, random);
      const int64_t ones = ones_in(example.tokens);
      const auto count = static_cast<int64_t>(example.tokens.size());
      example.label = {majority ? (2 * ones > count ? 1 : 0) : ones % 2};
      example.tokens.push_back(kEndToken);
      return example;
    };
  }
  return std::make_unique<Generated>(Generated::Parts{"parity", info, make}, options, split, seed);
}

}  // namespace

const Source kParity = {"parity", "parity or majority of bits (class a sequence or a step)",
                        parity_schema, open_parity};

}  // namespace longwave::data
