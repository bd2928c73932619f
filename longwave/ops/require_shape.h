// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

namespace longwave::ops {

/// Throws the report of `require_shape`.
[[noreturn]] void refuse_shape(const char* where, const char* operand, std::span<const int64_t> got,
                               std::span<const int64_t> wanted);

/// Throws InvalidArgument, with both shapes, unless the operand has the extents that others ask
/// for.
template <typename ViewT>
void require_shape(const char* where, const char* operand, const ViewT& view,
                   const typename ViewT::Extents& wanted) {
  if (view.extents() != wanted) refuse_shape(where, operand, view.extents(), wanted);
}

}  // namespace longwave::ops
