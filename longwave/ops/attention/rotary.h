// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "longwave/base/view.h"

namespace longwave::ops {

/// Which numbers of a head are turned together.
enum class RotaryPairs : uint8_t {
  kNeighbours,  ///< (2 i, 2 i + 1)
  kHalves,      ///< (i, i + dims / 2)
};

enum class RotaryDirection : uint8_t {
  kForward,  ///< by the angle
  kInverse,  ///< back by it: the gradient of kForward
};

/// Rotary position: turns pair i of each head by an angle proportional to the position.
///
///   angle = position base^(-2 i / dims)       position = start + t
///   (a, b) -> (a cos - b sin, a sin + b cos)
///
/// Only the first `dims` numbers of a head are turned. Scores of turned queries and keys depend on
/// differences of positions alone.
///
/// Source     Su et al. 2021, arXiv:2104.09864, section 3.2.
/// Numerics   positions are whole numbers; angle, sine and cosine are computed in double for each
///            position by itself, so a step has the bits of a whole run. The angle errs by about
///            1e-16 times itself.
/// Cost       a sine and cosine for each position and pair, shared by all heads and by adjacent
///            sequences that start alike; one pass over memory; no allocation.
/// Errors     InvalidArgument if shapes disagree, or dims is odd, larger than head_dim or than
///            kRotaryMaxDims, or base is not positive.
/// Threads    safe for distinct y.
template <typename T>
struct RotaryArgs {
  RotaryPairs pairs = RotaryPairs::kHalves;
  RotaryDirection direction = RotaryDirection::kForward;
  double base = 10000;
  int64_t dims = 0;
  View<const int64_t, 1> start;  // (batch) position of step 0, or absent for 0
  View<const T, 4> x;            // (batch, time, heads, head_dim)
  View<T, 4> y;                  // (batch, time, heads, head_dim) out; may be x
};

/// The most numbers of a head that can be turned.
inline constexpr int64_t kRotaryMaxDims = 1024;

/// Turns the heads; see RotaryArgs.
template <typename T>
void rotary(const RotaryArgs<T>& args);

}  // namespace longwave::ops
