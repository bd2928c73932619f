// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/cnn/cnn.h"

#include <algorithm>
#include <cmath>

#include "longwave/mixers/option_checks.h"
#include "longwave/mixers/projection.h"

namespace longwave::mixers::cnn {
namespace {

class Cnn : public Mixer {
 public:
  Cnn(const Options& options, int64_t channels, const Weights& weights)
      : channels_(channels),
        width_(options.integer("width")),
        dilation_(options.integer("dilation")),
        weights_(weights),
        W_(weights.view<3>("weight", {width_, channels, channels})),
        b_(weights.view<1>("bias", {channels})) {}

  int64_t channels() const override { return channels_; }
  int64_t state_size() const override { return history() * channels_; }
  bool packs() const override { return true; }

  size_t workspace_bytes(int64_t batch, int64_t time) const override {
    return 2 * Workspace::bytes_for<float>(batch * (history() + time) * channels_);
  }

  void prefill(const Prefill& args, Workspace& workspace) const override;

  void step(const Step& args, Workspace& workspace) const override {
    check(*this, args, "cnn");
    prefill(as_prefill(args), workspace);
  }

 private:
  /// Steps before the first that a layer looks at.
  int64_t history() const { return (width_ - 1) * dilation_; }

  /// The inputs that tap `lag` / dilation of a chunk multiplies: `past` moved by lag steps, with
  /// what lies before a sequence's start taken out.
  View<const float, 3> lagged(View<const float, 3> past, int64_t lag, View<const uint8_t, 2> starts,
                              View<float, 3> scratch) const;
  void keep_history(View<const float, 3> past, const Prefill& args) const;

  int64_t channels_, width_, dilation_;
  Weights weights_;  // keeps alive what the views look at
  View<const float, 3> W_;
  View<const float, 1> b_;
};

View<const float, 3> Cnn::lagged(View<const float, 3> past, int64_t lag,
                                 View<const uint8_t, 2> starts, View<float, 3> scratch) const {
  const int64_t time = scratch.extent(1);
  const View<const float, 3> moved = past.slice(1, history() - lag, time);
  if (starts.absent() || lag == 0) return moved;
  for (int64_t b = 0; b < moved.extent(0); ++b) {
    int64_t age = lag;  // steps since the sequence started, or more
    for (int64_t t = 0; t < time; ++t) {
      age = starts(b, t) != 0 ? 0 : std::min(age + 1, lag);
      const bool inside = age >= lag;
      for (int64_t i = 0; i < channels_; ++i) scratch(b, t, i) = inside ? moved(b, t, i) : 0.0f;
    }
  }
  return scratch;
}

void Cnn::keep_history(View<const float, 3> past, const Prefill& args) const {
  const int64_t time = args.u.extent(1);
  for (int64_t b = 0; b < args.u.extent(0); ++b) {
    int64_t start = -history();  // of the sequence that is last
    for (int64_t t = 0; t < time && !args.starts.absent(); ++t) {
      if (args.starts(b, t) != 0) start = t;
    }
    for (int64_t t = 0; t < history(); ++t) {
      const bool inside = time - history() + t >= start;
      for (int64_t i = 0; i < channels_; ++i) {
        args.state(b, t * channels_ + i) = inside ? past(b, time + t, i) : 0.0f;
      }
    }
  }
}

void Cnn::prefill(const Prefill& args, Workspace& workspace) const {
  check(*this, args, "cnn");
  const Workspace::Scope scope(workspace);
  const int64_t batch = args.u.extent(0), time = args.u.extent(1);
  const int64_t steps = history() + time;
  const View<float, 3> past(workspace.take<float>(batch * steps * channels_).data(),
                            {batch, steps, channels_});
  const View<float, 3> scratch(workspace.take<float>(batch * time * channels_).data(),
                               {batch, time, channels_});
  for (int64_t b = 0; b < batch; ++b) {
    for (int64_t i = 0; i < history() * channels_; ++i) past[b].data()[i] = args.state(b, i);
    for (int64_t t = 0; t < time; ++t) {
      for (int64_t i = 0; i < channels_; ++i) past(b, history() + t, i) = args.u(b, t, i);
    }
  }
  for (int64_t k = 0; k < width_; ++k) {
    project({.x = lagged(past, k * dilation_, args.starts, scratch),
             .W = W_[k],
             .b = k == 0 ? b_ : View<const float, 1>(),
             .y = args.y,
             .accumulate = k == 0 ? ops::Accumulate::kOverwrite : ops::Accumulate::kAdd});
  }
  keep_history(past, args);
}

}  // namespace

Schema schema() {
  return {
      {"width", int64_t{4}, "steps that an output looks at, itself included", 1, 4096},
      {"dilation", int64_t{1}, "distance of these steps: (width - 1) dilation + 1 are spanned", 1,
       1 << 20},
  };
}

ParameterTable parameters(const Options& options, int64_t channels) {
  const int64_t width = options.integer("width");
  const double bound = 1 / std::sqrt(static_cast<double>(width * channels));
  const auto init = uniform_init(-bound, bound);
  return {
      {"weight", {width, channels, channels}, ParameterGroup::kMain, init},
      {"bias", {channels}, ParameterGroup::kNoDecay, init},
  };
}

std::unique_ptr<Mixer> make(const Options& options, int64_t channels, const Weights& weights,
                            double rate) {
  check_no_rate("cnn", rate);
  return std::make_unique<Cnn>(options, channels, weights);
}

}  // namespace longwave::mixers::cnn
