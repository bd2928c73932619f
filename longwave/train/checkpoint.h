// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "longwave/train/metrics_log.h"

namespace longwave::train {

/// Looks a number up in a record; DataError if it is not there.
double real_of(const Record& record, const std::string& name);
int64_t integer_of(const Record& record, const std::string& name);
const std::string& text_of(const Record& record, const std::string& name);

/// What is kept of a run's checkpoints.
struct Keep {
  int64_t last = 2;   ///< the newest ones
  int64_t every = 0;  ///< and multiples of this step, for ever; 0 = none
  int64_t best = 1;   ///< and those of the smallest "cost" in meta.json, and always `best`
};

/// The folder checkpoints/step_00001200/... of a run.
///
/// A checkpoint is written to a hidden folder beside the others, synced, renamed, then read back
/// and compared; only after that older ones are deleted. Whatever moment the program is killed at,
/// the checkpoints with a final name are whole. They are ordered by number. `latest` and `best` are
/// symbolic links that are replaced in one move.
///
/// Errors     IoError names the file and what failed; the earlier checkpoints are then untouched.
/// Threads    one owner at a time, one process at a time.
class CheckpointStore {
 public:
  /// Opens or creates the folder, and removes what an interrupted write left.
  CheckpointStore(std::filesystem::path folder, Keep keep);

  /// Puts files into the folder it is given, and returns what meta.json says beside the sizes and
  /// sums of those files.
  using Fill = std::function<Record(const std::filesystem::path& folder)>;

  /// Writes the checkpoint of `step`, points `latest` at it (and `best`, if it is the best), and
  /// deletes what need not be kept, and any of a later step. `bytes` is how much room it will take,
  /// at most.
  enum class Rank : uint8_t { kOrdinary, kBest };
  std::filesystem::path write(int64_t step, Rank rank, int64_t bytes, const Fill& fill);

  /// Whether a checkpoint of this cost would be kept as one of the best.
  bool among_best(double cost) const;

  /// Never deletes the checkpoint of this step, until another is named; -1 names none.
  void pin(int64_t step) { pinned_ = step; }

  /// Points `best` at a step that is there.
  void mark_best(int64_t step);

  /// Steps that have a checkpoint, ascending.
  std::vector<int64_t> steps() const;

  std::filesystem::path path(int64_t step) const;

  /// The step that `best` points at.
  std::optional<int64_t> best() const;

  /// The newest checkpoint whose files are what meta.json says; `damaged` hears of those that are
  /// not.
  std::optional<int64_t> newest_whole(
      const std::function<void(const std::filesystem::path&, const std::string&)>& damaged) const;

 private:
  void remove(int64_t step) const;
  void prune(int64_t newest) const;

  /// The steps that are kept for their cost, smallest first, with it.
  std::vector<std::pair<double, int64_t>> cheapest() const;

  std::filesystem::path folder_;
  Keep keep_;
  int64_t pinned_ = -1;
};

/// What meta.json of a checkpoint says, without the sums of files.
Record read_meta(const std::filesystem::path& checkpoint);

/// What is wrong with the files of a checkpoint; "" if they are as meta.json says.
std::string damage(const std::filesystem::path& checkpoint);

}  // namespace longwave::train
