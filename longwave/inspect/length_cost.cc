// SPDX-License-Identifier: Apache-2.0
#include "longwave/inspect/length_cost.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <span>

#include "longwave/base/error.h"
#include "longwave/base/philox.h"
#include "longwave/base/process_memory.h"

namespace longwave::inspect {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kFloatBytes = static_cast<int64_t>(sizeof(float));

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

double quantile_of(std::vector<double> values, double q) {
  const auto at = static_cast<size_t>(q * static_cast<double>(values.size() - 1) + 0.5);
  std::ranges::nth_element(values, values.begin() + static_cast<int64_t>(at));
  return values[at];
}

std::span<const float> run_prefill(runtime::Session& session, const RandomSequence& sequence) {
  session.reset();
  return sequence.tokens.empty() ? session.prefill(std::span<const float>(sequence.values))
                                 : session.prefill_last(sequence.tokens);
}

std::span<const float> run_step(runtime::Session& session, const RandomSequence& sequence,
                                int64_t t) {
  if (!sequence.tokens.empty()) return session.step(sequence.tokens[static_cast<size_t>(t)]);
  const int64_t width = session.model().network().config().interface.input_size;
  return session.step(std::span(sequence.values)
                          .subspan(static_cast<size_t>(t * width), static_cast<size_t>(width)));
}

}  // namespace

RandomSequence random_sequence(const models::Interface& interface, int64_t length) {
  Random random(1, stream_id("bench"));
  RandomSequence sequence;
  if (interface.input == models::Interface::Input::kTokens) {
    for (int64_t t = 0; t < length; ++t) {
      sequence.tokens.push_back(random.integer(interface.input_size));
    }
    return sequence;
  }
  sequence.values.resize(static_cast<size_t>(length * interface.input_size));
  for (float& value : sequence.values) value = static_cast<float>(random.normal());
  return sequence;
}

LengthCost measure_length(runtime::Session& session, const LengthSettings& settings) {
  const models::SequenceModel& network = session.model().network();
  const RandomSequence sequence = random_sequence(network.config().interface, settings.length);
  LengthCost cost{.length = settings.length};
  run_prefill(session, sequence);
  std::vector<double> prefills;
  for (int64_t i = 0; i < settings.prefills; ++i) {
    const Clock::time_point begin = Clock::now();
    run_prefill(session, sequence);
    prefills.push_back(seconds_since(begin));
  }
  cost.prefill_median = quantile_of(prefills, 0.5);
  cost.prefill_least = quantile_of(prefills, 0);
  cost.prefill_most = quantile_of(prefills, 1);
  cost.state_bytes = network.state_size() * kFloatBytes;
  const auto& values = session.state().values;
  cost.state_bytes_used = kFloatBytes * (std::ssize(values) - std::ranges::count(values, 0.0F));
  cost.step_p50 = cost.step_p99 = std::numeric_limits<double>::quiet_NaN();
  if (network.causal()) {
    // From the state after the whole sequence: what the memory of a long past costs.
    std::vector<double> latencies;
    for (int64_t t = 0; t < std::min(settings.length, settings.steps); ++t) {
      const Clock::time_point begin = Clock::now();
      run_step(session, sequence, t);
      latencies.push_back(1e6 * seconds_since(begin));
    }
    cost.step_p50 = quantile_of(latencies, 0.5);
    cost.step_p99 = quantile_of(latencies, 0.99);
  }
  cost.workspace_bytes = static_cast<int64_t>(network.workspace_bytes(1, settings.length));
  cost.peak_bytes = peak_resident_bytes();
  return cost;
}

void check_step_equals_prefill(runtime::Session& session, int64_t length) {
  const models::SequenceModel& network = session.model().network();
  const RandomSequence sequence = random_sequence(network.config().interface, length);
  const std::span<const float> whole = run_prefill(session, sequence);
  const auto width = static_cast<size_t>(network.config().interface.output_size);
  const std::vector<float> expected(whole.end() - static_cast<int64_t>(width), whole.end());
  double scale = 0, worst = 0;
  for (const float value : expected) scale = std::max<double>(scale, std::abs(value));
  if (network.causal()) {
    session.reset();
    std::span<const float> got;
    for (int64_t t = 0; t < length; ++t) got = run_step(session, sequence, t);
    for (size_t i = 0; i < width; ++i) {
      worst = std::max<double>(worst, std::abs(got[i] - expected[i]));
    }
  }
  // A sum that differs in its last bit may round to another of 8 bits: far more than float32 does.
  const double relative = network.rounds_inputs() ? 1e-1 : 1e-2;
  if (std::isfinite(scale) && worst <= relative * scale + 1e-5) return;
  throw DataError({.where = "bench",
                   .what = "the model gives different answers step by step and at once",
                   .got = fmt::format("a difference of {:.3g} of {:.3g}", worst, scale),
                   .fix = "longwave verify MODEL shows where; wrong models are not timed"});
}

}  // namespace longwave::inspect
