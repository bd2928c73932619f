// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "longwave/ops/ssd/ssd.h"

namespace longwave::ops {

/// The steps of one chunk as one head sees them; arrays are zero beyond the chunk, factors finite.
///
/// The exponent of the decay from before the chunk up to step t is kept as a sum of two floats, so
/// that differences are exact to the last bit of the difference.
struct SsdDecays {
  alignas(64) float d[kSsdChunk];      ///< step sizes
  alignas(64) float high[kSsdChunk];   ///< exponent up to t, rounded
  alignas(64) float low[kSsdChunk];    ///< what rounding left
  alignas(64) float decay[kSsdChunk];  ///< from before the chunk to t
  alignas(64) float rest[kSsdChunk];   ///< from t to the end of the chunk
  float total = 0;                     ///< from before the chunk to its end
};

/// Fills all but d, which is given. `count` steps.
void ssd_fill_decays(int64_t count, float A, SsdDecays& decays);

/// d = clamp(softplus(raw)); `d` may be `raw`.
void ssd_step_sizes(int64_t count, const float* raw, const SsdLimits<float>& limits, float* d);

/// dd *= sigmoid(raw), or 0 outside the limits.
void ssd_step_sizes_grad(int64_t count, const float* raw, const SsdLimits<float>& limits,
                         float* dd);

/// W[t, s] = M[t, s] exp(exponent from s to t) where s <= t, and 0 beyond, up to a multiple of
/// kSsdLanes; rows of kSsdChunk floats.
void ssd_mask(int64_t count, const SsdDecays& decays, const float* M, float* W);

/// The elementwise part of the gradient within a chunk; rows of kSsdChunk floats.
///
///   L[t, s] = exp(exponent from s to t) where s <= t, else 0      S = M o L o (G d[s])
///   dM += L o (G d[s])      W = M o L      e[t] = sum of S[t', s] over t' >= t > s
///
/// where G[t, s] = dy[t] x[s]. W has zeros up to a multiple of kSsdLanes after `count`.
struct SsdMaskGrad {
  int64_t count = 0;
  const SsdDecays* decays = nullptr;
  const float* M = nullptr;
  const float* G = nullptr;
  float* W = nullptr;  ///< may be G
  float* dM = nullptr;
  float* e = nullptr;  ///< (count)
};
void ssd_mask_grad(const SsdMaskGrad& f);

/// Rows of numbers, adjacent within a row.
struct SsdRows {
  const float* data = nullptr;
  int64_t row = 0;
};

/// out[t, p] = scale[t] in[t, p]; zeros up to a multiple of kSsdLanes.
struct SsdScaleRows {
  int64_t rows = 0, columns = 0;
  SsdRows in = {};
  const float* scale = nullptr;  ///< or null for 1
  float* out = nullptr;          ///< may be in.data
  int64_t out_row = 0;
};
void ssd_scale_rows(const SsdScaleRows& f);

/// out[t, p] = scale[t] in[t, p] + D[p] x[t, p], and dD[p] += x[t, p] z[t, p].
struct SsdSkipRows {
  int64_t rows = 0, columns = 0;
  SsdRows in = {};
  const float* scale = nullptr;  ///< or null for 1
  const float* D = nullptr;      ///< or null for 0
  SsdRows x = {};
  float* out = nullptr;
  int64_t out_row = 0;
  SsdRows z = {};
  float* dD = nullptr;  ///< or null
};
void ssd_skip_rows(const SsdSkipRows& f);

/// dot[t] = scale[t] sum_n in[t, n] with[t, n], and out[t, n] += scale[t] in[t, n]. Whole vectors.
struct SsdDotRows {
  int64_t rows = 0, columns = 0;
  SsdRows in = {}, with = {};
  const float* scale = nullptr;
  float* out = nullptr;
  int64_t out_row = 0;
  float* dot = nullptr;
};
void ssd_dot_rows(const SsdDotRows& f);

/// dot[s] = sum_p x[p, s] y[p, s] for whole vectors of columns and rows of kSsdChunk floats.
void ssd_dot_columns(int64_t rows, int64_t columns, const float* x, const float* y, float* dot);

/// sum x[i] y[i] for a whole number of vectors.
float ssd_dot(int64_t count, const float* x, const float* y);

/// One row of the state in one step: h = decay h + gain B, returns h C.
struct SsdStepRow {
  int64_t count = 0;
  float decay = 0, gain = 0;
  const float* B = nullptr;
  const float* C = nullptr;
  float* h = nullptr;
};
float ssd_step_row(const SsdStepRow& f);

}  // namespace longwave::ops
