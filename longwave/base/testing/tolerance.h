// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstdint>
#include <limits>
#include <string>

namespace longwave::testing {

/// An absolute error bound computed from what an algorithm does, never typed in.
struct Tolerance {
  double bound = 0;

  /// Rounding of a sum of `terms` products, each at most `magnitude`, in arithmetic of type T.
  ///
  ///   |error| <= safety (terms + 2) eps(T) terms magnitude in the worst case; in practice errors
  ///   are random in sign, so sqrt(terms) replaces the second factor.
  template <typename T>
  static Tolerance sum(int64_t terms, double magnitude) {
    constexpr double kSafety = 8;
    const double count = static_cast<double>(std::max<int64_t>(terms, 1));
    return {kSafety * std::numeric_limits<T>::epsilon() * std::sqrt(count) * magnitude +
            std::numeric_limits<T>::min()};
  }
};

/// The worst of many comparisons, for one message at the end.
class Worst {
 public:
  explicit Worst(std::string what) : what_(std::move(what)) {}

  template <typename Expected, typename Got>
  void compare(int64_t index, Expected expected, Got got, Tolerance tolerance) {
    const double error = std::abs(std::complex<double>(expected) - std::complex<double>(got));
    const double ratio = error / tolerance.bound;
    ++count_;
    // A NaN compares false with everything and must count as the worst.
    if (!(ratio <= ratio_)) {
      ratio_ = std::isnan(ratio) ? std::numeric_limits<double>::infinity() : ratio;
      message_ = fmt::format("{} at {}: expected {}, got {}, error {:.3g} times the bound {:.3g}",
                             what_, index, text(expected), text(got), ratio, tolerance.bound);
    }
  }

  /// Success if every comparison stayed within its bound and there was at least one.
  ::testing::AssertionResult ok() const {
    if (count_ == 0) return ::testing::AssertionFailure() << what_ << ": nothing was compared";
    if (!(ratio_ <= 1)) return ::testing::AssertionFailure() << message_;
    return ::testing::AssertionSuccess();
  }

 private:
  static std::string text(std::complex<double> value) {
    return fmt::format("({:.17g}, {:.17g})", value.real(), value.imag());
  }

  std::string what_;
  std::string message_;
  double ratio_ = 0;
  int64_t count_ = 0;
};

}  // namespace longwave::testing
