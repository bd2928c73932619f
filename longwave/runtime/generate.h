// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "longwave/runtime/sampler.h"
#include "longwave/runtime/session.h"
#include "longwave/runtime/speculator.h"
#include "longwave/text/tokenizer.h"

namespace longwave::runtime {

/// How a model goes on with a sequence of tokens.
struct GenerateOptions {
  SamplerOptions sampler;
  int64_t max_tokens = 256;
  std::vector<std::string> stops = {};  ///< texts that end the generation and are not shown

  /// Guesses tokens ahead, see Speculator; or none. It must stand where the session stands, is fed
  /// with the prompt, too, and is left after all that was drawn but the last token, as the session.
  Session* draft = nullptr;
  int64_t draft_tokens = 4;  ///< guesses of a round, 1 to Session::kMostProposed - 1
};

/// What came out.
struct Generation {
  enum class End : uint8_t {
    kLength,   ///< max_tokens were drawn
    kStop,     ///< a stop string was met
    kSpecial,  ///< the model drew a token that ends a text, or another special one
    kAsked,    ///< the sink asked to end
    kContext,  ///< the model has no room for the last token, which would have to be fed to go on
  };
  End end = End::kLength;
  std::vector<int64_t> ids;  ///< all that were drawn, in order
  DraftReport draft;         ///< what the draft brought, if there was one
};

/// Sees each token as it is drawn with the text that can be shown now (none without a tokenizer);
/// the last call has no token (-1) and what was held back. False ends the generation.
using TokenSink = std::function<bool(int64_t id, std::string_view text)>;

/// InvalidArgument at `where` unless the model answers each step with one of its own tokens.
void check_predicts_tokens(const models::Interface& interface, const char* where);

/// Feeds tokens in pieces that bound the memory; the logits after the last one, or none.
std::span<const float> feed(Session& session, std::span<const int64_t> tokens);

/// Feeds the prompt to the session, then draws token after token, each fed back but the last.
///
/// Without a tokenizer there is no text, and stop strings are refused.
///
/// Cost       constant memory in the length of prompt and answer, but for the ids themselves.
/// Errors     InvalidArgument if the model does not answer each step with one of its own tokens,
///            the prompt is empty or does not fit the context, or there is a draft and the state is
///            not kept as float32; as Session and Sampler.
Generation generate(Session& session, const text::Tokenizer* tokenizer,
                    std::span<const int64_t> prompt, const GenerateOptions& options,
                    const TokenSink& sink);

}  // namespace longwave::runtime
