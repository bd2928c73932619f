// SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <vector>

#include "longwave/data/builtin.h"
#include "longwave/data/generated.h"

namespace longwave::data {
namespace {

Schema adding_schema() {
  return generated_schema(10000, {{.key = "length",
                                   .value = int64_t{1000},
                                   .help = "steps of a sequence",
                                   .least = 2,
                                   .most = 1e8}});
}

std::unique_ptr<Dataset> open_adding(const Options& options, Split split, uint64_t seed) {
  const int64_t length = options.integer("length");
  const TaskInfo info = {.input_size = 2, .target = TaskInfo::Target::kValue, .length = length};
  const auto make = [length](Random& random) {
    Example example;
    example.input.assign(static_cast<size_t>(2 * length), 0.0f);
    for (int64_t t = 0; t < length; ++t) {
      example.input[2 * t] = static_cast<float>(random.uniform());
    }
    const int64_t half = length / 2;
    const int64_t first = random.integer(half);
    const int64_t second = half + random.integer(length - half);
    example.input[2 * first + 1] = 1;
    example.input[2 * second + 1] = 1;
    example.value = {example.input[2 * first] + example.input[2 * second]};
    return example;
  };
  return std::make_unique<Generated>(Generated::Parts{"adding", info, make}, options, split, seed);
}

}  // namespace

const Source kAdding = {"adding", "the sum of two marked numbers among many (value a sequence)",
                        adding_schema, open_adding};

}  // namespace longwave::data
