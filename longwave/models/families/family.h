// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string_view>

#include "longwave/models/families/tensor_map.h"
#include "longwave/models/published_config.h"

namespace longwave::models {

/// A family as llama.cpp writes it into GGUF files; runtime/gguf_file.h is the rest of the file.
///
/// Keys go without the architecture that stands before them: "ssm.conv_kernel". Some are no
/// metadata and follow from the tensors: "vocab_size", "tie_word_embeddings", true for a layer N
/// with a router "has_experts.N", and "has_scan_norm". Others begin with "longwave." because no key
/// of llama.cpp says it; those under "longwave.multiplier." are multipliers that the tensors hold
/// already and that are taken out of them again, of files of float32 only.
struct GgufForm {
  std::string_view architecture;

  /// As those of PublishedFamily, for these keys and names.
  Options (*read)(PublishedReader& reader);
  PublishedConfig (*write)(const Options& options);
  void (*place)(TensorMap& map);

  /// Tells the families of one architecture apart; absent where there is one only.
  bool (*describes)(PublishedReader& reader) = nullptr;

  /// What models with experts are called, if it is another name. `write` then says which it is.
  std::string_view architecture_with_experts = {};
};

/// A family of models as transformers publishes it: one file in this folder declares one.
///
/// To add a family, write its file after the example of mamba.cc and name it in registry.cc.
struct PublishedFamily {
  std::string_view model_type;    ///< what config.json calls it: "mamba"
  std::string_view architecture;  ///< the class that transformers makes of it

  /// Our configuration of the same model. Has to ask for every key, or pass it over, or
  /// refuse it; "model.family" and the vocabulary are set by the caller.
  ///
  /// Errors     ConfigError naming the key.
  Options (*read)(PublishedReader& reader);

  /// The keys that `read` understands, but those that every family has (architecture, vocabulary,
  /// tied embeddings). What is lost on the way is found and refused by the caller.
  ///
  /// Errors     ConfigError naming the option.
  PublishedConfig (*write)(const Options& options);

  /// Says where each tensor of the model lies in a file of theirs.
  void (*place)(TensorMap& map);

  /// The same family in GGUF files; absent if it has no form there.
  const GgufForm* gguf = nullptr;
};

/// All families, in alphabetic order.
std::span<const PublishedFamily> published_families();

/// The family of this model_type, or null.
const PublishedFamily* find_published_family(std::string_view model_type);

/// The family whose form the model has: what model.family says, or else the pattern.
///
/// Errors     ConfigError if it is none.
const PublishedFamily& family_of(const Config& config);

/// The GGUF form of that family.
///
/// Errors     ConfigError if it has none.
const GgufForm& gguf_form_of(const Config& config);

/// The families, each declared in the file of its name, and forms that are files of their own.
extern const GgufForm kBambaGguf, kGraniteHybridGguf, kNemotronHGguf;
extern const PublishedFamily kBambaFamily, kFalconH1Family, kFalconMambaFamily,
    kGraniteMoeHybridFamily, kJambaFamily, kMambaFamily, kMamba2Family, kNemotronHFamily,
    kZamba2Family;

}  // namespace longwave::models
