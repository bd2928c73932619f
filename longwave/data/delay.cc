// SPDX-License-Identifier: Apache-2.0
#include <limits>
#include <memory>
#include <vector>

#include "longwave/data/builtin.h"
#include "longwave/data/generated.h"
#include "longwave/data/white_signal.h"

namespace longwave::data {
namespace {

Schema delay_schema() {
  Schema own = white_signal_schema();
  own.push_back({.key = "lag", .value = int64_t{1000}, .help = "samples to look back", .least = 0});
  return generated_schema(16384, std::move(own));
}

std::unique_ptr<Dataset> open_delay(const Options& options, Split split, uint64_t seed) {
  const WhiteSignal signal = white_signal_of(options);
  const int64_t lag = options.integer("lag");
  require_option(lag < signal.length, "delay", "lag must be less than length", std::to_string(lag));
  const TaskInfo info = {.target = TaskInfo::Target::kValuePerStep, .length = signal.length};
  const auto make = [signal, lag](Random& random) {
    Example example;
    example.input = white_signal(signal, random);
    // The signal starts at 0, and so does what came before it.
    example.value.assign(example.input.size(), 0.0f);
    std::copy(example.input.begin(), example.input.end() - lag, example.value.begin() + lag);
    return example;
  };
  return std::make_unique<Generated>(Generated::Parts{"delay", info, make}, options, split, seed);
}

}  // namespace

const Source kDelay = {"delay", "band-limited noise, to be repeated after a delay (value a step)",
                       delay_schema, open_delay};

}  // namespace longwave::data
