// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <complex>
#include <cstddef>
#include <cstdint>
#include <span>

#include "longwave/base/tensor.h"
#include "longwave/base/view.h"
#include "longwave/base/workspace.h"

namespace longwave::ops {

/// One diagonal-plus-low-rank system a channel, conjugate pairs stored once.
template <typename T>
struct DplrSystems {
  View<const std::complex<T>, 2> Lambda;  // (channels, modes), Re <= 0
  View<const std::complex<T>, 3> P;       // (rank, channels, modes), rank 1 or 2
  View<const std::complex<T>, 2> B;       // (channels, modes)
  View<const std::complex<T>, 2> C;       // (channels, modes): not the Ct of dplr_kernel
  View<const T, 1> dt;                    // (channels)
  View<const T, 1> d;                     // (channels), or absent for no skip
};

/// The bilinear step of systems as numbers that a sample only multiplies and adds.
///
/// With h = dt / 2 and D = 1 / (1 - h Lambda), Woodbury's identity gives for x on (x, conj x)
///
///   s_r  = Re(sum_n g_rn x_n)                   g_r = 2 h D sum_q (M^-1)_rq conj P_q
///   x_n <- a_n x_n + b_n u + sum_r e_rn s_r     M_rq = [r = q] + 2 h Re(sum_n conj P_rn D_n P_qn)
///   y    = Re(sum_n c_n x_n) + d u              a = 2 D - 1, e_r = -2 D P_r, c = 2 C
///
/// with b = 2 h D B + sum_r e_r Re(sum_n g_rn h B_n): what u does through s is folded in. The s_r
/// are real because the second half of P^* x is the conjugate of the first.
///
/// Source     Gu et al. 2022, arXiv:2111.00396 (S4), lemma C.2 (the recurrent view).
/// Numerics   computed in double, rounded once.
/// Cost       O(modes rank^2) a channel, and memory for 2 (8 + 4 rank) numbers a mode.
/// Errors     InvalidArgument if shapes disagree or the rank is not 1 or 2.
/// Threads    immutable after construction.
class DplrScanFactors {
 public:
  explicit DplrScanFactors(const DplrSystems<float>& systems);

  /// Channels and modes are padded with zeros to blocks of this many.
  static constexpr int64_t kBlock = 16;

  /// Numbers of one mode in order: a, b, c, then e_r and g_r for each r; each re, then im.
  static constexpr int64_t numbers(int64_t rank) { return 6 + 4 * rank; }

  int64_t channels() const { return channels_; }
  int64_t modes() const { return modes_; }
  int64_t rank() const { return rank_; }

  /// (modes, numbers, kBlock channels) of a block of channels.
  const float* of_channels(int64_t block) const {
    return by_channel_.elements<float>().data() + block * modes_ * numbers(rank_) * kBlock;
  }
  /// (mode blocks, numbers, kBlock modes) of one channel.
  const float* of_modes(int64_t channel) const {
    return by_mode_.elements<float>().data() + channel * mode_blocks() * numbers(rank_) * kBlock;
  }
  int64_t mode_blocks() const { return (modes_ + kBlock - 1) / kBlock; }

  /// d of each channel, zero if absent.
  std::span<const float> d() const { return d_.elements<float>(); }

 private:
  int64_t channels_, modes_, rank_;
  Tensor by_channel_, by_mode_, d_;
};

/// S4 as a recurrence: the bilinear step of diagonal-plus-low-rank systems, one sample at a time.
///
///   x[t] = Abar x[t-1] + Bbar u[t],   y[t] = 2 Re(C x[t]) + d u[t]
///   Abar = (1 - dt A / 2)^-1 (1 + dt A / 2),  Bbar = (1 - dt A / 2)^-1 dt B,  A = Lambda - P P^*
///
/// The same function of u as dplr_kernel and long_conv with C = Ct (1 - Abar^length)^-1, except
/// that its kernel is infinite. The state is that of the paper, not scaled.
///
/// Source     Gu et al. 2022, arXiv:2111.00396 (S4), theorem 2 and lemma C.2.
/// Numerics   float32 state and sums; long and short calls order sums differently, so that results
///            of different splits of a sequence agree up to rounding. Subnormals count as zero.
/// Cost       (8 + 4 rank) multiply-adds a mode and sample; no allocation.
/// Errors     InvalidArgument if shapes disagree.
/// Threads    parallel over channels and batch; the result does not depend on how many.
template <typename T>
struct DplrScanArgs {
  View<const T, 3> u;                        // (batch, time, channels)
  View<std::complex<T>, 3> x;                // (batch, channels, modes) in: x[-1], out: x[time-1]
  View<T, 3> y;                              // (batch, time, channels) out
  DplrSystems<T> systems;                    // read in double
  const DplrScanFactors* factors = nullptr;  // read in float
};

/// Bytes of workspace that let all threads run, whatever the length of the sequence.
size_t dplr_scan_workspace_bytes(int64_t modes);

void dplr_scan(const DplrScanArgs<float>& args, Workspace& workspace);
void dplr_scan(const DplrScanArgs<double>& args, Workspace& workspace);

/// The step as section 3 of the paper has it, one solve with A at a time; float and double.
template <typename T>
void dplr_scan_ref(const DplrScanArgs<T>& args);

/// Lanes are channels, for long sequences; behind dplr_scan, no checks.
void dplr_scan_cpu(const DplrScanArgs<float>& args, Workspace& workspace);
/// Lanes are modes, for single samples and few channels; behind dplr_scan, no checks.
void dplr_step_cpu(const DplrScanArgs<float>& args);

}  // namespace longwave::ops
