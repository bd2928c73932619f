// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <initializer_list>
#include <vector>

#include "longwave/base/view.h"

namespace longwave::mixers {

/// Fixed factors on the parts of a projection: y = (W (before x) + b) after, part by part.
///
/// Keeps weights as they were published, whatever their type, at the price of a pass over y.
///
/// Source     Yang et al. 2022, arXiv:2203.03466 (one factor a part, so that widths are alike);
///            Zuo et al. 2025, arXiv:2507.22448 (Falcon-H1).
/// Threads    const use is safe from many threads.
class Multipliers {
 public:
  struct Part {
    int64_t size;   ///< numbers of y
    double before;  ///< multiplies the input
    double after;   ///< multiplies the outcome
  };

  Multipliers() = default;

  /// `bias` is that of the projection, or absent.
  Multipliers(std::initializer_list<Part> parts, View<const float, 1> bias);

  /// Whether they are all 1: then nothing is to be done.
  bool none() const { return scale_.empty(); }

  /// What the projection itself has to add: b where nothing is to be done, else nothing.
  View<const float, 1> bias() const { return none() ? bias_ : View<const float, 1>(); }

  /// From W x to y, for (batch, time, numbers).
  void apply(View<float, 3> y) const;

 private:
  View<const float, 1> bias_;
  std::vector<float> scale_, shift_;
};

}  // namespace longwave::mixers
