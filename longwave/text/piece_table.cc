// SPDX-License-Identifier: Apache-2.0
#include "longwave/text/piece_table.h"

#include "longwave/base/error.h"
#include "longwave/text/spelling.h"

namespace longwave::text {

PieceTable::PieceTable(const TokenizerSpec& spec, std::string_view where)
    : where_(where), pieces_(spec.pieces->pieces), unknown_(spec.pieces->unknown) {
  using Type = PieceModel::Type;
  bytes_.fill(kNone);
  for (size_t id = 0; id < pieces_.size(); ++id) {
    const std::string_view text = *spec.tokens[id];
    const auto number = static_cast<int32_t>(id);
    const Type type = pieces_[id].type;
    const bool usable =
        type == Type::kNormal || type == Type::kUserDefined || type == Type::kUnused;
    all_.emplace(text, number);
    if (usable) usable_.emplace(text, number);
    const auto byte = type == Type::kByte ? named_byte(text) : std::nullopt;
    if (byte) bytes_[static_cast<uint8_t>(*byte)] = number;
  }
}

void PieceTable::add(int32_t id, std::string_view part, std::vector<int64_t>& ids,
                     size_t begin) const {
  const bool unknown = id == kNone || id == unknown_.id;
  if (!unknown) {
    ids.push_back(id);
  } else if (unknown_.as_bytes) {
    for (const char byte : part) ids.push_back(bytes_[static_cast<uint8_t>(byte)]);
  } else if (!unknown_.id) {
    throw DataError({.where = where_,
                     .what = "the vocabulary has no piece for a character",
                     .got = "\"" + std::string(part) + "\"",
                     .fix = "leave such characters out"});
  } else if (ids.size() == begin || ids.back() != *unknown_.id) {
    ids.push_back(*unknown_.id);
  }
}

}  // namespace longwave::text
