// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "longwave/text/charsmap.h"

namespace longwave::text {

/// The normaliser "Precompiled" of a tokenizer.json: SentencePiece's map of characters, looked up
/// otherwise. What is seen as one character of less than six bytes becomes what the shortest text
/// at its front that is in the map becomes; otherwise its parts are looked up one by one.
///
/// Source     huggingface/tokenizers, normalizers/precompiled.rs; huggingface/spm_precompiled.
/// Errors     DataError if the map is damaged, or makes a text too long.
/// Threads    const use is safe from many threads.
class PrecompiledMap {
 public:
  /// `where` names the tokenizer in messages.
  PrecompiledMap(std::string_view charsmap, std::string_view where) : map_(charsmap, where) {}

  std::string operator()(std::string_view text) const;

 private:
  Charsmap map_;
};

}  // namespace longwave::text
