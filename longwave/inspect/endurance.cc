// SPDX-License-Identifier: Apache-2.0
#include "longwave/inspect/endurance.h"

#include <algorithm>
#include <chrono>
#include <span>
#include <vector>

#include "longwave/base/philox.h"
#include "longwave/base/process_memory.h"
#include "longwave/runtime/sampler.h"

namespace longwave::inspect {
namespace {

/// Feeds a session for ever.
class Stream {
 public:
  explicit Stream(runtime::Session& session)
      : session_(session),
        sampler_(runtime::SamplerOptions{}),
        random_(1, stream_id("endurance")),
        sample_(session.model().takes_tokens() ? 0 : session.model().input_size()) {}

  void step() {
    if (sample_.empty()) {
      const std::span<const float> answer = session_.step(token_);
      const bool predicts = answer.size() == session_.model().input_size();
      token_ = predicts ? sampler_.next(answer) : random_.integer(vocabulary());
      return;
    }
    for (float& x : sample_) x = static_cast<float>(random_.normal());
    session_.step(sample_);
  }

 private:
  int64_t vocabulary() const { return static_cast<int64_t>(session_.model().input_size()); }

  runtime::Session& session_;
  runtime::Sampler sampler_;
  Random random_;
  std::vector<float> sample_;  // of real inputs; empty for tokens
  int64_t token_ = 0;
};

}  // namespace

std::vector<Endurance> measure_endurance(runtime::Session& session, int64_t steps) {
  using Clock = std::chrono::steady_clock;
  session.reset();
  Stream stream(session);
  std::vector<Endurance> moments;
  int64_t taken = 0;
  for (const int64_t part : {1000, 100, 10, 2, 1}) {
    const int64_t until = std::max<int64_t>(steps / part, 1), before = taken;
    if (until == taken) continue;
    const Clock::time_point begin = Clock::now();
    for (; taken < until; ++taken) stream.step();
    const std::chrono::duration<double> seconds = Clock::now() - begin;
    moments.push_back({.steps = taken,
                       .seconds = seconds.count(),
                       .since = taken - before,
                       .resident_bytes = resident_bytes(),
                       .peak_bytes = peak_resident_bytes()});
  }
  return moments;
}

}  // namespace longwave::inspect
