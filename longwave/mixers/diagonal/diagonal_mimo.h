// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <complex>
#include <cstdint>
#include <vector>

#include "longwave/mixers/mixer.h"

namespace longwave::mixers {

/// What a diagonal layer of many inputs and outputs is after discretisation: S5 and LRU.
///
///   h[t] = a h[t-1] + B u[t],   y[t] = Re(C h[t]) + D u[t]
///
/// With `C_back` the layer is bidirectional: y[t] also gets Re(C_back g[t]) of the states
/// g[t] = a g[t+1] + B u[t] that run from the end, so the present counts in both halves.
struct MimoFactors {
  int64_t channels = 0, modes = 0;
  std::vector<std::complex<double>> a;       // (modes) discrete poles
  std::vector<std::complex<double>> B;       // (modes, channels) with the input gain
  std::vector<std::complex<double>> C;       // (channels, modes) with the 2 of conjugate pairs
  std::vector<std::complex<double>> C_back;  // (channels, modes), or empty: causal
  std::vector<double> D;                     // (channels)
};

/// A layer that is one diagonal system of all channels.
///
/// A state row is `modes` complex numbers; a bidirectional layer keeps no state.
///
/// Source     structured.md 1.6; mathematics.md 2.5.
/// Numerics   factors are computed in double and rounded once; products by ops::matmul, the
///            recurrence by ops::linear_scan.
/// Cost       4 modes channels + 4 modes multiply-adds a step; scratch for a block of steps only,
///            whatever the length.
/// Threads    immutable: share it freely.
class DiagonalMimo : public Mixer {
 public:
  explicit DiagonalMimo(MimoFactors factors);

  int64_t channels() const override { return factors_.channels; }
  int64_t state_size() const override { return causal() ? 2 * factors_.modes : 0; }
  bool causal() const override { return factors_.C_back.empty(); }
  size_t workspace_bytes(int64_t batch, int64_t time) const override;
  void prefill(const Prefill& args, Workspace& workspace) const override;
  void step(const Step& args, Workspace& workspace) const override;
  int64_t system_count() const override { return causal() ? 1 : 0; }
  theory::DiscreteSystem system(int64_t index) const override;

 protected:
  using Complex = std::complex<float>;

  /// Steps that are worked on at a time; a property of the shape, not of the machine.
  static int64_t block_steps(int64_t batch, int64_t time);

  /// One block of steps. a is (batch or 1, time or 1, modes); B u[t] is multiplied by `scale` of
  /// the same extents where it is not absent.
  struct Block {
    View<const float, 3> u;        // (batch, time, channels)
    View<const Complex, 3> a;      // (batch or 1, time or 1, modes)
    View<const Complex, 3> scale;  // (batch, time, modes), or absent
    View<Complex, 2> h;            // (batch, modes) in: before, out: after
    View<float, 3> y;              // (batch, time, channels) out
  };
  void run(const Block& block, Workspace& workspace) const;

  View<const Complex, 3> poles() const { return {a_.data(), {1, 1, factors_.modes}}; }
  int64_t modes() const { return factors_.modes; }

 private:
  enum class Direction : uint8_t { kForward, kBackward };

  void bidirectional(const Prefill& args, Workspace& workspace) const;
  void states(const Block& block, Direction direction, View<Complex, 3> h) const;
  void skip(View<const float, 3> u, View<float, 3> y) const;

  MimoFactors factors_;
  std::vector<Complex> a_;
  std::vector<float> B_;               // (modes, re/im, channels)
  std::vector<float> C_, C_back_, D_;  // (channels, modes, re/-im), the same, (channels)
};

}  // namespace longwave::mixers
