// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <complex>
#include <limits>

#include "longwave/base/error.h"
#include "longwave/base/philox.h"
#include "longwave/inspect/verify.h"
#include "longwave/mixers/registry.h"
#include "longwave/theory/system.h"

namespace longwave::inspect {
namespace {

using Complex = std::complex<double>;

/// What may be wrong with a layer.
enum class Fault { kNone, kPole, kReadout, kForgetsState, kStepDiffers, kNotFinite, kLate };

/// A plain diagonal layer in float32: one system a channel, or one of all channels.
class PlainMixer : public mixers::Mixer {
 public:
  PlainMixer(int64_t systems, int64_t width, int64_t modes, Fault fault)
      : systems_(systems), width_(width), modes_(modes), fault_(fault) {
    Random random(3);
    const auto draw = [&]() { return Complex(random.normal(), random.normal()); };
    for (int64_t i = 0; i < systems; ++i) {
      theory::DiscreteSystem system;
      system.A = Eigen::MatrixXcd::Zero(modes, modes);
      for (int64_t n = 0; n < modes; ++n) {
        system.A(n, n) = std::polar(std::exp(-random.uniform(0.001, 0.1)), random.uniform(-3, 3));
      }
      system.B = Eigen::MatrixXcd::NullaryExpr(modes, width, draw);
      system.C = Eigen::MatrixXcd::NullaryExpr(width, modes, draw);
      system.D = Eigen::MatrixXd::Identity(width, width);
      exact_.push_back(system);
    }
  }

  int64_t channels() const override { return systems_ * width_; }
  int64_t state_size() const override { return 2 * systems_ * modes_; }
  size_t workspace_bytes(int64_t, int64_t) const override { return 0; }
  int64_t system_count() const override { return systems_; }
  theory::DiscreteSystem system(int64_t index) const override {
    return exact_[static_cast<size_t>(index)];
  }

  void prefill(const Prefill& args, Workspace&) const override {
    for (int64_t t = 0; t < args.u.extent(1); ++t) {
      const float keep = fault_ == Fault::kForgetsState && t == 0 ? 0 : 1;
      for (int64_t i = 0; i < systems_; ++i)
        advance(i, args.u[0][t], args.y[0][t], args.state[0], keep);
    }
    const bool spoils = fault_ == Fault::kNotFinite && args.u.extent(1) > 0;
    if (spoils) args.y(0, 0, 0) = std::numeric_limits<float>::infinity();
  }
  void step(const Step& args, Workspace&) const override {
    for (int64_t i = 0; i < systems_; ++i) advance(i, args.u[0], args.y[0], args.state[0], 1);
    if (fault_ == Fault::kStepDiffers) args.y(0, 0) += 1e-2F;
  }

 private:
  using Float = std::complex<float>;

  void advance(int64_t index, View<const float, 1> u, View<float, 1> y, View<float, 1> state,
               float keep) const {
    const theory::DiscreteSystem& system = exact_[static_cast<size_t>(index)];
    for (int64_t o = 0; o < width_; ++o) y(index * width_ + o) = 0;
    for (int64_t n = 0; n < modes_; ++n) {
      const int64_t at = 2 * (index * modes_ + n);
      Float a(system.A(n, n));
      if (fault_ == Fault::kPole && n == 1) a *= 1.001F;
      const Float before = keep * Float(state(at), state(at + 1));
      Float x = a * before;
      for (int64_t i = 0; i < width_; ++i) x += Float(system.B(n, i)) * u(index * width_ + i);
      state(at) = x.real();
      state(at + 1) = x.imag();
      const Float seen = fault_ == Fault::kLate ? before : x;
      for (int64_t o = 0; o < width_; ++o) {
        const float wrong = fault_ == Fault::kReadout ? 1.01F : 1.0F;
        y(index * width_ + o) += (wrong * Float(system.C(o, n)) * seen).real();
      }
    }
    for (int64_t o = 0; o < width_; ++o) y(index * width_ + o) += u(index * width_ + o);
  }

