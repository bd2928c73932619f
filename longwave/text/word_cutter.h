// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "longwave/text/tokenizer_spec.h"

namespace longwave::text {

/// The cut of a section into words.
///
/// Errors     DataError if a pattern does not compile, or gives up on a text.
/// Threads    const use is safe from many threads.
class WordCutter {
 public:
  /// Where a section stands in the text.
  enum class Section : uint8_t {
    kFirst,   ///< the text begins with it
    kLater,   ///< an added token stands before it
    kGoesOn,  ///< it goes on with an earlier text
  };

  /// Views of the section, or of texts that steps made.
  struct Words {
    std::vector<std::string_view> words;
    std::deque<std::string> made;
  };

  /// `where` names the tokenizer in messages.
  WordCutter(const std::vector<CutStep>& steps, std::string_view where);

  /// The words of a section, which must outlive them.
  Words operator()(std::string_view text, Section section) const;

 private:
  struct Cut {
    Splitter pattern;
    Splitter::Matches matches;
    Split::Sees sees;
    std::vector<std::string_view> operator()(const std::vector<std::string_view>& words) const;
  };
  std::vector<std::variant<Substitute, Prefix, Cut>> steps_;
};

}  // namespace longwave::text
