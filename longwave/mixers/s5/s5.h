// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <complex>
#include <cstdint>
#include <memory>
#include <vector>

#include "longwave/base/options.h"
#include "longwave/base/parameter.h"
#include "longwave/mixers/diagonal/diagonal_mimo.h"
#include "longwave/mixers/registry.h"

namespace longwave::theory {
enum class Discretization;
}

namespace longwave::mixers::s5 {

/// S5: one diagonal state space model for all channels. README.md has the equations.
Schema schema();

/// Errors     ConfigError if the options contradict each other.
ParameterTable parameters(const Options& options, int64_t channels);

/// What the options say; the torch form asks the same.
struct Settings {
  int64_t channels;
  int64_t state;   ///< P of the paper before halving: `ssm_size`
  int64_t blocks;  ///< J: equal blocks, each a HiPPO matrix at the start
  int64_t modes;   ///< complex numbers kept: state / 2 with conj_sym, else state
  bool conj_sym, bilinear, clip_eigs, bidirectional;
  Settings(const Options& options, int64_t channels);
};

/// Largest real part of a pole under `clip_eigs`.
inline constexpr double kClippedRe = -1e-4;

/// Poles and steps in continuous time, for steps of any length.
struct Continuous {
  std::vector<std::complex<double>> Lambda;  // (modes)
  std::vector<double> dt;                    // (modes), rate included
};

/// The layer, with irregular sampling beside what every mixer can do.
///
/// Threads    immutable: share it freely.
class S5 : public DiagonalMimo {
 public:
  S5(Continuous continuous, theory::Discretization rule, MimoFactors factors);

  /// Samples that are not equally far apart: step t lasts `intervals(b, t)` regular steps, the time
  /// since the sample before. All 1 gives `prefill`.
  ///
  ///   x[t] = exp(Lambda dt interval[t]) x[t-1] + gain(dt interval[t]) B u[t]
  struct Irregular {
    View<const float, 3> u;          // (batch, time, channels)
    View<const float, 2> intervals;  // (batch, time) > 0
    View<float, 2> state;            // (batch, state_size) in: before, out: after
    View<float, 3> y;                // (batch, time, channels) out
  };

  /// Source     Smith, Warrington, Linderman 2023, arXiv:2208.04933, section 6.3. B u is computed
  ///            once and scaled; no matrix is discretised again.
  /// Errors     InvalidArgument if shapes disagree, an interval is not positive, or the layer is
  ///            bidirectional.
  void prefill_irregular(const Irregular& args, Workspace& workspace) const;
  size_t irregular_workspace_bytes(int64_t batch, int64_t time) const;

 private:
  void discretize(View<const float, 2> intervals, View<Complex, 3> a, View<Complex, 3> scale) const;

  Continuous continuous_;
  theory::Discretization rule_;
  std::vector<std::complex<double>> gain_;  // (modes) of a regular step, which B contains
};

/// Errors     DataError if a weight is missing or misshapen; ConfigError as `parameters`.
std::unique_ptr<S5> make_s5(const Options& options, int64_t channels, const Weights& weights,
                            double rate);
std::unique_ptr<Mixer> make(const Options& options, int64_t channels, const Weights& weights,
                            double rate);

inline constexpr Family kFamily = {
    "s5", "diagonal state space model of all channels, with irregular sampling (S5)", schema,
    parameters, make};

}  // namespace longwave::mixers::s5
