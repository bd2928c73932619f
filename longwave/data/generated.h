// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "longwave/base/philox.h"
#include "longwave/data/dataset.h"

namespace longwave::data {

/// "train", "validation" or "test".
std::string_view name_of(Split split);

/// A data set that is computed, not stored: example `i` draws from its own stream of random
/// numbers, named after source, split and index, so that it costs O(1) to reach and never repeats.
///
/// Threads    const use is safe from many threads if `make` is.
class Generated : public Dataset {
 public:
  struct Parts {
    std::string_view source;
    TaskInfo info;
    std::function<Example(Random&)> make;
  };

  /// The number of examples comes from the options that `generated_schema` declares.
  Generated(Parts parts, const Options& options, Split split, uint64_t seed);

  const TaskInfo& info() const override { return parts_.info; }
  int64_t size() const override { return size_; }
  Example example(int64_t index) const override;

 private:
  Parts parts_;
  int64_t size_;
  uint64_t seed_;
  uint64_t stream_;
};

/// The options that every generator has (examples of the training split, and of each held-out
/// split) followed by its own.
Schema generated_schema(int64_t examples, Schema own);

/// ConfigError that `what` must hold, for options that only make sense together.
void require_option(bool condition, std::string_view source, std::string what, std::string got);

}  // namespace longwave::data
