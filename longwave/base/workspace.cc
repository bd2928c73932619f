// SPDX-License-Identifier: Apache-2.0
#include "longwave/base/workspace.h"

#include <cstring>
#include <new>
#include <string>

#include "longwave/base/error.h"
#include "longwave/base/platform.h"

namespace longwave {
namespace {

/// Every byte set: a NaN in each floating-point type.
constexpr int kPoison = 0xff;

}  // namespace

Workspace::Workspace(size_t bytes)
    : data_(static_cast<std::byte*>(
          ::operator new[](bytes > 0 ? bytes : 1, std::align_val_t{kAlignment}))),
      capacity_(bytes) {}

Workspace::~Workspace() { ::operator delete[](data_, std::align_val_t{kAlignment}); }

void* Workspace::take_bytes(size_t bytes) {
  if (bytes > capacity_ - used_) {
    throw InvalidArgument({.where = "workspace",
                           .what = "too small",
                           .got = std::to_string(capacity_) + " bytes, " + std::to_string(used_) +
                                  " in use, " + std::to_string(bytes) + " more wanted",
                           .fix = "size it with the workspace_bytes function of the operator"});
  }
  std::byte* result = data_ + used_;
  used_ += bytes;
  if constexpr (LONGWAVE_CHECKED != 0) std::memset(result, kPoison, bytes);
  return result;
}

}  // namespace longwave
