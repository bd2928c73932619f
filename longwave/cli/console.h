// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <istream>
#include <ostream>
#include <string>
#include <string_view>

namespace longwave::cli {

/// How a word stands out on a terminal that shows colours; plain elsewhere.
enum class Emphasis : uint8_t { kBold, kDim, kGood, kBad };

/// Where a command reads, answers and talks: results go to `out`, everything else to `err`.
///
/// Threads    one owner at a time.
struct Console {
  std::istream& in;
  std::ostream& out;
  std::ostream& err;
  bool in_is_terminal = false;
  bool out_is_terminal = false;
  bool err_is_terminal = false;
  bool colours = false;  ///< NO_COLOR is unset and `out` is a terminal
  bool quiet = false;    ///< keeps `say` silent

  /// One line of talk on `err`, unless quiet.
  void say(std::string_view text);

  /// `text` with its emphasis, if colours are wanted.
  std::string mark(Emphasis emphasis, std::string_view text) const;

  /// True once nothing can be written any more: the reader has left, or the disk is full.
  bool closed() const { return !out.good(); }
};

}  // namespace longwave::cli
