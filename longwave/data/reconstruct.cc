// SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <vector>

#include "longwave/data/builtin.h"
#include "longwave/data/generated.h"
#include "longwave/data/white_signal.h"

namespace longwave::data {
namespace {

Schema reconstruct_schema() {
  Schema own = white_signal_schema();
  own.push_back({.key = "memory",
                 .value = int64_t{1000},
                 .help = "samples before the end that are asked for",
                 .least = 1});
  return generated_schema(16384, std::move(own));
}

std::unique_ptr<Dataset> open_reconstruct(const Options& options, Split split, uint64_t seed) {
  const WhiteSignal signal = white_signal_of(options);
  const int64_t memory = options.integer("memory");
  require_option(memory <= signal.length, "reconstruct", "memory must be at most length",
                 std::to_string(memory));
  const TaskInfo info = {
      .target = TaskInfo::Target::kValue, .target_size = memory, .length = signal.length};
  const auto make = [signal, memory](Random& random) {
    Example example;
    example.input = white_signal(signal, random);
    example.value.assign(example.input.end() - memory, example.input.end());
    return example;
  };
  return std::make_unique<Generated>(Generated::Parts{"reconstruct", info, make}, options, split,
                                     seed);
}

}  // namespace

const Source kReconstruct = {"reconstruct",
                             "band-limited noise, whose last samples are asked for at the end "
                             "(value a sequence)",
                             reconstruct_schema, open_reconstruct};

}  // namespace longwave::data
