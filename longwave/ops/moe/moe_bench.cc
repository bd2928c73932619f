// SPDX-License-Identifier: Apache-2.0
//
// Time of routing a mixture of experts and of moving its rows, in percent of the memory speed
// measured in the same run. Checked against the reference first; a wrong kernel is not timed.
#include <benchmark/benchmark.h>

#include <chrono>
#include <cmath>
#include <vector>

#include "longwave/base/philox.h"
#include "longwave/ops/moe/moe.h"
#include "longwave/ops/moe/moe_ref.h"
#include "longwave/ops/simd/machine_peak.h"

namespace longwave::ops {
namespace {

constexpr int64_t kTokens = 4096, kExperts = 16, kChosen = 2, kChannels = 1024;

/// A routed mixture whose experts do nothing.
struct Mixture {
  std::vector<float> logits, x, weights, rows, y;
  std::vector<int64_t> chosen, counts, order, place, first;

  Mixture()
      : logits(kTokens * kExperts),
        x(kTokens * kChannels),
        weights(kTokens * kChosen),
        rows(kTokens * kChosen * kChannels),
        y(x.size()),
        chosen(weights.size()),
        counts(kExperts),
        order(weights.size()),
        place(weights.size()),
        first(kExperts + 1) {
    Random random(1);
    for (float& number : logits) number = static_cast<float>(random.normal());
    for (float& number : x) number = static_cast<float>(random.normal());
    choose_experts();
    spread();
  }
  void choose_experts() {
    route<float>({.kind = RouterWeights::kOfChosen,
                  .logits = {logits.data(), {kTokens, kExperts}},
                  .chosen = {chosen.data(), {kTokens, kChosen}},
                  .weights = {weights.data(), {kTokens, kChosen}},
                  .counts = {counts.data(), {kExperts}},
                  .p = {},
                  .balance = nullptr});
    dispatch({.chosen = {chosen.data(), {kTokens, kChosen}},
              .counts = {counts.data(), {kExperts}},
              .order = {order.data(), {kTokens * kChosen}},
              .place = {place.data(), {kTokens, kChosen}},
              .first = {first.data(), {kExperts + 1}}});
  }
  void spread() {
    gather<float>({.x = {x.data(), {kTokens, kChannels}},
                   .order = {order.data(), {kTokens * kChosen}},
                   .rows = {rows.data(), {kTokens * kChosen, kChannels}}});
  }
  CombineArgs<float> joined() {
    return {.rows = {rows.data(), {kTokens * kChosen, kChannels}},
            .weights = {weights.data(), {kTokens, kChosen}},
            .place = {place.data(), {kTokens, kChosen}},
            .y = {y.data(), {kTokens, kChannels}}};
  }
  bool right() {
    combine(joined());
    for (size_t i = 0; i < x.size(); ++i) {
      if (!(std::abs(x[i] - y[i]) < 16 * 1.2e-7 * 5)) return false;
    }
    return true;
  }
};

template <typename Body>
void timed(benchmark::State& state, double bytes, const Body& body) {
  static const double speed = measure_machine_peak().bytes_per_second;
  Mixture mixture;
  if (!mixture.right()) {
    state.SkipWithError("wrong result: not timed");
    return;
  }
  const auto start = std::chrono::steady_clock::now();
  for (auto _ : state) body(mixture);
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  const double count = static_cast<double>(state.iterations());
  state.counters["ns/token"] = 1e9 * taken.count() / (count * kTokens);
  state.counters["% of memory"] = 100 * bytes * count / taken.count() / speed;
}

constexpr double kRowBytes = 4.0 * kTokens * kChannels;

void routing(benchmark::State& state) {
  timed(state, 4.0 * kTokens * kExperts, [](Mixture& mixture) { mixture.choose_experts(); });
}
void gathering(benchmark::State& state) {
  timed(state, kRowBytes * (1 + kChosen), [](Mixture& mixture) { mixture.spread(); });
}
void combining(benchmark::State& state) {
  timed(state, kRowBytes * (1 + kChosen), [](Mixture& mixture) { combine(mixture.joined()); });
}

BENCHMARK(routing);
BENCHMARK(gathering);
BENCHMARK(combining);

}  // namespace
}  // namespace longwave::ops

BENCHMARK_MAIN();
