// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <utility>
#include <variant>

#include "longwave/base/assert.h"
#include "longwave/base/error.h"

namespace longwave {

/// A value, or the report of an outcome that one expects (a parse that fails, no checkpoint yet).
///
/// Threads    a plain value: distinct objects are independent.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : content_(std::in_place_index<0>, std::move(value)) {}
  Result(Report report) : content_(std::in_place_index<1>, std::move(report)) {}

  bool ok() const noexcept { return content_.index() == 0; }
  explicit operator bool() const noexcept { return ok(); }

  const T& value() const& {
    LONGWAVE_ASSERT(ok(), "value() of a failed Result");
    return *std::get_if<0>(&content_);
  }
  T&& value() && {
    LONGWAVE_ASSERT(ok(), "value() of a failed Result");
    return std::move(*std::get_if<0>(&content_));
  }
  const Report& report() const {
    LONGWAVE_ASSERT(!ok(), "report() of a successful Result");
    return *std::get_if<1>(&content_);
  }

  /// The value, or throws `Exception` with the report.
  template <typename Exception>
  T value_or_throw() && {
    if (!ok()) throw Exception(report());
    return std::move(*std::get_if<0>(&content_));
  }

 private:
  std::variant<T, Report> content_;
};

}  // namespace longwave
