// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "longwave/base/workspace.h"
#include "longwave/ops/matmul/matmul.h"
#include "longwave/runtime/model.h"
#include "longwave/runtime/prefiller.h"
#include "longwave/runtime/state.h"

namespace longwave::runtime {

/// Sequences that are moved on together: a step of all of them reads the weights once, where
/// sessions would read them once each.
///
///   Batch batch(model, 8);
///   std::vector<Batch::Id> ids = {batch.join(), batch.join(prompt_state)};
///   const auto logits = batch.step(ids, tokens);      // a row for each of ids, in their order
///   batch.leave(ids.front());                         // the others go on
///
/// A sequence joins and leaves at any time, reads pieces of any length alone, and takes part in the
/// steps that name it.
///
/// Numerics   a sequence gives the bits that a Session gives it, whatever the others are, as long
///            as at most `kExactRows` take part in a step; with more, the products are summed in
///            another order that depends on their number alone.
/// Cost       memory for `capacity` float32 states, taken at once; those of sequences that wait
/// take
///            less elsewhere (see PackedState). A step never allocates; one that names
///            its sequences in another order than the step before moves their states.
/// Errors     InvalidArgument, with every state untouched, as Session; if a sequence is unknown or
///            named twice; if there is no room for one more.
/// Threads    one owner at a time.
class Batch {
 public:
  /// One sequence; never given to another one later.
  enum class Id : int64_t {};

  /// Sequences that a step takes with the bits of a session.
  static constexpr int64_t kExactRows = ops::kMatmulFewRows;

  /// `form` is what states are rounded to after each call, as a Session's. InvalidArgument unless
  /// the capacity is at least 1 and the model is causal.
  Batch(std::shared_ptr<const Model> model, int64_t capacity, StateForm form = StateForm::kFloat32);

  const Model& model() const { return *model_; }
  int64_t capacity() const { return capacity_; }
  int64_t size() const { return std::ssize(members_); }

  /// One more sequence, before its first step or after those of a state.
  Id join();
  Id join(const State& state);

  /// Forgets a sequence.
  void leave(Id id);

  /// Where a sequence stands, as a value.
  State state(Id id) const;

  /// Steps that a sequence has consumed so far.
  int64_t position(Id id) const;

  /// Sets a sequence to a state of the model.
  void restore(Id id, const State& state);

  /// Any number of steps of one sequence, as Session::prefill.
  std::span<const float> prefill(Id id, std::span<const float> input);
  std::span<const float> prefill(Id id, std::span<const int64_t> tokens);

  /// One step of each of `ids`: a token, or a sample of the input's size, for each. Gives
  /// `output_size` numbers for each, row after row, valid until the next call.
  std::span<const float> step(std::span<const Id> ids, std::span<const int64_t> tokens);
  std::span<const float> step(std::span<const Id> ids, std::span<const float> samples);

 private:
  struct Member {
    Id id;
    int64_t position;
  };

  size_t row_of(Id id) const;
  std::span<float> row(size_t index);
  void swap_rows(size_t a, size_t b);
  void line_up(std::span<const Id> ids);
  template <typename Input>
  std::span<const float> read(Id id, std::span<const Input> input);
  std::span<const float> step(std::span<const Id> ids, models::SequenceModel::Step args);

  std::shared_ptr<const Model> model_;
  int64_t capacity_;
  std::vector<StatePart> parts_;
  int64_t next_id_ = 0;
  std::vector<Member> members_;  // member i owns row i of the states
  std::vector<float> states_;    // (capacity, state_size)
  Workspace workspace_;
  std::vector<float> output_;  // (capacity, output_size)
  Prefiller prefiller_;
};

}  // namespace longwave::runtime
