// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/mixer.h"

#include <algorithm>
#include <limits>
#include <string>

#include "longwave/base/error.h"
#include "longwave/theory/system.h"

namespace longwave::mixers {
namespace {

template <typename T, int Rank>
std::string shape_of(const View<T, Rank>& view) {
  std::string text;
  for (int64_t extent : view.extents())
    text += (text.empty() ? "(" : ", ") + std::to_string(extent);
  return text + ")";
}

void check_starts(const Mixer& mixer, const Mixer::Prefill& args, const char* where) {
  if (args.starts.absent()) return;
  if (!mixer.packs()) {
    throw InvalidArgument({.where = where,
                           .what = "this family cannot start a sequence within another",
                           .got = "starts",
                           .fix = "give each sequence a row of the batch"});
  }
  const bool agree =
      args.starts.extent(0) == args.u.extent(0) && args.starts.extent(1) == args.u.extent(1);
  require(agree, where, "starts must be (batch, time)");
}

void check_causal(const Mixer& mixer, const char* where) {
  if (mixer.causal()) return;
  throw InvalidArgument({.where = where,
                         .what = "a bidirectional layer needs the whole sequence: it has no step",
                         .got = {},
                         .fix = "call prefill, or train with bidirectional = false"});
}

}  // namespace

int64_t Mixer::steps_left(View<const float, 1>) const {
  return std::numeric_limits<int64_t>::max();
}

void Mixer::tentative_steps(const Tentative& args, Workspace& workspace) const {
  check(*this, args, "mixer");
  for (int64_t t = 0; t < args.u.extent(1); ++t) {
    copy_rows(args.state, at_step(args.journal, t));
    step({.u = at_step(args.u, t), .state = args.state, .y = at_step(args.y, t)}, workspace);
  }
}

void Mixer::take_back(View<float, 2> state, View<const float, 3> journal, int64_t kept) const {
  if (kept < journal.extent(1)) copy_rows(at_step(journal, kept), state);
}

theory::DiscreteSystem Mixer::system(int64_t index) const {
  throw InvalidArgument(
      {.where = "mixer",
       .what = "no such linear time-invariant system",
       .got = "index " + std::to_string(index) + " of " + std::to_string(system_count()),
       .fix = "ask system_count() first"});
}

void check(const Mixer& mixer, const Mixer::Prefill& args, const char* where) {
  const bool agree = args.u.extent(2) == mixer.channels() && args.y.extent(0) == args.u.extent(0) &&
                     args.y.extent(1) == args.u.extent(1) && args.y.extent(2) == mixer.outputs() &&
                     args.state.extent(0) == args.u.extent(0) &&
                     args.state.extent(1) == mixer.state_size();
  if (agree) return check_starts(mixer, args, where);
  throw InvalidArgument(
      {.where = where,
       .what = "u and y must be (batch, time, " + std::to_string(mixer.channels()) +
               "), state (batch, " + std::to_string(mixer.state_size()) + ")",
       .got =
           "u " + shape_of(args.u) + ", y " + shape_of(args.y) + ", state " + shape_of(args.state),
       .fix = {}});
}

void check(const Mixer& mixer, const Mixer::Step& args, const char* where) {
  check_causal(mixer, where);
  check(mixer, as_prefill(args), where);
}

void check(const Mixer& mixer, const Mixer::Tentative& args, const char* where) {
  check_causal(mixer, where);
  check(mixer, as_prefill(args), where);
  const bool agree = args.journal.extent(0) == args.u.extent(0) &&
                     args.journal.extent(1) == args.u.extent(1) &&
                     args.journal.extent(2) == mixer.journal_size();
  require(agree, where, "the journal must be (batch, time, journal_size)");
}

void copy_rows(View<const float, 2> from, View<float, 2> to) {
  for (int64_t b = 0; b < from.extent(0); ++b) {
    std::copy_n(from[b].data(), from.extent(1), to[b].data());
  }
}

Mixer::Prefill as_prefill(const Mixer::Tentative& args) {
  return {.u = args.u, .state = args.state, .y = args.y, .starts = {}};
}

Mixer::Prefill as_prefill(const Mixer::Step& args) {
  return {.u = {args.u.data(),
                {args.u.extent(0), 1, args.u.extent(1)},
                {args.u.stride(0), 0, args.u.stride(1)}},
          .state = args.state,
          .y = {args.y.data(),
                {args.y.extent(0), 1, args.y.extent(1)},
                {args.y.stride(0), 0, args.y.stride(1)}},
          .starts = {}};
}

}  // namespace longwave::mixers
