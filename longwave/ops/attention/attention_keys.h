// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>

#include "longwave/base/view.h"

namespace longwave::ops {

/// The newest start among the steps that `t` may see, or -1.
inline int64_t newest_start(const View<const uint8_t, 2>& starts, int64_t sequence, int64_t t,
                            int64_t window) {
  if (starts.absent()) return -1;
  const int64_t oldest = window > t ? 0 : t - window + 1;
  for (int64_t at = t; at >= oldest; --at) {
    if (starts(sequence, at) != 0) return at;
  }
  return -1;
}

/// Which keys the steps of one sequence see, and where those lie.
template <typename T>
class Keys {
 public:
  template <typename Args>
  Keys(const Args& args, int64_t sequence)
      : starts_(args.starts),
        sequence_(sequence),
        window_(args.window),
        past_(args.k.extent(1) - args.q.extent(1)) {
    kept_ = past_;
    if (!args.seen.absent()) kept_ = std::min(kept_, args.seen(sequence));
    k_ = args.k[sequence];
    v_ = args.v[sequence];
    if constexpr (requires { args.ring_k; }) {
      if (args.ring_k.absent()) return;
      ring_k_ = args.ring_k[sequence];
      ring_v_ = args.ring_v[sequence];
      seen_ = args.seen(sequence);
      kept_ = std::min(seen_, window_ - 1);
    }
  }

  /// The oldest key that step `t` sees; it also sees all from there to itself.
  int64_t oldest(int64_t t) const {
    const int64_t start = newest_start(starts_, sequence_, t, window_);
    if (start >= 0) return start;
    return std::max(t - window_ + 1, -kept_);
  }

  /// The same for `t`, given what the step before it sees.
  int64_t oldest_after(int64_t before, int64_t t) const {
    if (!starts_.absent() && starts_(sequence_, t) != 0) return t;
    return std::max(before, t - window_ + 1);
  }

  /// First numbers of key and value at position `j` for a key head.
  const T* key(int64_t j, int64_t head) const { return row(k_, ring_k_, j, head); }
  const T* value(int64_t j, int64_t head) const { return row(v_, ring_v_, j, head); }

  /// The same for positions [first, first + count).
  void rows(int64_t first, int64_t count, int64_t head, const T** keys, const T** values) const {
    const int64_t rolled = std::clamp<int64_t>(-past_ - first, 0, count);
    int64_t slot = rolled > 0 ? (seen_ + first) % ring_k_.extent(0) : 0;
    for (int64_t j = 0; j < rolled; ++j) {
      keys[j] = ring_k_.data() + slot * ring_k_.stride(0) + head * ring_k_.stride(1);
      values[j] = ring_v_.data() + slot * ring_v_.stride(0) + head * ring_v_.stride(1);
      if (++slot == ring_k_.extent(0)) slot = 0;
    }
    for (int64_t j = rolled; j < count; ++j) {
      keys[j] = key(first + j, head);
      values[j] = value(first + j, head);
    }
  }

 private:
  const T* row(const View<const T, 3>& rows, const View<const T, 3>& ring, int64_t j,
               int64_t head) const {
    const bool rolled = j < -past_;
    const View<const T, 3>& from = rolled ? ring : rows;
    const int64_t at = rolled ? (seen_ + j) % ring.extent(0) : past_ + j;
    return from.data() + at * from.stride(0) + head * from.stride(1);
  }

  View<const uint8_t, 2> starts_;
  int64_t sequence_, window_, past_;
  int64_t kept_ = 0, seen_ = 0;
  View<const T, 3> k_, v_, ring_k_, ring_v_;
};

}  // namespace longwave::ops
