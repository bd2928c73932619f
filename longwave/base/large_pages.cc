// SPDX-License-Identifier: Apache-2.0
#include "longwave/base/large_pages.h"

#include <sys/mman.h>

#include <cstdint>

namespace longwave {

void prefer_large_pages([[maybe_unused]] void* data, [[maybe_unused]] size_t bytes) noexcept {
#ifdef MADV_HUGEPAGE
  // Advice is for whole pages of the usual size; the system picks the large ones among them.
  constexpr uintptr_t kPage = 4096, kWorthIt = uintptr_t{4} << 20;
  if (bytes < kWorthIt) return;
  const uintptr_t begin = (reinterpret_cast<uintptr_t>(data) + kPage - 1) / kPage * kPage;
  const uintptr_t end = (reinterpret_cast<uintptr_t>(data) + bytes) / kPage * kPage;
  static_cast<void>(::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE));
#endif
}

}  // namespace longwave
