// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <span>

#include "longwave/base/view.h"
#include "longwave/base/workspace.h"

namespace longwave::mixers {

/// State rows of floats (re, im, re, im, ...) as complex numbers: in place where the strides allow
/// it, else through a copy that `store` brings back.
///
/// Threads    one owner; `rows` must outlive it.
class ComplexRows {
 public:
  ComplexRows(View<float, 2> rows, Workspace& workspace) : rows_(rows) {
    const int64_t batch = rows.extent(0), numbers = rows.extent(1) / 2;
    const bool adjacent = rows.extent(1) == 0 || rows.stride(1) == 1;
    if (adjacent && (batch <= 1 || rows.stride(0) % 2 == 0)) {
      view_ = {reinterpret_cast<std::complex<float>*>(rows.data()),
               {batch, numbers},
               {rows.stride(0) / 2, 1}};
      return;
    }
    copied_ = true;
    view_ = {workspace.take<std::complex<float>>(batch * numbers).data(), {batch, numbers}};
    for (int64_t b = 0; b < batch; ++b) {
      for (int64_t n = 0; n < numbers; ++n) view_(b, n) = {rows(b, 2 * n), rows(b, 2 * n + 1)};
    }
  }

  static size_t workspace_bytes(int64_t batch, int64_t row_floats) {
    return Workspace::bytes_for<float>(batch * row_floats);
  }

  View<std::complex<float>, 2> view() const { return view_; }

  /// The view with the numbers of a row seen as (rows, columns).
  View<std::complex<float>, 3> view(int64_t rows, int64_t columns) const {
    return {view_.data(), {view_.extent(0), rows, columns}, {view_.stride(0), columns, 1}};
  }

  /// Writes back what was changed through the view.
  void store() const {
    if (!copied_) return;
    for (int64_t b = 0; b < view_.extent(0); ++b) {
      for (int64_t n = 0; n < view_.extent(1); ++n) {
        rows_(b, 2 * n) = view_(b, n).real();
        rows_(b, 2 * n + 1) = view_(b, n).imag();
      }
    }
  }

 private:
  View<float, 2> rows_;
  View<std::complex<float>, 2> view_;
  bool copied_ = false;
};

}  // namespace longwave::mixers