  int64_t systems_, width_, modes_;
  Fault fault_;
  std::vector<theory::DiscreteSystem> exact_;
};

std::vector<ViewCheck> checks_of(const PlainMixer& mixer) {
  return verify_mixer(mixer, "layer 0 (plain)", {.length = 211, .splits = 3, .seed = 5}, {});
}

const ViewCheck& view(const std::vector<ViewCheck>& checks, const std::string& name) {
  const auto found = std::ranges::find(checks, name, &ViewCheck::view);
  require(found != checks.end(), "test", "no such view");
  return *found;
}

TEST(VerifyMixer, AllViewsOfARightLayerAgree) {
  for (const auto& [systems, width] : {std::pair{7, 1}, std::pair{1, 11}, std::pair{2, 3}}) {
    for (const ViewCheck& check : checks_of({systems, width, 6, Fault::kNone})) {
      EXPECT_TRUE(check.ok()) << check.view << ' ' << check.difference << " > " << check.bound;
      EXPECT_GT(check.difference, 0) << check.view;
    }
  }
}

TEST(VerifyMixer, AllViewsOfEveryFamilyAgree) {
  for (const mixers::Family& family : mixers::families()) {
    Options options(family.schema());
    if (options.has("state")) options.set("state", int64_t{16}, "test");
    const Weights weights = initialise(family.parameters(options, 6), 11);
    // Views are those of linear time-invariant systems; of others there are no checks.
    if (family.make(options, 6, weights, 1)->system_count() == 0) continue;
    for (const double rate : {1.0, 0.5}) {
      const auto mixer = family.make(options, 6, weights, rate);
      for (const ViewCheck& check :
           verify_mixer(*mixer, std::string(family.name), {.length = 131, .seed = 2}, {})) {
        EXPECT_TRUE(check.ok()) << family.name << ' ' << check.view << ": " << check.difference
                                << " > " << check.bound << " at step " << check.step;
        if (::testing::Test::HasFailure()) break;
      }
    }
  }
}

TEST(VerifyMixer, FindsWhatIsWrong) {
  struct Case {
    Fault fault;
    std::vector<std::string> failing, passing;
  };
  const std::vector<Case> cases = {
      {Fault::kPole, {"recurrent", "chunked", "prefill"}, {"convolution"}},
      {Fault::kReadout, {"recurrent", "chunked", "prefill"}, {"convolution"}},
      {Fault::kLate, {"recurrent", "chunked", "prefill"}, {"convolution"}},
      {Fault::kForgetsState, {"chunked"}, {"recurrent", "prefill", "convolution"}},
      {Fault::kStepDiffers, {"recurrent"}, {"chunked", "prefill", "convolution"}},
      {Fault::kNotFinite, {"chunked", "prefill"}, {"recurrent", "convolution"}},
  };
  for (const Case& one : cases) {
    const std::vector<ViewCheck> checks = checks_of({3, 2, 4, one.fault});
    for (const std::string& name : one.failing) {
      EXPECT_FALSE(view(checks, name).ok()) << name << " of " << static_cast<int>(one.fault);
    }
    for (const std::string& name : one.passing) {
      EXPECT_TRUE(view(checks, name).ok()) << name << " of " << static_cast<int>(one.fault);
    }
  }
}

TEST(VerifyMixer, ComparesTheTrainingForm) {
  const PlainMixer mixer(3, 1, 4, Fault::kNone);
  const auto silent = [](std::span<const float> u, int64_t) {
    return std::vector<float>(u.size(), 0.0F);
  };
  const std::vector<ViewCheck> checks =
      verify_mixer(mixer, "layer 0 (plain)", {.length = 33}, silent);
  EXPECT_FALSE(view(checks, "training").ok());
  EXPECT_TRUE(view(checks, "prefill").ok());
}

TEST(VerifyMixer, PiecesCoverTheSequence) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    Random random(seed);
    const int64_t time = 1 + random.integer(100);
    int64_t sum = 0;
    for (const int64_t piece : random_pieces(time, random)) {
      EXPECT_GE(piece, 0);
      sum += piece;
    }
    EXPECT_EQ(sum, time);
  }
}

TEST(ViewCheck, WhatIsNotFiniteIsWrong) {
  const double nan = std::nan(""), infinity = std::numeric_limits<double>::infinity();
  const double one = 1, zero = 0;
  const auto ratio = [](const double& got, const double& expected, const double& bound) {
    return compare({.subject = "s",
                    .view = "v",
                    .against = "a",
                    .got = {&got, {1, 1}},
                    .expected = {&expected, {1, 1}},
                    .bound = {&bound, {1, 1}}})
        .ratio;
  };
  EXPECT_EQ(ratio(one, zero, one), 1);
  EXPECT_EQ(ratio(nan, zero, one), infinity);
  EXPECT_EQ(ratio(one, zero, nan), infinity);
  EXPECT_EQ(ratio(one, zero, infinity), infinity);
  EXPECT_EQ(ratio(one, one, zero), infinity);
}

}  // namespace
}  // namespace longwave::inspect
