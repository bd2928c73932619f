// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace longwave::ops {

/// Steps that the block kernels take at a time: their panels stay in the first-level cache.
inline constexpr int64_t kLtiScanBlock = 256;

/// Rows of memory that will be wanted soon: the block kernels fetch one a step into the cache.
struct SoonRows {
  const float* row = nullptr;
  int64_t step = 0;  ///< floats from one row to the next
  int64_t count = 0;
};

/// One block of steps of one tile: the inner loops of the float kernels.
///
/// All panels are dense with 16 lanes (LtiTiling) as last extent. Per mode, `factors` holds the
/// rows Re a, Im a, Re c, Im c, and a state the rows Re, Im.
struct LtiBlock {
  int64_t time = 0;                // <= kLtiScanBlock
  int64_t modes = 0;               // of a lane
  const float* factors = nullptr;  // (modes, 4, 16)
  const float* d = nullptr;        // (16) skip; 0 where a lane must not count it
  SoonRows soon[2];                // hints; change nothing but the time taken
};

/// Advances h by a block and writes y = Re(sum c h) + d u.
struct LtiForwardBlock : LtiBlock {
  const float* u = nullptr;  // (time, 16)
  float* h = nullptr;        // (modes, 2, 16)
  float* y = nullptr;        // (time, 16) out
};
void lti_forward_block(const LtiForwardBlock& block);

/// Advances h and s = dh/da by a block and adds up the sums of the gradient.
struct LtiSumsBlock : LtiBlock {
  const float* u = nullptr;   // (time, 16)
  const float* dy = nullptr;  // (time, 16)
  float* hs = nullptr;        // (modes, 4, 16) Re h, Im h, Re s, Im s
  double* sums = nullptr;     // (modes, 4, 16) += sum dy Re h, dy Im h, dy Re s, dy Im s
  double* dd = nullptr;       // (16) += sum dy u
};
void lti_sums_block(const LtiSumsBlock& block);

/// Takes the adjoint state g back by a block and writes du = sum Re g + d dy.
///
/// Between blocks `g` is what reaches the last step of the earlier block: conj(a) g[first].
struct LtiAdjointBlock : LtiBlock {
  const float* dy = nullptr;  // (time, 16)
  float* g = nullptr;         // (modes, 2, 16)
  float* du = nullptr;        // (time, 16) out
};
void lti_adjoint_block(const LtiAdjointBlock& block);

}  // namespace longwave::ops
