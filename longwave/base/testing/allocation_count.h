// SPDX-License-Identifier: Apache-2.0
#pragma once

/// Counts what a program allocates, for tests that promise not to. Include it in one file of a
/// program only: it replaces the global operators new and delete.

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <new>

namespace longwave::testing {

inline std::atomic<int64_t> allocation_counter{0};

/// Calls of operator new so far, in all threads.
inline int64_t allocation_count() { return allocation_counter.load(); }

inline void* counted_allocation(size_t bytes, size_t alignment) {
  ++allocation_counter;
  const size_t whole = (bytes + alignment - 1) / alignment * alignment;
  void* memory = std::aligned_alloc(alignment, whole == 0 ? alignment : whole);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace longwave::testing

void* operator new(size_t bytes) {
  return longwave::testing::counted_allocation(bytes, alignof(std::max_align_t));
}
void* operator new(size_t bytes, std::align_val_t alignment) {
  return longwave::testing::counted_allocation(bytes, static_cast<size_t>(alignment));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, size_t, std::align_val_t) noexcept { std::free(memory); }
