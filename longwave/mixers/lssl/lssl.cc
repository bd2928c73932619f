// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/lssl/lssl.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/base/parallel.h"
#include "longwave/ops/dense_scan/dense_scan.h"
#include "longwave/theory/discretize.h"
#include "longwave/theory/hippo.h"

namespace longwave::mixers::lssl {
namespace {

/// Discrete systems, one a channel; matrices by columns, as the scan wants them.
class Lssl : public Mixer {
 public:
  Lssl(int64_t channels, int64_t n)
      : channels_(channels),
        n_(n),
        systems_(static_cast<size_t>(channels)),
        A_(static_cast<size_t>(channels * n * n)),
        B_(static_cast<size_t>(channels * n)),
        C_(static_cast<size_t>(channels * n)),
        D_(static_cast<size_t>(channels)) {}

  /// Each channel once, before use; distinct channels may be set concurrently.
  void set_channel(int64_t channel, theory::DiscreteSystem system) {
    for (int64_t j = 0; j < n_; ++j) {
      for (int64_t i = 0; i < n_; ++i) {
        A_[static_cast<size_t>((channel * n_ + j) * n_ + i)] =
            static_cast<float>(system.A(i, j).real());
      }
      B_[static_cast<size_t>(channel * n_ + j)] = static_cast<float>(system.B(j, 0).real());
      C_[static_cast<size_t>(channel * n_ + j)] = static_cast<float>(system.C(0, j).real());
    }
    D_[static_cast<size_t>(channel)] = static_cast<float>(system.D(0, 0));
    systems_[static_cast<size_t>(channel)] = std::move(system);
  }

  int64_t channels() const override { return channels_; }
  int64_t state_size() const override { return channels_ * n_; }
  int64_t system_count() const override { return channels_; }

  size_t workspace_bytes(int64_t, int64_t) const override {
    return ops::dense_scan_workspace_bytes(channels_, n_);
  }

  void prefill(const Prefill& args, Workspace& workspace) const override {
    check(*this, args, "lssl");
    const View<float, 2> rows = args.state;
    ops::dense_scan({.u = args.u,
                     .A = {A_.data(), {channels_, n_, n_}, {n_ * n_, 1, n_}},
                     .B = {B_.data(), {channels_, n_}},
                     .C = {C_.data(), {channels_, n_}},
                     .d = {D_.data(), {channels_}},
                     .x = {rows.data(),
                           {rows.extent(0), channels_, n_},
                           {rows.stride(0), n_ * rows.stride(1), rows.stride(1)}},
                     .y = args.y},
                    workspace);
  }

  void step(const Step& args, Workspace& workspace) const override {
    check(*this, args, "lssl");
    prefill(as_prefill(args), workspace);
  }

  theory::DiscreteSystem system(int64_t channel) const override {
    if (channel < 0 || channel >= channels_) return Mixer::system(channel);
    return systems_[static_cast<size_t>(channel)];
  }

 private:
  int64_t channels_, n_;
  std::vector<theory::DiscreteSystem> systems_;
  std::vector<float> A_, B_, C_, D_;
};

auto init_A(theory::Hippo kind, int64_t n) {
  return [kind, n](std::span<float> out, Random&) {
    const Eigen::MatrixXd A = theory::hippo_matrices(kind, n).A;
    for (int64_t i = 0; i < n * n; ++i) {
      out[static_cast<size_t>(i)] = static_cast<float>(A(i / n, i % n));
    }
  };
}

auto init_B(theory::Hippo kind, int64_t n) {
  return [kind, n](std::span<float> out, Random&) {
    const Eigen::VectorXd B = theory::hippo_matrices(kind, n).B;
    for (int64_t i = 0; i < n; ++i) out[static_cast<size_t>(i)] = static_cast<float>(B(i));
  };
}

void check_options(const Options& options) {
  if (options.real("dt_min") > options.real("dt_max")) {
    throw ConfigError(
        {.where = "lssl", .what = "dt_min must not exceed dt_max", .got = {}, .fix = "swap them"});
  }
  if (options.text("init") == "fout" && options.integer("state") % 2 != 0) {
    throw ConfigError({.where = "lssl",
                       .what = "state must be even: FouT's basis comes in pairs",
                       .got = std::to_string(options.integer("state")),
                       .fix = "add or take 1"});
  }
}

}  // namespace

Schema schema() {
  return {
      {.key = "state",
       .value = int64_t{64},
       .help = "state dimension N of a channel",
       .least = 1,
       .most = 4096},
      {.key = "init",
       .value = std::string("legs"),
       .help = "the HiPPO matrix that A and B start from",
       .choices = theory::hippo_names()},
      {.key = "train_A",
       .value = false,
       .help = "whether A and B are trained; all channels share them"},
      {.key = "alpha",
       .value = 0.5,
       .help = "generalised bilinear rule: 0 Euler, 0.5 bilinear, 1 backward Euler",
       .least = 0,
       .most = 1},
      {.key = "dt_min",
       .value = 1e-3,
       .help = "smallest initial step size; 1/dt_min is the longest time scale in steps",
       .least = 1e-9,
       .most = 1e3},
      {.key = "dt_max",
       .value = 1e-1,
       .help = "largest initial step size",
       .least = 1e-9,
       .most = 1e3},
  };
}

ParameterTable parameters(const Options& options, int64_t channels) {
  check_options(options);
  const int64_t n = options.integer("state");
  const theory::Hippo kind = theory::hippo(options.text("init"));
  const ParameterGroup group =
      options.flag("train_A") ? ParameterGroup::kSsm : ParameterGroup::kBuffer;
  const double log_min = std::log(options.real("dt_min")),
               log_max = std::log(options.real("dt_max"));
  return {
      {"log_dt", {channels}, ParameterGroup::kSsm, uniform_init(log_min, log_max)},
      {"A", {n, n}, group, init_A(kind, n)},
      {"B", {n}, group, init_B(kind, n)},
      {"C", {channels, n}, ParameterGroup::kMain, normal_init(0, 1)},
      {"D", {channels}, ParameterGroup::kMain, normal_init(0, 1)},
  };
}

std::unique_ptr<Mixer> make(const Options& options, int64_t channels, const Weights& weights,
                            double rate) {
  check_options(options);
  const int64_t n = options.integer("state");
  const double alpha = options.real("alpha");
  const auto log_dt = weights.view<1>("log_dt", {channels});
  const auto A = weights.view<2>("A", {n, n});
  const auto B = weights.view<1>("B", {n});
  const auto C = weights.view<2>("C", {channels, n});
  const auto D = weights.view<1>("D", {channels});
  Eigen::MatrixXcd A_wide(n, n), B_wide(n, 1);
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < n; ++j) A_wide(i, j) = A(i, j);
    B_wide(i, 0) = B(i);
  }
  auto mixer = std::make_unique<Lssl>(channels, n);
  parallel_for(channels, 1, [&](int64_t begin, int64_t end) {
    for (int64_t h = begin; h < end; ++h) {
      const double dt = rate * std::exp(static_cast<double>(log_dt(h)));
      theory::DenseStep step = theory::generalised_bilinear(A_wide, B_wide, dt, alpha);
      Eigen::MatrixXcd C_wide(1, n);
      for (int64_t i = 0; i < n; ++i) C_wide(0, i) = C(h, i);
      mixer->set_channel(h, {.A = std::move(step.A),
                             .B = std::move(step.B),
                             .C = std::move(C_wide),
                             .D = Eigen::MatrixXd::Constant(1, 1, D(h))});
    }
  });
  return mixer;
}

}  // namespace longwave::mixers::lssl
