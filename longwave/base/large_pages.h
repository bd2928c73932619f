// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

namespace longwave {

/// From so many bytes on, memory of its own comes in large pages.
inline constexpr size_t kWorthLargePages = size_t{4} << 20;

/// Asks the system to make memory that is not yet written of large pages, where it is large: what
/// is read from end to end then misses fewer translations. A hint that may be ignored.
void prefer_large_pages(void* data, size_t bytes) noexcept;

/// Memory that many tensors share, so that large pages hold all of it: a tensor that has memory of
/// its own ends in the middle of one.
///
/// Errors     std::bad_alloc if memory is out.
/// Threads    one owner at a time hands out; what was handed out is the taker's.
class LargePages {
 public:
  explicit LargePages(size_t bytes);
  ~LargePages();
  LargePages(const LargePages&) = delete;
  LargePages& operator=(const LargePages&) = delete;

  /// The next bytes: zero, aligned to 64, there as long as this is. What `room_for` says of all
  /// that are taken must not be more than there is.
  std::byte* take(size_t bytes);

  /// What a piece of so many bytes uses up.
  static size_t room_for(size_t bytes) { return (bytes + 63) / 64 * 64; }

 private:
  std::byte* mapping_;
  size_t mapped_;
  std::byte* next_;
};

}  // namespace longwave
