// SPDX-License-Identifier: Apache-2.0
#include "longwave/base/large_pages.h"

#include <sys/mman.h>

#include <cstdint>
#include <new>

#include "longwave/base/assert.h"

namespace longwave {
namespace {

constexpr size_t kLargePage = size_t{2} << 20;

}  // namespace

void prefer_large_pages([[maybe_unused]] void* data, [[maybe_unused]] size_t bytes) noexcept {
#ifdef MADV_HUGEPAGE
  // Advice is for whole pages of the usual size; the system picks the large ones among them.
  constexpr uintptr_t kPage = 4096;
  if (bytes < kWorthLargePages) return;
  const uintptr_t begin = (reinterpret_cast<uintptr_t>(data) + kPage - 1) / kPage * kPage;
  const uintptr_t end = (reinterpret_cast<uintptr_t>(data) + bytes) / kPage * kPage;
  static_cast<void>(::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE));
#endif
}

LargePages::LargePages(size_t bytes) : mapped_(bytes + 2 * kLargePage) {
  // Fresh from the system, so that it is zero and nobody has touched a page of it.
  void* const address =
      ::mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (address == MAP_FAILED) throw std::bad_alloc();
  mapping_ = static_cast<std::byte*>(address);
  const size_t past = reinterpret_cast<uintptr_t>(mapping_) % kLargePage;
  next_ = mapping_ + (past == 0 ? 0 : kLargePage - past);
  prefer_large_pages(next_, (bytes + kLargePage - 1) / kLargePage * kLargePage);
}

LargePages::~LargePages() { ::munmap(mapping_, mapped_); }

std::byte* LargePages::take(size_t bytes) {
  LONGWAVE_ASSERT(room_for(bytes) <= static_cast<size_t>(mapping_ + mapped_ - next_),
                  "more is taken than there is");
  std::byte* const piece = next_;
  next_ += room_for(bytes);
  return piece;
}

}  // namespace longwave
