// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace longwave::ops {

/// Numbers that one row of a transform can hold at most: a row is one point of that many sequences.
inline constexpr int64_t kFftMaxLanes = 16;

/// Factors and roots of a transform: what depends on its size only.
///
///   X_p = sum_{j<size} z_j x_p^j,     x_p = exp(2 pi i turn(p)),     x_p^size = exp(2 pi i root)
///
/// The transform evaluates a polynomial at all roots of x^size = exp(2 pi i root). With root 0 that
/// is the discrete Fourier transform. With root 1/4 the polynomial is taken modulo x^size - i, so
/// that a product of real sequences comes out with coefficient j in the real part and coefficient
/// j + size in the imaginary part of point j: a linear convolution of real sequences of up to
/// `size` samples needs no padding, and no untangling of real spectra ("right-angle convolution").
///
/// Points come in the order in which the divisions x^n - c -> x^(n/r) - c^(1/r) end; products do
/// not care, `turn` tells who is who.
///
/// Source     Bernstein, "Multidigit multiplication for mathematicians", 2001 (polynomial
/// splitting). Numerics   roots are rounded once from double; the error of a transform grows with
/// log(size). Cost       construction about size evaluations of sine and cosine. Errors
/// InvalidArgument unless size >= 1 and 0 <= root < 1. Threads    immutable after construction.
class FftPlan {
 public:
  explicit FftPlan(int64_t size, double root = 0);

  /// One level of the divisions: `blocks` polynomials of `size` coefficients split by `radix`.
  struct Pass {
    int64_t radix = 0;
    int64_t blocks = 0;
    int64_t size = 0;
    int64_t first_root = 0;   // index in roots() of the first block
    int64_t block_roots = 0;  // floats of one block in roots()
    int64_t unity = 0;        // index in roots() of the radix-th roots of unity, for odd radices
  };

  int64_t size() const { return size_; }
  double root() const { return root_; }
  std::span<const Pass> passes() const { return passes_; }

  /// Powers of the roots by pass and block, as (re, im) pairs.
  std::span<const float> roots() const { return roots_; }

  /// Angle of the root that output `position` belongs to, in turns, 0 <= turn < 1.
  double turn(int64_t position) const { return turns_[position]; }

  /// Rows of scratch that a transform needs beside its data.
  int64_t scratch_rows() const { return scratch_rows_; }

  /// The smallest size of the form 2^a or 3 2^a that is at least `size`: these are fast.
  static int64_t good_size(int64_t size);

 private:
  int64_t size_;
  double root_;
  std::vector<Pass> passes_;
  std::vector<float> roots_;
  std::vector<double> turns_;
  int64_t scratch_rows_ = 0;
};

/// Numbers in one vector of this machine, the width of a row; at most kFftMaxLanes.
int64_t fft_lanes();

/// Transforms `fft_lanes()` complex sequences at once, in place.
///
/// Row j of `rows` is point j: fft_lanes() real parts, then as many imaginary parts. `rows` holds
/// plan.size() rows and `scratch` plan.scratch_rows(), both 64-byte aligned. The inverse is not
/// scaled: forward then inverse multiplies by size.
///
/// Cost       36 vector operations a row at size 4096; passes run depth first, so that all but the
///            top levels stay in the first cache.
/// Threads    safe for distinct rows and scratch.
void fft_forward(const FftPlan& plan, float* rows, float* scratch);
void fft_inverse(const FftPlan& plan, float* rows, float* scratch);

}  // namespace longwave::ops
