// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include "longwave/text/bpe.h"
#include "longwave/text/normal_form.h"
#include "longwave/text/splitter.h"

/// What the file of a tokenizer says, stage by stage: added tokens stand in the text as they are;
/// what lies between them (a section) is normalised, cut into words, and each word becomes tokens
/// by the model; tokens become text again by the decoder.
namespace longwave::text {

/// Where a text stands: some tokenizers put a blank before the first word, and take it off again.
enum class Place : uint8_t {
  kStart,   ///< it begins here
  kMiddle,  ///< it goes on with what was before
};

/// A token that stands in the text as it is, before any rule: "<|endoftext|>".
struct AddedToken {
  enum class Match : uint8_t {
    kRaw,         ///< it stands in the text before that is normalised
    kNormalised,  ///< or after
    kInWords,     ///< it is a part of a word that nothing else takes apart
  };
  std::string content;
  int64_t id = 0;
  Match match = Match::kRaw;
  bool special = false;  ///< marks something and is not shown
  bool alone = false;    ///< counts only where no word goes on before or after it
  bool takes_blanks_before = false;
  bool takes_blanks_after = false;
};

/// Puts a text before every section.
struct Prepend {
  std::string text;
  bool operator==(const Prepend&) const = default;
};

/// Puts `content` in the place of whatever matches a pattern of PCRE2.
struct Replace {
  std::string pattern, content;
  bool operator==(const Replace&) const = default;
};

/// Writes small letters, one by one.
struct Lowercase {
  bool operator==(const Lowercase&) const = default;
};

/// Puts a text before and after whatever matches a pattern of PCRE2.
struct Surround {
  std::string pattern, text;
  bool operator==(const Surround&) const = default;
};

/// Writes for each byte the character that stands for it in byte-level vocabularies.
struct ByteCharacters {
  bool operator==(const ByteCharacters&) const = default;
};

/// Characters and what they become, as `PieceNormal` has them, but as a tokenizer.json means it.
struct Precompiled {
  std::string charsmap;
  bool operator==(const Precompiled&) const = default;
};

/// What SentencePiece does with a text.
struct PieceNormal {
  std::string charsmap;       ///< characters and what they become; empty: they stay
  bool blank_first = true;    ///< puts a blank before the text
  bool single_blanks = true;  ///< several become one; none at the beginning and end
  bool marks = true;          ///< writes U+2581 for blanks
  bool operator==(const PieceNormal&) const = default;
};

using NormalStep = std::variant<NormalForm, Prepend, Replace, Surround, Lowercase, ByteCharacters,
                                Precompiled, PieceNormal>;

/// Puts one text in the place of another inside of each word.
struct Substitute {
  std::string from, to;
  bool operator==(const Substitute&) const = default;
};

/// Puts a text before words that do not begin with it.
struct Prefix {
  enum class Where : uint8_t { kAll, kFirst };  ///< all words, or the one that begins the text
  std::string text;
  Where where = Where::kAll;
  bool operator==(const Prefix&) const = default;
};

/// Cuts words where a pattern of PCRE2 matches.
struct Split {
  enum class Sees : uint8_t { kText, kByteCharacters };  ///< what stands for the bytes, if those
  std::string pattern;
  Splitter::Matches matches = Splitter::Matches::kApart;
  Sees sees = Sees::kText;
  bool operator==(const Split&) const = default;
};

using CutStep = std::variant<Substitute, Prefix, Split>;

/// What becomes of characters that are no tokens.
struct Unknown {
  enum class Runs : uint8_t { kApart, kTogether };
  std::optional<int32_t> id;  ///< the token that stands for one; refused without
  Runs runs = Runs::kApart;   ///< does a run of them become one token?
  bool as_bytes = false;      ///< tokens "<0x41>" of their bytes first, if all are there
};

/// Byte-pair encoding by merges.
struct MergeModel {
  enum class Alphabet : uint8_t { kBytes, kCharacters };  ///< what merging begins with
  enum class Whole : uint8_t { kMerge, kFirst };          ///< look whole words up before merging?
  Alphabet alphabet = Alphabet::kBytes;
  std::vector<Merge> merges;
  Whole whole = Whole::kMerge;
  Unknown unknown;  ///< with characters only: every byte must be a token
};

/// The pieces of SentencePiece, which take their text from `TokenizerSpec::tokens`.
struct PieceModel {
  enum class Algorithm : uint8_t {
    kMerging,  ///< neighbours that make the best piece are merged, until none do
    kUnigram,  ///< the pieces whose scores add up to most
  };
  /// Numbered as in the file, and in GGUF.
  enum class Type : uint8_t { kNormal = 1, kUnknown, kControl, kUserDefined, kUnused, kByte };
  struct Piece {
    float score = 0;
    Type type = Type::kNormal;
  };
  Algorithm algorithm = Algorithm::kUnigram;
  std::vector<Piece> pieces;  ///< by id
  Unknown unknown;
};

/// The Unigram model of a tokenizer.json: a word becomes the pieces whose scores add up to most, in
/// double precision, and a run of unknown characters one token.
struct UnigramModel {
  struct Piece {
    std::string text;
    double score = 0;
  };
  std::vector<Piece> pieces;  ///< by id; of two that are alike the later one counts
  Unknown unknown;
};

/// Words that are looked up: WordLevel and WordPiece.
struct LookupModel {
  enum class Parts : uint8_t {
    kWhole,    ///< a word is one token
    kLongest,  ///< or the longest tokens that it begins with, one after the other
  };
  Parts parts = Parts::kWhole;
  std::unordered_map<std::string, int32_t> tokens;
  std::string continuation;        ///< what tokens begin with that go on with a word
  int64_t most_characters = 0;     ///< for kLongest; longer words are unknown
  std::optional<int32_t> unknown;  ///< the token of words that can't be made; refused without
};

/// U+2581, what stands for a blank in pieces.
inline constexpr const char* kBlankMark = "\xe2\x96\x81";

/// How tokens become text. Tokens of a model of bytes are their text.
struct DecodeSpec {
  enum class Bytes : uint8_t {
    kText,        ///< tokens are text
    kNamed,       ///< "<0x41>" is a byte
    kCharacters,  ///< tokens are of characters that stand for bytes, if all of theirs are
  };
  enum class Between : uint8_t {
    kNothing,
    kBlank,  ///< but before tokens that begin with `continuation`, which they lose
  };
  enum class Leading : uint8_t {
    kKept,
    kFirstToken,    ///< the first token loses its marks; a piece loses the first of them
    kFirstVisible,  ///< so do all tokens up to the first that shows something
    kBlanks,        ///< the text loses up to `blanks` blanks at its beginning
  };
  std::vector<Substitute> substitutes;  ///< in each token, in order
  Bytes bytes = Bytes::kText;
  Between between = Between::kNothing;  ///< kBlank goes with kFirstToken
  std::string continuation;
  Leading leading = Leading::kKept;
  std::string mark;          ///< what stands for a blank, for kFirstToken
  int64_t blanks = 0;        ///< for kBlanks
  std::string unknown_text;  ///< of the unknown piece
};

/// All of it.
struct TokenizerSpec {
  std::vector<std::optional<std::string>> tokens;  ///< by id, as the model spells them; bytes where
                                                   ///< it works on bytes; nothing where unused
  std::vector<AddedToken> added;
  std::vector<NormalStep> normal;
  std::vector<CutStep> cuts;
  MergeModel model;
  std::optional<PieceModel> pieces;     ///< instead of `model`
  std::optional<UnigramModel> unigram;  ///< instead of `model`, whose alphabet are characters then
  std::optional<LookupModel> lookup;    ///< the same
  DecodeSpec decode;
  std::vector<int64_t> begin, end;  ///< what stands around a whole text, such as <s>
  std::vector<int64_t> ends;        ///< what ends a text that a model makes, beside special tokens
};

}  // namespace longwave::text
