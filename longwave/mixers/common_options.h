// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "longwave/base/options.h"

namespace longwave::mixers {

// Options that several families have, each declared once.

inline Option least_step_option() {
  return {"dt_min", 1e-3, "smallest initial step size; 1/dt_min is the longest time scale in steps",
          1e-9, 1e3};
}
inline Option most_step_option() {
  return {"dt_max", 1e-1, "largest initial step size", 1e-9, 1e3};
}
inline Option discretization_option() {
  return {.key = "discretization",
          .value = std::string("zoh"),
          .help = "how continuous time becomes steps",
          .choices = {"zoh", "bilinear"}};
}
inline Option bidirectional_option() {
  return {"bidirectional", false, "also look at later inputs; such a layer cannot stream"};
}

}  // namespace longwave::mixers
