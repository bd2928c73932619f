// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "longwave/text/tokenizer_spec.h"

namespace longwave::text {

/// How text is cut into words before bytes are merged, by the names that llama.cpp gives.
struct GgufCut {
  enum class Begin : uint8_t { kNone, kToken };
  std::vector<std::string_view> names;  ///< the first is the one to write
  std::vector<CutStep> steps;
  MergeModel::Whole whole = MergeModel::Whole::kMerge;
  Begin begin = Begin::kNone;  ///< is a first token usual, where the file does not say?
};

/// The cut of this name; nothing if it is not known.
const GgufCut* gguf_cut(std::string_view name);

/// The cut that a tokenizer has; nothing if llama.cpp has no name for it.
const GgufCut* gguf_cut(const TokenizerSpec& spec);

}  // namespace longwave::text
