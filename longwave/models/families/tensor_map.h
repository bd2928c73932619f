// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "longwave/base/tensor.h"
#include "longwave/models/sequence_model.h"

namespace longwave::models {

/// Rows that a tensor of ours and a published one have in common.
///
/// A tensor is a matrix here, whose columns are its last extent; a vector is one of single numbers.
struct Placement {
  std::string ours;
  Shape our_shape;
  int64_t our_row = 0;
  std::string theirs;
  Shape their_shape;
  int64_t their_row = 0;
  int64_t their_step = 1;  ///< rows of theirs from one to the next
  int64_t rows = 0;

  /// How their numbers follow from ours: the same, or -exp(ours), as GGUF has A of its logarithm.
  enum class Change : uint8_t { kNone, kMinusExp };
  Change change = Change::kNone;
  double factor = 1;  ///< theirs are ours times this, where a form has no place for a multiplier
};

/// Rows and columns of a tensor as a Placement sees it.
int64_t rows_of(const Shape& shape);
int64_t columns_of(const Shape& shape);

/// Where each tensor of a model lies in a published file, said once and read in both directions.
///
/// A tensor that the model does not have is passed over, so that a family may name biases that only
/// some of its models have.
///
/// Threads    one owner at a time.
class TensorMap {
 public:
  /// Whether a file holds a tensor of this name. Absent if there is no file yet: then the newest
  /// spelling is meant.
  using InFile = std::function<bool(const std::string& theirs)>;
  explicit TensorMap(const Config& config, InFile in_file = {});

  const Config& config() const { return config_; }

  /// Whether the model has such a tensor.
  bool has(const std::string& ours) const { return shapes_.contains(ours); }
  const Shape& shape(const std::string& ours) const { return shapes_.at(ours); }

  /// Whether the file that is read has it; false if there is none.
  bool in_file(const std::string& theirs) const { return in_file_ && in_file_(theirs); }

  /// Theirs is ours, or a multiple of it.
  void whole(const std::string& ours, const std::string& theirs, double factor = 1);

  /// Theirs is ours, its numbers under another shape, or changed.
  void reshaped(const std::string& ours, const std::string& theirs, Shape their_shape,
                Placement::Change change = Placement::Change::kNone);

  /// All tensors of ours whose names begin with `ours` and that have no place yet: the rest of
  /// their names is the same.
  void below(const std::string& ours, const std::string& theirs);

  /// Ours is theirs, one below the other, each of `rows` rows.
  struct Part {
    std::string theirs;
    int64_t rows;
    double factor = 1;
  };
  void stack(const std::string& ours, const std::vector<Part>& parts);

  /// Any other arrangement, one piece after the other. The shapes of ours are filled in.
  void place(Placement piece);

  /// Tensors below `again` are those below `first` once more, and may be missing.
  struct Repeat {
    std::string first, again;
  };
  void repeats(const std::string& first, const std::string& again) {
    repeats_.push_back({first, again});
  }
  const std::vector<Repeat>& repeats() const { return repeats_; }

  /// All pieces in the order of the data flow. A tensor of ours without a place, or that its
  /// pieces do not cover once, is a fault of the family: an assertion.
  std::vector<Placement> finish() const;

 private:
  const Config& config_;
  InFile in_file_;
  std::vector<std::string> order_;
  std::map<std::string, Shape> shapes_;
  std::map<std::string, std::vector<Placement>> pieces_;
  std::vector<Repeat> repeats_;
};

}  // namespace longwave::models
