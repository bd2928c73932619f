// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace longwave::train {

/// What is known at one moment of a run, by name, in the order in which it is written.
using Record = std::vector<std::pair<std::string, std::variant<int64_t, double, std::string>>>;

/// One line of JSON. Numbers that JSON cannot say stay what they are, as the texts "NaN",
/// "Infinity" and "-Infinity": they are never dropped or replaced.
std::string json_line(const Record& record);

/// metrics.jsonl (everything) and metrics.csv (a fixed set of columns) in a run folder.
///
/// Errors     IoError if a line cannot be written.
/// Threads    one owner at a time.
class MetricsLog {
 public:
  /// Appends to the files in `folder`. What they say of steps after `last_step` is dropped first: a
  /// resumed run will say it again. A metrics.csv that is there keeps its own columns, so that a
  /// run of an earlier version goes on with rows that fit its heading.
  MetricsLog(const std::filesystem::path& folder, std::vector<std::string> columns,
             int64_t last_step);

  /// Writes one line to both files; the record names its step as "step".
  void append(const Record& record);

 private:
  std::vector<std::string> columns_;
  std::filesystem::path jsonl_path_;
  std::filesystem::path csv_path_;
  std::ofstream jsonl_;
  std::ofstream csv_;
};

}  // namespace longwave::train
