// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/long_conv/fft.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>

#include "longwave/base/error.h"

namespace longwave::ops {
namespace {

/// Fours first, because they are the cheapest, then a two, then odd primes.
std::vector<int64_t> factors_of(int64_t size) {
  std::vector<int64_t> factors;
  for (; size % 4 == 0; size /= 4) factors.push_back(4);
  if (size % 2 == 0) {
    factors.push_back(2);
    size /= 2;
  }
  for (int64_t prime = 3; size > 1; prime += 2) {
    if (prime * prime > size) prime = size;
    for (; size % prime == 0; size /= prime) factors.push_back(prime);
  }
  return factors;
}

void append_root(std::vector<float>& roots, double turn) {
  const double angle = 2 * std::numbers::pi * turn;
  roots.push_back(static_cast<float>(std::cos(angle)));
  roots.push_back(static_cast<float>(std::sin(angle)));
}

/// Powers of the principal root of a block that its butterfly multiplies with.
void append_block(std::vector<float>& roots, int64_t radix, double turn) {
  const double principal = turn / static_cast<double>(radix);
  if (radix == 4) {
    append_root(roots, 2 * principal);
    append_root(roots, principal);
    return;
  }
  for (int64_t q = 1; q < radix; ++q) append_root(roots, principal * static_cast<double>(q));
}

}  // namespace

FftPlan::FftPlan(int64_t size, double root) : size_(size), root_(root) {
  if (size < 1 || !(root >= 0 && root < 1)) {
    throw InvalidArgument({.where = "fft",
                           .what = "a transform needs size >= 1 and 0 <= root < 1",
                           .got = "size " + std::to_string(size) + ", root " + std::to_string(root),
                           .fix = {}});
  }
  turns_ = {root};
  for (int64_t radix : factors_of(size)) {
    Pass pass{.radix = radix,
              .blocks = static_cast<int64_t>(turns_.size()),
              .size = size / static_cast<int64_t>(turns_.size()),
              .first_root = static_cast<int64_t>(roots_.size()),
              .block_roots = radix == 4 ? 4 : 2 * (radix - 1)};
    std::vector<double> children;
    children.reserve(turns_.size() * static_cast<size_t>(radix));
    for (double turn : turns_) {
      append_block(roots_, radix, turn);
      for (int64_t k = 0; k < radix; ++k) {
        children.push_back((turn + static_cast<double>(k)) / static_cast<double>(radix));
      }
    }
    pass.unity = static_cast<int64_t>(roots_.size());
    if (radix % 2 == 1) {
      scratch_rows_ = std::max(scratch_rows_, radix);
      for (int64_t k = 0; k < radix; ++k) {
        append_root(roots_, static_cast<double>(k) / static_cast<double>(radix));
      }
    }
    turns_ = std::move(children);
    passes_.push_back(pass);
  }
}

int64_t FftPlan::good_size(int64_t size) {
  int64_t power = 1;
  while (power < size) power *= 2;
  const int64_t between = power / 4 * 3;
  return between >= size && between > 0 ? between : power;
}

}  // namespace longwave::ops
