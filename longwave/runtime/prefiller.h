// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "longwave/base/workspace.h"
#include "longwave/runtime/model.h"

namespace longwave::runtime {

/// InvalidArgument unless the model takes whole samples of finite numbers such as these.
void check_samples(const Model& model, std::span<const float> input);

/// Moves one sequence on by pieces of any length; the memory for it grows to what the longest piece
/// so far needed.
///
/// Errors     as Session.
/// Threads    one owner at a time.
class Prefiller {
 public:
  /// Where the sequence stands: moved on by a call.
  struct Place {
    std::span<float> state;  ///< the model's state row
    int64_t& position;
  };

  /// Which answers are worked out.
  enum class Answers : uint8_t { kAll, kLast };

  /// Answers row after row: one for each step, or only the last where one a sequence is asked. They
  /// are valid until the next call.
  std::span<const float> run(const Model& model, Place place, std::span<const float> input,
                             Answers answers = Answers::kAll);
  std::span<const float> run(const Model& model, Place place, std::span<const int64_t> tokens,
                             Answers answers = Answers::kAll);

 private:
  using Network = models::SequenceModel;
  std::span<const float> run(const Model& model, Place place, Network::Prefill args, int64_t time,
                             Answers which);

  std::optional<Workspace> workspace_;
  std::vector<float> output_;
};

}  // namespace longwave::runtime
