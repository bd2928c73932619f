// SPDX-License-Identifier: Apache-2.0
#include "longwave/inspect/batch_speed.h"

#include <algorithm>
#include <chrono>
#include <span>
#include <vector>

#include "longwave/base/process_memory.h"
#include "longwave/inspect/length_cost.h"
#include "longwave/ops/simd/read_bandwidth.h"
#include "longwave/runtime/batch.h"

namespace longwave::inspect {

BatchSpeed measure_batch(const std::shared_ptr<const runtime::Model>& model,
                         const BatchSettings& settings) {
  using Clock = std::chrono::steady_clock;
  const RandomSequence inputs =
      random_sequence(model->network().config().interface, settings.batch * settings.steps);
  runtime::Batch batch(model, settings.batch, settings.form);
  std::vector<runtime::Batch::Id> ids;
  for (int64_t i = 0; i < settings.batch; ++i) ids.push_back(batch.join());
  const size_t width = ids.size() * (inputs.tokens.empty() ? model->input_size() : 1);
  const runtime::State start = batch.state(ids.front());
  std::vector<double> seconds;
  for (int64_t run = 0; run <= settings.repeats; ++run) {
    for (const runtime::Batch::Id id : ids) batch.restore(id, start);
    const Clock::time_point begin = Clock::now();
    for (int64_t t = 0; t < settings.steps; ++t) {
      const size_t at = static_cast<size_t>(t) * width;
      if (inputs.tokens.empty()) {
        batch.step(ids, std::span(inputs.values).subspan(at, width));
      } else {
        batch.step(ids, std::span(inputs.tokens).subspan(at, width));
      }
    }
    const std::chrono::duration<double> taken = Clock::now() - begin;
    if (run > 0) seconds.push_back(taken.count() / static_cast<double>(settings.steps));
  }
  std::ranges::sort(seconds);
  return {.batch = settings.batch,
          .median = seconds[seconds.size() / 2],
          .least = seconds.front(),
          .most = seconds.back(),
          .state_bytes =
              settings.batch * model->network().state_size() * static_cast<int64_t>(sizeof(float)),
          .peak_bytes = peak_resident_bytes(),
          .memory_speed = ops::measured_read_bandwidth()};
}

}  // namespace longwave::inspect
