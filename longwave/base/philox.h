// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace longwave {

/// Philox 4x32-10: 128 random bits as a pure function of key and counter.
///
/// Source     Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".
/// Numerics   integer arithmetic only: the same bits everywhere.
std::array<uint32_t, 4> philox(uint64_t key, uint64_t counter_low, uint64_t counter_high);

/// A 64-bit name for a stream of random numbers, stable across runs and machines (FNV-1a).
uint64_t stream_id(std::string_view name);

/// A cursor in the stream (seed, stream): what was drawn depends on seed, stream and position only.
///
/// The whole state is three integers, so that a resumed run continues with the same bits.
///
/// Numerics   uniform() is a multiple of 2^-53 in [0, 1); normal() is Box-Muller on two of them.
/// Threads    a plain value; one owner at a time.
class Random {
 public:
  struct Position {
    uint64_t seed = 0;
    uint64_t stream = 0;
    uint64_t counter = 0;
    bool operator==(const Position&) const = default;
  };

  explicit Random(uint64_t seed, uint64_t stream = 0) : position_{seed, stream, 0} {}
  explicit Random(const Position& position) : position_(position) {}

  const Position& position() const { return position_; }

  /// 64 random bits.
  uint64_t bits();

  /// Uniform on [0, 1).
  double uniform();

  /// Uniform on [low, high).
  double uniform(double low, double high) { return low + (high - low) * uniform(); }

  /// Standard normal.
  double normal();

  /// Uniform on {0, ..., count - 1} without bias; throws InvalidArgument if count < 1.
  int64_t integer(int64_t count);

 private:
  Position position_;
};

}  // namespace longwave
