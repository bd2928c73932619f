// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>

#include "longwave/train/event_file.h"
#include "longwave/train/metrics_log.h"

namespace longwave::train {

/// All that a run writes of its numbers: metrics.jsonl, metrics.csv and tb/.
///
/// Errors     IoError if a line or an event cannot be written.
/// Threads    one owner at a time.
class RunLog {
 public:
  /// Goes on in `folder` after `last_step`; what was said of later steps no longer holds.
  RunLog(const std::filesystem::path& folder, int64_t last_step);

  /// One moment: the record has "step", "epoch" and "split" beside its numbers.
  void append(const Record& record);

 private:
  MetricsLog metrics_;
  EventFile events_;
};

}  // namespace longwave::train
