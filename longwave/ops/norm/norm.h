// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "longwave/base/view.h"
#include "longwave/base/workspace.h"

namespace longwave::ops {

/// Which statistics a row is normalised with.
enum class RowNorm : uint8_t {
  kLayer,  ///< subtract the mean, divide by the deviation
  kRms,    ///< divide by the root of the mean square
};

/// Layer and root-mean-square normalisation: each row by its own statistics.
///
///   kLayer   y[c] = (x[c] - mean) inverse w[c] + b[c],   inverse = 1 / sqrt(var + epsilon)
///   kRms     y[c] = x[c] inverse w[c],                   inverse = 1 / sqrt(mean(x^2) + epsilon)
///
/// Source     Ba et al. 2016, arXiv:1607.06450; Zhang & Sennrich 2019, arXiv:1910.07467.
/// Numerics   the variance is that of centred values (two passes in cache), divided by channels.
/// Cost       one read and one write of memory; no allocation.
/// Errors     InvalidArgument if shapes disagree.
/// Threads    safe for distinct outputs; the result does not depend on the number of threads.
template <typename T>
struct RowNormArgs {
  RowNorm kind = RowNorm::kLayer;
  T epsilon = T(1e-5);
  View<const T, 2> x;  // (rows, channels)
  View<const T, 1> w;  // (channels)
  View<const T, 1> b;  // (channels), or absent
  View<T, 2> y;        // (rows, channels) out; may be x
  View<T, 2> moments;  // (rows, 2) out: mean, inverse for the gradient; or absent
};
template <typename T>
void row_norm(const RowNormArgs<T>& args);

/// Gradients of row_norm, from the moments that it kept.
template <typename T>
struct RowNormGradArgs {
  RowNorm kind = RowNorm::kLayer;
  View<const T, 2> x;        // (rows, channels)
  View<const T, 1> w;        // (channels)
  View<const T, 2> moments;  // (rows, 2)
  View<const T, 2> dy;       // (rows, channels)
  View<T, 2> dx;             // (rows, channels) out; may be dy
  View<T, 1> dw;             // (channels) out
  View<T, 1> db;             // (channels) out, or absent
};
template <typename T>
void row_norm_grad(const RowNormGradArgs<T>& args, Workspace& workspace);

/// Means and variances of each channel over all valid rows: the statistics of batch normalisation.
///
///   mean[c] = sum_r x[r, c] / rows,   var[c] = sum_r (x[r, c] - mean[c])^2 / rows
///
/// Source     Ioffe & Szegedy 2015, arXiv:1502.03167; pieces are joined as in Chan et al. 1979.
/// Numerics   centred sums in blocks, joined in a fixed order: no cancellation.
/// Errors     InvalidArgument if shapes disagree or no row is valid.
/// Threads    safe for distinct outputs; the result does not depend on the number of threads.
template <typename T>
struct ChannelMomentsArgs {
  View<const T, 2> x;                // (rows, channels)
  std::span<const uint8_t> valid{};  // (rows) 0 for padding; empty for all
  View<T, 1> mean;                   // (channels) out
  View<T, 1> var;                    // (channels) out, divided by the number of rows
};
template <typename T>
void channel_moments(const ChannelMomentsArgs<T>& args, Workspace& workspace);

/// y[r, c] = x[r, c] scale[c] + shift[c]: batch normalisation once the statistics are known.
///
/// Errors     InvalidArgument if shapes disagree.
/// Threads    safe for distinct outputs.
template <typename T>
struct ChannelAffineArgs {
  View<const T, 2> x;      // (rows, channels)
  View<const T, 1> scale;  // (channels)
  View<const T, 1> shift;  // (channels)
  View<T, 2> y;            // (rows, channels) out; may be x
};
template <typename T>
void channel_affine(const ChannelAffineArgs<T>& args);

/// Gradients of batch normalisation through its statistics, y = (x - mean) inverse w + b.
///
///   dx = w inverse (dy - sum_r(dy) / rows - xhat sum_r(dy xhat) / rows),   xhat = (x - mean)
///   inverse
///
/// The sums run over all rows and are divided by the number of valid ones. Rows of padding did not
/// enter the statistics, so they get dx = w inverse dy.
template <typename T>
struct BatchNormGradArgs {
  View<const T, 2> x;                // (rows, channels)
  View<const T, 1> w;                // (channels)
  View<const T, 1> mean;             // (channels)
  View<const T, 1> inverse;          // (channels)
  View<const T, 2> dy;               // (rows, channels)
  std::span<const uint8_t> valid{};  // (rows) 0 for padding; empty for all
  View<T, 2> dx;                     // (rows, channels) out; may be dy
  View<T, 1> dw;                     // (channels) out
  View<T, 1> db;                     // (channels) out
};
template <typename T>
void batch_norm_grad(const BatchNormGradArgs<T>& args, Workspace& workspace);

/// Bytes of workspace that each function above that takes one needs.
template <typename T>
size_t norm_workspace_bytes(int64_t channels);

}  // namespace longwave::ops
