// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/s4/s4.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "longwave/base/parallel.h"
#include "longwave/mixers/diagonal/complex_rows.h"
#include "longwave/mixers/look_ahead.h"
#include "longwave/mixers/s4/s4_system.h"
#include "longwave/ops/dplr_scan/dplr_scan.h"
#include "longwave/theory/dplr.h"

namespace longwave::mixers::s4 {
namespace {

/// A continuous system, its step size and its skip.
struct Channel {
  theory::Dplr system;
  double dt, D;
};

/// The channels of a layer with the readout C recovered from the Ct called `readout`.
std::vector<Channel> recovered_channels(const Shapes& shapes, const Weights& weights, double rate,
                                        const std::string& readout) {
  const Parts parts(shapes, weights);
  const auto Ct = weights.get(readout, {shapes.channels, shapes.modes, 2});
  const auto D = weights.get("D", {shapes.channels});
  const auto row = static_cast<size_t>(2 * shapes.modes);
  std::vector<Channel> channels(static_cast<size_t>(shapes.channels));
  parallel_for(shapes.channels, 1, [&](int64_t begin, int64_t end) {
    for (auto h = static_cast<size_t>(begin); h < static_cast<size_t>(end); ++h) {
      const auto index = static_cast<int64_t>(h);
      theory::Dplr system = parts.system(index, complex_row(Ct.subspan(h * row, row)));
      // Ct belongs to the step size of training; `rate` changes the step size alone.
      system.C = theory::recovered_output(system, parts.dt(index), shapes.length);
      channels[h] = {std::move(system), rate * parts.dt(index), D[h]};
    }
  });
  return channels;
}

/// The constants of the recurrence; `skip` says whether D is part of it.
enum class Skip : uint8_t { kWith, kWithout };

ops::DplrScanFactors scan_factors(const Shapes& shapes, const std::vector<Channel>& channels,
                                  Skip skip) {
  using Complexes = std::vector<std::complex<float>>;
  const auto numbers = static_cast<size_t>(shapes.channels * shapes.modes);
  Complexes Lambda, B, C, P(static_cast<size_t>(shapes.rank) * numbers);
  std::vector<float> dt, D;
  for (const Channel& channel : channels) {
    for (int64_t n = 0; n < shapes.modes; ++n) {
      for (int64_t r = 0; r < shapes.rank; ++r) {
        P[static_cast<size_t>(r) * numbers + Lambda.size()] =
            std::complex<float>(channel.system.P(n, r));
      }
      Lambda.emplace_back(channel.system.Lambda(n));
      B.emplace_back(channel.system.B(n));
      C.emplace_back(channel.system.C(n));
    }
    dt.push_back(static_cast<float>(channel.dt));
    D.push_back(skip == Skip::kWith ? static_cast<float>(channel.D) : 0.0f);
  }
  const auto view = [&](const Complexes& values) {
    return View<const std::complex<float>, 2>(values.data(), {shapes.channels, shapes.modes});
  };
  return ops::DplrScanFactors({.Lambda = view(Lambda),
                               .P = {P.data(), {shapes.rank, shapes.channels, shapes.modes}},
                               .B = view(B),
                               .C = view(C),
                               .dt = {dt.data(), {shapes.channels}},
                               .d = {D.data(), {shapes.channels}}});
}

class S4 : public Mixer {
 public:
  S4(const Shapes& shapes, std::vector<Channel> channels)
      : shapes_(shapes),
        channels_(std::move(channels)),
        ahead_(scan_factors(shapes, channels_, Skip::kWith)) {}

  int64_t channels() const override { return shapes_.channels; }
  int64_t state_size() const override { return 2 * shapes_.channels * shapes_.modes; }
  int64_t system_count() const override { return shapes_.channels; }

  size_t workspace_bytes(int64_t batch, int64_t) const override {
    return ops::dplr_scan_workspace_bytes(shapes_.modes) +
           ComplexRows::workspace_bytes(batch, 2 * shapes_.channels * shapes_.modes);
  }

  void prefill(const Prefill& args, Workspace& workspace) const override {
    check(*this, args, "s4");
    const Workspace::Scope scope(workspace);
    const ComplexRows x(args.state, workspace);
    scan(ahead_, args.u, x.view(shapes_.channels, shapes_.modes), args.y, workspace);
    x.store();
  }

  void step(const Step& args, Workspace& workspace) const override {
    check(*this, args, "s4");
    prefill(as_prefill(args), workspace);
  }

  theory::DiscreteSystem system(int64_t channel) const override {
    if (channel < 0 || channel >= system_count()) return Mixer::system(channel);
    const Channel& of = channels_[static_cast<size_t>(channel)];
    theory::DiscreteSystem system = theory::bilinear_system(of.system, of.dt);
    system.D(0, 0) = of.D;
    return system;
  }

 protected:
  static void scan(const ops::DplrScanFactors& factors, const View<const float, 3>& u,
                   const View<std::complex<float>, 3>& x, const View<float, 3>& y,
                   Workspace& workspace) {
    ops::dplr_scan({.u = u, .x = x, .y = y, .systems = {}, .factors = &factors}, workspace);
  }

  const Shapes& shapes() const { return shapes_; }
  const ops::DplrScanFactors& ahead() const { return ahead_; }

 private:
  Shapes shapes_;
  std::vector<Channel> channels_;
  ops::DplrScanFactors ahead_;
};

/// Also a readout over later inputs: keeps no state and cannot stream.
class BidirectionalS4 : public S4 {
 public:
  BidirectionalS4(const Shapes& shapes, std::vector<Channel> channels,
                  const std::vector<Channel>& back)
      : S4(shapes, std::move(channels)), back_(scan_factors(shapes, back, Skip::kWithout)) {}

  bool causal() const override { return false; }
  int64_t state_size() const override { return 0; }
  int64_t system_count() const override { return 0; }

  size_t workspace_bytes(int64_t batch, int64_t time) const override {
    return S4::workspace_bytes(batch, time) +
           look_ahead_workspace_bytes(batch, time, shapes().channels) +
           Workspace::bytes_for<std::complex<float>>(state_numbers(batch));
  }

  void prefill(const Prefill& args, Workspace& workspace) const override {
    check(*this, args, "s4");
    const Workspace::Scope scope(workspace);
    const auto state = workspace.take<std::complex<float>>(state_numbers(args.u.extent(0)));
    const View<std::complex<float>, 3> x(state.data(),
                                         {args.u.extent(0), shapes().channels, shapes().modes});
    std::ranges::fill(state, 0.0f);
    scan(ahead(), args.u, x, args.y, workspace);
    add_look_ahead(args, workspace, [&](const View<const float, 3>& u, const View<float, 3>& y) {
      std::ranges::fill(state, 0.0f);
      scan(back_, u, x, y, workspace);
    });
  }

 private:
  int64_t state_numbers(int64_t batch) const { return batch * shapes().channels * shapes().modes; }

  ops::DplrScanFactors back_;
};

}  // namespace

std::unique_ptr<Mixer> make(const Options& options, int64_t channels, const Weights& weights,
                            double rate) {
  const Shapes shapes(options, channels);
  std::vector<Channel> ahead = recovered_channels(shapes, weights, rate, "Ct");
  if (!options.flag("bidirectional")) return std::make_unique<S4>(shapes, std::move(ahead));
  return std::make_unique<BidirectionalS4>(shapes, std::move(ahead),
                                           recovered_channels(shapes, weights, rate, "Ct_back"));
}

}  // namespace longwave::mixers::s4
