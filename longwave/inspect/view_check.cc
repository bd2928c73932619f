// SPDX-License-Identifier: Apache-2.0
#include "longwave/inspect/view_check.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace longwave::inspect {

ViewCheck compare(const CompareArgs& args) {
  ViewCheck check{.subject = args.subject, .view = args.view, .against = args.against};
  check.ratio = -1;
  for (int64_t t = 0; t < args.got.extent(0); ++t) {
    for (int64_t c = 0; c < args.got.extent(1); ++c) {
      const double difference = std::abs(args.got(t, c) - args.expected(t, c));
      double ratio = difference / args.bound(t, c);
      if (std::isnan(ratio) || !std::isfinite(args.bound(t, c))) {
        ratio = std::numeric_limits<double>::infinity();
      }
      if (ratio <= check.ratio) continue;
      check.ratio = ratio;
      check.difference = difference;
      check.bound = args.bound(t, c);
      check.step = t;
      check.channel = c;
    }
  }
  check.ratio = std::max(check.ratio, 0.0);
  return check;
}

}  // namespace longwave::inspect
