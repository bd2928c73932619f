// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>

#include "longwave/runtime/model.h"

namespace longwave::inspect {

/// What sequences that are decoded together cost.
struct BatchSpeed {
  int64_t batch = 0;
  double median = 0, least = 0, most = 0;  ///< seconds of one step of all sequences
  int64_t state_bytes = 0;                 ///< of all sequences
  int64_t peak_bytes = 0;                  ///< of the process so far
  double memory_speed = 0;  ///< bytes a second that memory gives: the ceiling of reading weights

  /// Steps of single sequences in a second, where a step of all takes `seconds`.
  double speed(double seconds) const { return static_cast<double>(batch) / seconds; }
};

struct BatchSettings {
  int64_t batch = 1;
  int64_t steps = 1;    ///< of each run
  int64_t repeats = 1;  ///< timed runs; one more goes before them
  runtime::StateForm form = runtime::StateForm::kFloat32;
};

/// Times runs of steps of `batch` random sequences; the figures are of the mean step of a run.
BatchSpeed measure_batch(const std::shared_ptr<const runtime::Model>& model,
                         const BatchSettings& settings);

}  // namespace longwave::inspect
