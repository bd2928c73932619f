// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "longwave/runtime/session.h"

namespace longwave::inspect {

/// Where a long stream stood at one moment.
struct Endurance {
  int64_t steps = 0;           ///< taken so far
  double seconds = 0;          ///< since the moment before
  int64_t since = 0;           ///< steps since then
  int64_t resident_bytes = 0;  ///< of the process
  int64_t peak_bytes = 0;      ///< of the process so far
};

/// Steps a session `steps` times, from the beginning, and looks at time and memory now and then: a
/// language model is fed what it draws itself, other models noise. Nothing of the stream is kept.
///
/// Errors     as Session and Sampler.
std::vector<Endurance> measure_endurance(runtime::Session& session, int64_t steps);

}  // namespace longwave::inspect
