// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "longwave/base/view.h"

namespace longwave::inspect {

/// The worst place of one view: the one that takes the largest share of its bound.
struct ViewCheck {
  std::string subject;    ///< "layer 0 (s4d)", "model"
  std::string view;       ///< "recurrent", "chunked", "prefill", "convolution", "training"
  std::string against;    ///< what it was compared with
  double difference = 0;  ///< absolute, at the worst place
  double bound = 0;       ///< there
  double ratio = 0;       ///< difference / bound; infinite if something is not finite
  int64_t step = 0;       ///< the worst place
  int64_t channel = 0;

  bool ok() const { return ratio <= 1; }
};

/// Compares a view with what is right; a number or a bound that is not finite is as wrong as can
/// be.
struct CompareArgs {
  std::string subject, view, against;
  View<const double, 2> got;       // (time, channels)
  View<const double, 2> expected;  // (time, channels)
  View<const double, 2> bound;     // (time, channels)
};
ViewCheck compare(const CompareArgs& args);

}  // namespace longwave::inspect
