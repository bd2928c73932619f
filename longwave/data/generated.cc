// SPDX-License-Identifier: Apache-2.0
#include "longwave/data/generated.h"

#include <utility>

#include "longwave/base/error.h"

namespace longwave::data {

std::string_view name_of(Split split) {
  switch (split) {
    case Split::kTrain:
      return "train";
    case Split::kValidation:
      return "validation";
    default:
      return "test";
  }
}

Generated::Generated(Parts parts, const Options& options, Split split, uint64_t seed)
    : parts_(std::move(parts)),
      size_(options.integer(split == Split::kTrain ? "examples" : "held_out")),
      seed_(seed),
      stream_(stream_id(std::string(parts_.source) + "/" + std::string(name_of(split)))) {}

Example Generated::example(int64_t index) const {
  require(index >= 0 && index < size_, "data set", "the example's index is out of range");
  Random random(seed_, stream_ + static_cast<uint64_t>(index));
  return parts_.make(random);
}

Schema generated_schema(int64_t examples, Schema own) {
  constexpr int64_t kHeldOut = 1000;
  constexpr double kMost = 1e12;
  Schema schema = {{.key = "examples",
                    .value = examples,
                    .help = "examples of the training split",
                    .least = 1,
                    .most = kMost},
                   {.key = "held_out",
                    .value = kHeldOut,
                    .help = "examples of the validation split, and of the test split",
                    .least = 1,
                    .most = kMost}};
  for (Option& option : own) schema.push_back(std::move(option));
  return schema;
}

void require_option(bool condition, std::string_view source, std::string what, std::string got) {
  if (condition) return;
  throw ConfigError(
      {.where = std::string(source), .what = std::move(what), .got = std::move(got), .fix = {}});
}

}  // namespace longwave::data
