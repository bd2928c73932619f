// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "longwave/base/philox.h"
#include "longwave/ops/testing/device_timer.h"

namespace longwave::ops::testing {

/// How often what is timed runs.
inline constexpr int kRepeats = 20;

/// Operands of a benchmark in memory of a GPU: up to 16384 numbers of `draw()`, made on the host
/// once and repeated. Steps of large batches rotate among many sets: more would take longer to draw
/// than all the rest.
template <typename T, typename Draw>
std::unique_ptr<DeviceBuffer<T>> repeated_on_device(int64_t count, Draw&& draw) {
  const int64_t once = std::min<int64_t>(count, 1 << 14);
  std::vector<T> some;
  some.reserve(once);
  for (int64_t i = 0; i < once; ++i) some.push_back(static_cast<T>(static_cast<float>(draw())));
  auto buffer = std::make_unique<DeviceBuffer<T>>(count);
  T* const data = buffer->data();
  require_cuda(cudaMemcpy(data, some.data(), once * sizeof(T), cudaMemcpyHostToDevice));
  for (int64_t made = once; made < count; made *= 2) {
    const int64_t more = std::min(made, count - made);
    require_cuda(cudaMemcpy(data + made, data, more * sizeof(T), cudaMemcpyDeviceToDevice));
  }
  return buffer;
}

/// The same of normal numbers.
template <typename T>
std::unique_ptr<DeviceBuffer<T>> normals_on_device(int64_t count, Random& random) {
  return repeated_on_device<T>(count, [&] { return random.normal(); });
}

/// Sets of operands that take turns, as many that what is used between two turns of one is twice
/// what the L2 cache holds: none is left in it. Operands says by `footprint()` how many bytes of it
/// the pass that needs fewest of them uses.
template <typename Operands>
class Rotating {
 public:
  template <typename... Shape>
  explicit Rotating(const Shape&... shape) {
    int device = 0, cache = 0;
    require_cuda(cudaGetDevice(&device));
    require_cuda(cudaDeviceGetAttribute(&cache, cudaDevAttrL2CacheSize, device));
    sets_.push_back(std::make_unique<Operands>(shape...));
    const double others = std::ceil(2.0 * cache / sets_[0]->footprint());
    for (int i = 0; i < others; ++i) sets_.push_back(std::make_unique<Operands>(shape...));
  }

  int64_t count() const { return static_cast<int64_t>(sets_.size()); }

  /// The operands of the i-th repetition.
  Operands& operator[](int64_t i) { return *sets_[i % count()]; }

 private:
  std::vector<std::unique_ptr<Operands>> sets_;
};

/// Times `step(i, stream)` for rotating operands, recorded: each set takes part as often.
template <typename Operands, typename Step>
DeviceTime time_steps(int repeats, const Rotating<Operands>& operands, Step&& step) {
  constexpr int64_t kLeast = 128;
  const int64_t sets = operands.count();
  return time_recorded(repeats, (kLeast + sets - 1) / sets * sets, step);
}

/// Whether the largest error is within `bound` of the largest number, or of 1 if all are smaller.
inline bool is_close(const std::vector<double>& expected, const std::vector<double>& got,
                     double bound) {
  double worst = 0, largest = 1;
  for (size_t i = 0; i < got.size(); ++i) {
    const double error = std::abs(got[i] - expected[i]);
    if (std::isnan(error)) return false;
    worst = std::max(worst, error);
    largest = std::max(largest, std::abs(expected[i]));
  }
  return worst <= bound * largest;
}

/// Prints the GPU's name and gives device_copy_speed, which it prints too.
inline double announce_device() {
  cudaDeviceProp device;
  require_cuda(cudaGetDeviceProperties(&device, 0));
  const double copy_speed = device_copy_speed();
  std::printf("%s, copy %.2f TB/s read and written\n", device.name, copy_speed / 1e12);
  return copy_speed;
}

/// What a benchmark's row ends with: the median with its spread, the time that `bytes` need at the
/// speed of a copy, in milliseconds, and what share of the median that is.
inline std::string timing(const DeviceTime& time, double bytes, double copy_speed) {
  const double floor = bytes / copy_speed * 1e3;
  return fmt::format("{:8.4f} ({:.4f} to {:.4f})  {:8.4f} {:5.1f}%", time.median, time.least,
                     time.most, floor, 100 * floor / time.median);
}

/// The same in microseconds, for steps.
inline std::string step_timing(const DeviceTime& time, double bytes, double copy_speed) {
  const double floor = bytes / copy_speed * 1e6;
  return fmt::format("{:8.2f} us ({:.2f} to {:.2f})  {:8.2f} us {:5.1f}%", 1e3 * time.median,
                     1e3 * time.least, 1e3 * time.most, floor, 0.1 * floor / time.median);
}

/// The rows of a benchmark that are of one shape: one for each pass over its operands.
struct ShapeRows {
  std::string shape;  ///< with its type
  double copy_speed;

  /// Times `pass(i)`, which moves so many bytes, and prints its row.
  template <typename Pass>
  void print(const char* name, double bytes, Pass&& pass) const {
    fmt::print("{} {:<8} {}\n", shape, name,
               timing(time_on_device(kRepeats, pass), bytes, copy_speed));
  }
};

}  // namespace longwave::ops::testing
