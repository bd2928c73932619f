// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "longwave/base/workspace.h"
#include "longwave/runtime/model.h"
#include "longwave/runtime/prefiller.h"
#include "longwave/runtime/state.h"

namespace longwave::runtime {

/// One sequence being processed in constant memory.
///
///   Session session(Model::load("runs/demo"));
///   for (float sample : samples) use(session.step({&sample, 1}));
///
/// To fork a sequence, copy `state()` and `restore` it later, here or in another session.
///
/// Errors     InvalidArgument, with the state untouched, if the input has the wrong size, is not
///            finite or not in the vocabulary; if the context is full; if a model that looks ahead
///            is stepped, or is given a second piece of a sequence.
/// Threads    one owner at a time.
class Session {
 public:
  /// `form` is how the state is kept between calls: it is rounded to it after each, so that a state
  /// that is saved or restored continues bitwise. Answers differ from those of float32 by what the
  /// model makes of that (see measure_state_error), and with where calls end: prefill in pieces is
  /// rounded more often.
  explicit Session(std::shared_ptr<const Model> model, StateForm form = StateForm::kFloat32);

  const Model& model() const { return *model_; }

  /// Any number of samples at once, (time, input_size) row after row; returns outputs row after row
  /// (`output_size` numbers a step, or only the last answer where one a sequence is asked). The
  /// result is valid until the next call.
  std::span<const float> prefill(std::span<const float> input);
  std::span<const float> prefill(std::span<const int64_t> tokens);

  /// The same without the work for the answers before the last: a prompt that is gone on from.
  std::span<const float> prefill_last(std::span<const int64_t> tokens);

  /// One sample; never allocates. The result is valid until the next call.
  std::span<const float> step(std::span<const float> sample);
  std::span<const float> step(int64_t token);

  /// Tokens at once that `propose` takes.
  static constexpr int64_t kMostProposed = models::SequenceModel::kMostTentative;

  /// Tokens that may be wrong: their answers, row after row, with the bits of as many steps, from
  /// one pass over the weights. The result is valid until the next call.
  ///
  /// Errors     InvalidArgument if the state is not kept as float32: it would be rounded once where
  ///            steps round it each time.
  std::span<const float> propose(std::span<const int64_t> tokens);

  /// Takes back all but the first `count` of the tokens proposed last: the state is bitwise what
  /// it was after those. May be repeated with fewer.
  ///
  /// Errors     InvalidArgument if the session was moved otherwise since, or kept fewer.
  void keep(int64_t count);

  /// Steps that the context still has room for.
  int64_t steps_left() const;

  StateForm form() const { return form_; }
  const State& state() const { return state_; }

  /// Continues from `state`, rounded to the session's form; InvalidArgument if it belongs to
  /// another model.
  void restore(const State& state);

  /// Back to the state before the first sample.
  void reset();

 private:
  std::span<const float> step(models::SequenceModel::Step args);
  template <typename Input>
  std::span<const float> read(std::span<const Input> input, Prefiller::Answers answers);

  std::shared_ptr<const Model> model_;
  StateForm form_;
  State state_;
  Workspace step_workspace_;
  std::vector<float> output_;
  Prefiller prefiller_;
  std::optional<Workspace> proposal_workspace_;
  std::vector<float> journal_;  // of the tokens proposed last that are still there
  int64_t proposed_ = 0;        // how many these are
};

}  // namespace longwave::runtime
