// SPDX-License-Identifier: Apache-2.0
#pragma once

/// Counts what a program allocates, for tests that promise not to. Include it in one file of a
/// program only: it replaces the global operators new and delete.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

namespace longwave::testing {

inline std::atomic<int64_t> allocation_counter{0};

/// Calls of operator new so far, in all threads.
inline int64_t allocation_count() { return allocation_counter.load(); }

/// Null if memory is out.
inline void* counted_allocation(size_t bytes, size_t alignment) noexcept {
  ++allocation_counter;
  const size_t whole = (bytes + alignment - 1) / alignment * alignment;
  return std::aligned_alloc(alignment, whole == 0 ? alignment : whole);
}

inline void* counted_or_throw(size_t bytes, size_t alignment) {
  void* memory = counted_allocation(bytes, alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace longwave::testing

void* operator new(size_t bytes) {
  return longwave::testing::counted_or_throw(bytes, alignof(std::max_align_t));
}
void* operator new(size_t bytes, std::align_val_t alignment) {
  return longwave::testing::counted_or_throw(bytes, static_cast<size_t>(alignment));
}
void* operator new(size_t bytes, const std::nothrow_t&) noexcept {
  return longwave::testing::counted_allocation(bytes, alignof(std::max_align_t));
}
void* operator new(size_t bytes, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return longwave::testing::counted_allocation(bytes, static_cast<size_t>(alignment));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, size_t, std::align_val_t) noexcept { std::free(memory); }
