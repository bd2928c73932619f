// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "longwave/runtime/session.h"

namespace longwave::inspect {

/// Random inputs for a model: one of the two lists is empty.
struct RandomSequence {
  std::vector<float> values;    ///< (length, input_size), normal
  std::vector<int64_t> tokens;  ///< uniform
};
RandomSequence random_sequence(const models::Interface& interface, int64_t length);

/// What one sequence of a length costs without training.
struct LengthCost {
  int64_t length = 0;
  double prefill_median = 0, prefill_least = 0, prefill_most = 0;  ///< seconds for the sequence
  double step_p50 = 0, step_p99 = 0;  ///< microseconds of one step that follows the sequence;
                                      ///< NaN for a model that looks ahead
  int64_t state_bytes = 0;            ///< of the state row, whatever the length
  int64_t state_bytes_used = 0;       ///< of its numbers that are not zero after the sequence
  int64_t workspace_bytes = 0;        ///< of the prefill
  int64_t peak_bytes = 0;             ///< of the process so far

  /// Time steps a second of a prefill that took `seconds`.
  double speed(double seconds) const { return static_cast<double>(length) / seconds; }
};

struct LengthSettings {
  int64_t length = 1;
  int64_t prefills = 1;  ///< timed ones; one more goes before them
  int64_t steps = 1;     ///< timed ones after the last prefill, at most the length
};

/// Times prefills of one random sequence, then single steps from the state that it leaves.
LengthCost measure_length(runtime::Session& session, const LengthSettings& settings);

/// Refuses to time a model whose step and prefill disagree grossly or give no numbers: both go over
/// one random sequence of `length` steps.
///
/// Errors     DataError.
void check_step_equals_prefill(runtime::Session& session, int64_t length);

}  // namespace longwave::inspect
