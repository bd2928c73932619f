// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include "longwave/data/dataset.h"

namespace longwave::data {

/// Of many numbers.
struct Summary {
  int64_t count = 0;
  double mean = 0;
  double deviation = 0;
  double least = 0;
  double most = 0;
};

/// What a data set looks like from afar.
struct Statistics {
  int64_t examples = 0;         ///< in the data set
  int64_t looked_at = 0;        ///< of them, from the first
  Summary length;               ///< steps
  Summary input;                ///< real inputs, all features together
  Summary value;                ///< real targets that are asked for
  std::vector<int64_t> labels;  ///< how often each class is asked for
};

/// Looks at no more than `most_examples`, on all threads; the result does not depend on their
/// number.
Statistics statistics_of(const Dataset& dataset,
                         int64_t most_examples = std::numeric_limits<int64_t>::max());

/// How a source is written to files.
struct ExportOptions {
  /// kJsonl: an object a line, {"input" or "tokens": [...], "label" or "value": ...}; steps of more
  /// than one feature are lists in the list, null is a value that is not asked for.
  /// kCsv: a row a step, "example,step,x0,...,y0,..."; targets of a whole sequence stand in its
  /// last row, what is not asked for is empty.
  enum class Format : uint8_t { kJsonl, kCsv };
  Format format = Format::kJsonl;
  int64_t most_examples = std::numeric_limits<int64_t>::max();  ///< of each split
  uint64_t seed = 0;
};

/// One file that was written.
struct Exported {
  Split split = Split::kTrain;
  std::filesystem::path file;
  int64_t examples = 0;
  Statistics statistics;
};

/// Writes train, validation and test (".jsonl" or ".csv") and "info.json" (source, options, task,
/// statistics) to `folder`, which is created; other files there stay. Splits without examples are
/// left out. Numbers are written so that they read back to the same bits.
///
/// Errors     IoError if a file cannot be written; what the source reports.
std::vector<Exported> export_source(const Source& source, const Options& options,
                                    const std::filesystem::path& folder,
                                    const ExportOptions& how = {});

/// The name of a task's parts, as info.json has them: "real", "class_per_step", ...
std::string_view name_of(TaskInfo::Input input);
std::string_view name_of(TaskInfo::Target target);

}  // namespace longwave::data
