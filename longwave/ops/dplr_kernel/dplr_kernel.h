// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <complex>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "longwave/base/view.h"
#include "longwave/base/workspace.h"
#include "longwave/ops/long_conv/fft.h"

namespace longwave::ops {

/// Low-rank terms that a kernel may have; HiPPO matrices have one or two.
inline constexpr int64_t kDplrMaxRank = 4;

/// Nodes and transform of kernels of one length: what depends on the length only.
///
/// Kernels are real, so that their generating functions are needed at the roots of unity with
/// 0 <= turn <= 1/2 only: the nodes. Each also stands for its conjugate, the mate.
///
/// Errors     InvalidArgument unless length >= 1.
/// Threads    immutable after construction.
class DplrKernelPlan {
 public:
  explicit DplrKernelPlan(int64_t length);

  /// Nodes are padded to full tiles of this many.
  static constexpr int64_t kTile = 64;

  int64_t length() const { return fft_.size(); }
  const FftPlan& fft() const { return fft_; }
  int64_t nodes() const { return static_cast<int64_t>(position_.size()); }
  int64_t padded_nodes() const { return static_cast<int64_t>(cosine_.size()); }

  /// c and s of node w = exp(-2 i theta), and products of them that the Cauchy sums need.
  std::span<const float> cosine() const { return cosine_; }
  std::span<const float> sine() const { return sine_; }
  std::span<const float> cosine_squared() const { return cosine_squared_; }
  std::span<const float> sine_squared_4() const { return sine_squared_4_; }
  std::span<const float> sine_cosine_4() const { return sine_cosine_4_; }

  /// Rows of the transform that belong to a node and to its conjugate; equal for w = 1 and -1.
  int64_t position(int64_t node) const { return position_[node]; }
  int64_t mate(int64_t node) const { return mate_[node]; }

 private:
  FftPlan fft_;
  std::vector<int64_t> position_, mate_;
  std::vector<float> cosine_, sine_, cosine_squared_, sine_squared_4_, sine_cosine_4_;
};

/// The convolution kernel of S4: a diagonal-plus-low-rank system, discretised by the bilinear rule.
///
///   A = diag(Lambda) - P P^*  on (x, conj x),   Abar = (1 - dt A / 2)^-1 (1 + dt A / 2),
///   Bbar = (1 - dt A / 2)^-1 dt B,              K_l = 2 Re(C Abar^l Bbar),   l < length
///
/// from the generating function at the roots of unity w = exp(-2 pi i k / length),
///
///   Khat(w) = 2 (r_00 - (1 + w) r_0P (1 + (1 + w) r_PP)^-1 r_P0)
///   r_ij(w) = sum_n v_ijn / (2 (1 - w) - dt Lambda_n (1 + w))  + the same of the conjugates
///   v_ij    = dt c_i b_j,   c = (Ct, conj P),   b = (B, P)
///
/// which has no pole at w = -1. Ct = C (1 - Abar^length) is what a layer learns: the length of the
/// kernel is a property of Ct, and another length needs another Ct. Any length works; 2^a and 3 2^a
/// are fast.
///
/// Source     Gu et al. 2022, arXiv:2111.00396 (S4), theorem 3 and algorithm 1, with the factor
///            2 / (1 + w) multiplied into the sums.
/// Numerics   dt is folded in double; float32 error about 1e-6 of max |K|. Re Lambda < 0, dt > 0.
/// Cost       (16 + 8 rank) multiply-adds for each mode and node at rank 1, one reciprocal;
///            a conjugate pair is one term with a real numerator and denominator in z^2.
/// Errors     InvalidArgument if shapes disagree, rank > kDplrMaxRank or the plan has another
/// length. Threads    parallel over channels; the result does not depend on how many.
template <typename T>
struct DplrKernelArgs {
  View<const std::complex<T>, 2> Lambda;  // (channels, modes)
  View<const std::complex<T>, 3> P;       // (rank, channels, modes), or absent for rank 0
  View<const std::complex<T>, 2> B;       // (channels, modes)
  View<const std::complex<T>, 2> Ct;      // (channels, modes)
  View<const T, 1> dt;                    // (channels)
  View<T, 2> K;                           // (channels, length) out
  const DplrKernelPlan* plan = nullptr;   // of this length; not needed in double
};

/// Gradients of dplr_kernel. A complex gradient is dL/d(re) + i dL/d(im). Outputs are overwritten.
template <typename T>
struct DplrKernelGradArgs {
  View<const std::complex<T>, 2> Lambda;
  View<const std::complex<T>, 3> P;
  View<const std::complex<T>, 2> B;
  View<const std::complex<T>, 2> Ct;
  View<const T, 1> dt;
  View<const T, 2> dK;  // (channels, length)
  View<std::complex<T>, 2> dLambda;
  View<std::complex<T>, 3> dP;  // absent if P is
  View<std::complex<T>, 2> dB;
  View<std::complex<T>, 2> dCt;
  View<T, 1> ddt;
  const DplrKernelPlan* plan = nullptr;
};

/// Bytes of workspace that let all threads run, forward or backward.
size_t dplr_kernel_workspace_bytes(int64_t length, int64_t channels, int64_t modes, int64_t rank);

void dplr_kernel(const DplrKernelArgs<float>& args, Workspace& workspace);
void dplr_kernel(const DplrKernelArgs<double>& args, Workspace& workspace);
void dplr_kernel_grad(const DplrKernelGradArgs<float>& args, Workspace& workspace);
void dplr_kernel_grad(const DplrKernelGradArgs<double>& args, Workspace& workspace);

/// The formula, line by line; float and double.
template <typename T>
void dplr_kernel_ref(const DplrKernelArgs<T>& args);
template <typename T>
void dplr_kernel_grad_ref(const DplrKernelGradArgs<T>& args);

/// SIMD over nodes, behind dplr_kernel: no checks.
void dplr_kernel_cpu(const DplrKernelArgs<float>& args, Workspace& workspace);
void dplr_kernel_grad_cpu(const DplrKernelGradArgs<float>& args, Workspace& workspace);

}  // namespace longwave::ops
