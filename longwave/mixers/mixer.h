// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "longwave/base/view.h"
#include "longwave/base/workspace.h"

namespace longwave::theory {
struct DiscreteSystem;
}

namespace longwave::mixers {

/// Numbers of a state row that lie side by side, and what they are.
struct StateRun {
  enum class Kind : uint8_t {
    kCarried,  ///< made anew by every step from those before: they bear some rounding
    kExact,    ///< keys, values, counts, sums over a whole sequence: they do not
  };
  Kind kind = Kind::kCarried;
  int64_t count = 0;
};

/// A layer that mixes along time: what differs between S4D and Mamba-2, and nothing else.
///
/// A mixer is immutable: weights are read at construction, all change is in the state that the
/// caller owns. The state of one sequence is a row of `state_size()` floats (complex values as re,
/// im pairs); zeros are the state before the first sample. Rows may be copied, saved and compared.
///
///   prefill(u[0:T]) = T calls of step            y and state, for any split of the sequence
///
/// Threads    const use is safe from many threads with distinct states and workspaces.
class Mixer {
 public:
  virtual ~Mixer() = default;

  /// Inputs of one step, and unless `outputs` says otherwise its outputs.
  virtual int64_t channels() const = 0;
  virtual int64_t outputs() const { return channels(); }

  /// Floats that the state of one sequence takes.
  virtual int64_t state_size() const = 0;

  /// What a state row consists of, in its order.
  virtual std::vector<StateRun> state_runs() const {
    return {{StateRun::Kind::kCarried, state_size()}};
  }

  /// Bytes that `prefill` of this size needs; enough for `step` with time = 1.
  virtual size_t workspace_bytes(int64_t batch, int64_t time) const = 0;

  struct Prefill {
    View<const float, 3> u;  // (batch, time, channels)
    View<float, 2> state;    // (batch, state_size) in: before, out: after
    View<float, 3> y;        // (batch, time, outputs) out

    /// (batch, time), or absent: nonzero where a step is the first of a new sequence. Before such a
    /// step the state is zero; `state` precedes step 0 unless that is one, too.
    View<const uint8_t, 2> starts{};
  };
  virtual void prefill(const Prefill& args, Workspace& workspace) const = 0;

  struct Step {
    View<const float, 2> u;  // (batch, channels)
    View<float, 2> state;    // (batch, state_size)
    View<float, 2> y;        // (batch, outputs) out
  };
  /// One sample; never allocates.
  virtual void step(const Step& args, Workspace& workspace) const = 0;

  struct Tentative {
    View<const float, 3> u;  // (batch, time, channels)
    View<float, 2> state;    // (batch, state_size) in: before, out: after
    View<float, 3> y;        // (batch, time, outputs) out
    View<float, 3> journal;  // (batch, time, journal_size) out: the way back
  };
  /// As `time` calls of `step`, with their bits as far as products have those of their rows alone
  /// (see ops::matmul), and written down so that they can be taken back. Families for fast decoding
  /// read their weights once for all steps; others run step by step.
  virtual void tentative_steps(const Tentative& args, Workspace& workspace) const;

  /// Floats that a tentative step is written down in.
  virtual int64_t journal_size() const { return state_size(); }

  /// Takes back all but the first `kept` of the steps that the journal (batch, time, journal_size)
  /// holds: the last ones that were taken. The state is bitwise what it was after those.
  virtual void take_back(View<float, 2> state, View<const float, 3> journal, int64_t kept) const;

  /// False if outputs depend on later inputs: such a mixer has no `step`, and `prefill` must be
  /// given the whole sequence with a zero state.
  virtual bool causal() const { return true; }

  /// Steps that can follow a state row (state_size). Only families that remember every step, as
  /// attention over all positions does, have a limit.
  virtual int64_t steps_left(View<const float, 1> state) const;

  /// Whether `prefill` takes sequences that lie one after the other, told apart by `starts`.
  virtual bool packs() const { return false; }

  /// Independent linear systems that the mixer consists of: `channels()` for single-input families,
  /// 1 for S5, 0 if the mixer is not linear and time-invariant.
  virtual int64_t system_count() const { return 0; }

  /// System `index` in double precision from the same weights: single-input families give the
  /// system of channel `index`, S5 the one of all channels. The judge of every faster form.
  virtual theory::DiscreteSystem system(int64_t index) const;
};

/// Throws InvalidArgument naming `where` unless the extents fit the mixer, and if sequences are
/// packed for a mixer that cannot tell them apart. `step` also refuses a mixer that is not causal.
void check(const Mixer& mixer, const Mixer::Prefill& args, const char* where);
void check(const Mixer& mixer, const Mixer::Step& args, const char* where);
void check(const Mixer& mixer, const Mixer::Tentative& args, const char* where);

/// A step seen as a sequence of length 1.
Mixer::Prefill as_prefill(const Mixer::Step& args);

/// Tentative steps seen as steps that stay.
Mixer::Prefill as_prefill(const Mixer::Tentative& args);

/// One step of a sequence: (batch, time, size) at `t` as (batch, size).
template <typename T>
View<T, 2> at_step(const View<T, 3>& x, int64_t t) {
  return {x.data() + t * x.stride(1), {x.extent(0), x.extent(2)}, {x.stride(0), x.stride(2)}};
}

/// Copies rows (batch, size) whose numbers are adjacent, such as those of a state or a journal.
void copy_rows(View<const float, 2> from, View<float, 2> to);

}  // namespace longwave::mixers
