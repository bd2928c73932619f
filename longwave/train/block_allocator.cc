// SPDX-License-Identifier: Apache-2.0
#include "longwave/train/block_allocator.h"

#include <c10/core/CPUAllocator.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

namespace longwave::train {
namespace {

/// What torch's own CPU memory is aligned to.
constexpr size_t kAlignment = 64;

void* aligned(void* block) {
  const auto address = reinterpret_cast<uintptr_t>(block);
  return static_cast<std::byte*>(block) + (kAlignment - address % kAlignment) % kAlignment;
}

void release(void* block) {
  if (block == nullptr) return;
  c10::profiledCPUMemoryReporter().Delete(aligned(block));
  std::free(block);
}

class BlockAllocator : public c10::Allocator {
 public:
  // torch 2.3 made this a function of an allocator that changes, and added the one below. Which of
  // them override depends on the version, so none is marked.
  c10::DataPtr allocate(size_t bytes) const { return make(bytes); }
  c10::DataPtr allocate(size_t bytes) { return make(bytes); }
  void copy_data(void* to, const void* from, size_t bytes) const { std::memcpy(to, from, bytes); }

 private:
  static c10::DataPtr make(size_t bytes) {
    const c10::Device device(c10::kCPU);
    if (bytes == 0) return {nullptr, nullptr, &release, device};
    void* block = bytes + kAlignment > bytes ? std::malloc(bytes + kAlignment) : nullptr;
    if (block == nullptr) {
      c10::profiledCPUMemoryReporter().OutOfMemory(bytes);
      throw std::bad_alloc();
    }
    c10::profiledCPUMemoryReporter().New(aligned(block), bytes);
    return {aligned(block), block, &release, device};
  }
};

}  // namespace

void use_reusable_blocks() {
  static BlockAllocator allocator;
  c10::SetCPUAllocator(&allocator);
}

}  // namespace longwave::train
