// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "longwave/text/tokenizer_spec.h"

namespace longwave::text {

/// What both algorithms of SentencePiece need of the pieces.
///
/// Threads    const use is safe from many threads.
class PieceTable {
 public:
  static constexpr int32_t kNone = -1;

  /// The text of the tokens must outlive the table; `where` names the tokenizer in messages.
  PieceTable(const TokenizerSpec& spec, std::string_view where);

  /// The piece that text may be made of, and any piece of this spelling.
  int32_t find(std::string_view text) const { return look_up(usable_, text); }
  int32_t find_any(std::string_view text) const { return look_up(all_, text); }

  float score(int32_t id) const { return pieces_[static_cast<size_t>(id)].score; }
  PieceModel::Type type(int32_t id) const { return pieces_[static_cast<size_t>(id)].type; }

  /// Adds the piece of a part of a text; what is none becomes bytes, or joins the unknown before
  /// it.
  ///
  /// Errors     DataError if there is neither.
  void add(int32_t id, std::string_view part, std::vector<int64_t>& ids, size_t begin) const;

 private:
  using Ids = std::unordered_map<std::string_view, int32_t>;
  static int32_t look_up(const Ids& ids, std::string_view text) {
    const auto found = ids.find(text);
    return found == ids.end() ? kNone : found->second;
  }

  std::string where_;
  std::vector<PieceModel::Piece> pieces_;
  Unknown unknown_;
  Ids usable_, all_;
  std::array<int32_t, 256> bytes_{};
};

}  // namespace longwave::text
