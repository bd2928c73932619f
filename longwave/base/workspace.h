// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace longwave {

/// Scratch memory sized once, so that kernels and `step` never allocate.
///
/// `take` hands out 64-byte aligned spans in order; a `Scope` gives back all that was taken in it.
/// Contents are undefined: debug and hardened builds fill each span with NaN.
///
/// Errors     InvalidArgument if more is taken than was reserved.
/// Threads    one owner at a time; take for all workers before a parallel region.
class Workspace {
 public:
  explicit Workspace(size_t bytes);
  ~Workspace();
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  /// Bytes that `take<T>(count)` uses up, for `workspace_bytes` functions.
  template <typename T>
  static constexpr size_t bytes_for(int64_t count) {
    return (static_cast<size_t>(count) * sizeof(T) + kAlignment - 1) / kAlignment * kAlignment;
  }

  template <typename T>
  std::span<T> take(int64_t count) {
    return {static_cast<T*>(take_bytes(bytes_for<T>(count))), static_cast<size_t>(count)};
  }

  size_t capacity() const { return capacity_; }
  size_t used() const { return used_; }

  /// Gives back on destruction whatever was taken since construction.
  class Scope {
   public:
    explicit Scope(Workspace& workspace) : workspace_(workspace), mark_(workspace.used_) {}
    ~Scope() { workspace_.used_ = mark_; }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Workspace& workspace_;
    size_t mark_;
  };

 private:
  static constexpr size_t kAlignment = 64;

  void* take_bytes(size_t bytes);

  std::byte* data_;
  size_t capacity_;
  size_t used_ = 0;
};

}  // namespace longwave
