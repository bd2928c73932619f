// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <complex>
#include <cstdint>
#include <vector>

#include "longwave/mixers/mixer.h"

namespace longwave::mixers {

/// What a diagonal single-input layer is after discretisation: S4D and DSS differ before it only.
///
///   h_n[t] = a_n h_n[t-1] + u[t],   y[t] = Re(sum_n c_n h_n[t]) + D u[t]       for each channel
///
/// The input gain is folded into c. With `c_back` the layer is bidirectional: y[t] also gets
/// Re(sum_n c_back_n sum_{j>=1} a_n^(j-1) u[t+j]), so the present counts once.
struct SisoFactors {
  int64_t channels = 0, modes = 0;
  std::vector<std::complex<double>> a;       // (channels, modes) discrete poles
  std::vector<std::complex<double>> c;       // (channels, modes) readout with gain
  std::vector<std::complex<double>> c_back;  // (channels, modes), or empty: causal
  std::vector<double> D;                     // (channels)
};

/// A layer of independent diagonal systems, one a channel.
///
/// A state row is (channels, modes) complex numbers; a bidirectional layer keeps no state.
///
/// Source     structured.md 1.4, 1.5 and 1.14 (the backward half).
/// Numerics   factors are computed in double and rounded once; the scan is ops::lti_scan.
/// Cost       6 multiply-adds a mode and element, twice that if bidirectional.
/// Threads    immutable: share it freely.
class DiagonalSiso : public Mixer {
 public:
  explicit DiagonalSiso(SisoFactors factors);

  int64_t channels() const override { return factors_.channels; }
  int64_t state_size() const override {
    return causal() ? 2 * factors_.channels * factors_.modes : 0;
  }
  bool causal() const override { return factors_.c_back.empty(); }
  size_t workspace_bytes(int64_t batch, int64_t time) const override;
  void prefill(const Prefill& args, Workspace& workspace) const override;
  void step(const Step& args, Workspace& workspace) const override;
  int64_t system_count() const override { return causal() ? factors_.channels : 0; }
  theory::DiscreteSystem system(int64_t channel) const override;

 private:
  using Complexes = std::vector<std::complex<float>>;

  View<const std::complex<float>, 2> view(const Complexes& numbers) const {
    return {numbers.data(), {factors_.channels, factors_.modes}};
  }
  void bidirectional(const Prefill& args, Workspace& workspace) const;

  SisoFactors factors_;
  Complexes a_, c_, c_back_;
  std::vector<float> D_;
};

}  // namespace longwave::mixers
