// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <c10/core/Allocator.h>
#include <c10/util/ThreadLocalDebugInfo.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace longwave::testing {

/// Counts the bytes of tensors that this thread makes and frees, while it exists.
class LiveBytes {
 public:
  /// Those made since construction and not freed; fewer if older ones were.
  int64_t now() const { return count_->now; }

  /// The largest `now` since construction or `forget_most`.
  int64_t most() const { return count_->most; }
  void forget_most() { count_->most = count_->now; }

 private:
  struct Count : c10::MemoryReportingInfoBase {
    int64_t now = 0, most = 0;

    // The types of two of these changed in torch 2. Which function overrides depends on that, so
    // none is marked.
    void reportMemoryUsage(void*, int64_t bytes, int64_t, int64_t, c10::Device) { add(bytes); }
    void reportMemoryUsage(void*, int64_t bytes, size_t, size_t, c10::Device) { add(bytes); }
    bool memoryProfilingEnabled() const { return true; }

   private:
    void add(int64_t bytes) {
      now += bytes;
      most = std::max(most, now);
    }
  };

  std::shared_ptr<Count> count_ = std::make_shared<Count>();
  c10::DebugInfoGuard guard_{c10::DebugInfoKind::PROFILER_STATE, count_};
};

}  // namespace longwave::testing
