// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/mixer.h"

#include "longwave/base/error.h"
#include "longwave/theory/system.h"

namespace longwave::mixers {

theory::DiscreteSystem Mixer::system(int64_t) const {
  throw InvalidArgument({.where = "mixer",
                         .what = "this family is not linear and time-invariant",
                         .got = {},
                         .fix = "ask system_count() first"});
}

}  // namespace longwave::mixers
