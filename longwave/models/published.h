// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "longwave/base/options.h"
#include "longwave/base/parameter.h"
#include "longwave/base/stored_tensor.h"
#include "longwave/models/sequence_model.h"

namespace longwave::models {

/// Forms in which others publish Mamba and Mamba-2 language models.
///
///   state-spaces   the original project: d_model, n_layer, ssm_cfg.*; backbone.embedding.weight
///   hf             transformers: model_type, hidden_size, ...; backbone.embeddings.weight
///   gguf           llama.cpp: general.architecture, embedding_length, ...; token_embd.weight
///                  (keys without the architecture before them, see families/family.h)
enum class PublishedFormat : uint8_t { kStateSpaces, kHuggingFace, kGguf };

/// "state-spaces", "hf" or "gguf".
std::string_view name_of(PublishedFormat format);

/// The values of a config.json by path, such as "ssm_cfg.d_state" or "time_step_limit.0".
using PublishedConfig = std::map<std::string, Value>;

/// The form whose keys these are; nothing if they are of neither.
std::optional<PublishedFormat> published_format(const PublishedConfig& config);

/// The model that a published configuration describes: tokens to logits of the next token.
///
/// What only concerns training, storage or speed is passed over. The vocabulary of state-spaces is
/// rounded up as its embedding is. The norm of Mamba-2 is one a group of heads, as the original has
/// it and transformers 5.23, too; earlier ones took one over all channels.
///
/// Errors     ConfigError naming the key that is missing, unknown, of the wrong type, or asks for
///            what Longwave does not compute.
Config from_published(PublishedFormat format, const PublishedConfig& config,
                      std::string_view where);

/// The configuration of a model in a published form; `from_published` reads it back.
///
/// Errors     ConfigError naming the option that the form cannot express.
PublishedConfig to_published(PublishedFormat format, const Config& config);

/// One tensor under both names.
struct PublishedTensor {
  std::string ours;
  std::string theirs;
  Shape shape;
  bool rounded =
      false;            ///< their numbers follow from ours by a formula, so that some bits are lost
  bool scaled = false;  ///< their numbers are multiples of ours, so that the last bit may be lost
};

/// Every tensor of the model that a published file holds, in the order of the data flow.
std::vector<PublishedTensor> published_tensors(PublishedFormat format, const Config& config);

/// A copy of the tensors of a published file under our names. Matrices keep their type; what our
/// layers want as float32 becomes that.
///
/// Errors     DataError naming the file's tensor that is missing, misshapen or belongs nowhere, or
///            a tied head that differs from the embedding.
Weights from_published(PublishedFormat format, const Config& config, const StoredTensors& file,
                       std::string_view where);
inline Weights from_published(PublishedFormat format, const Config& config, const Weights& file,
                              std::string_view where) {
  return from_published(format, config, stored(file), where);
}

/// The same, one tensor at a time, each as soon as all its parts were read.
void each_from_published(PublishedFormat format, const Config& config, const StoredTensors& file,
                         std::string_view where, const TakeTensor& take);

/// Makes the tensors of a published file of ours, which come one at a time in any order, and gives
/// each to `take` as soon as it has all its parts.
///
/// Errors     as `to_published`.
/// Threads    one owner at a time.
class ToPublished {
 public:
  ToPublished(PublishedFormat format, const Config& config, TakeTensor take);
  ~ToPublished();

  /// What will be made.
  const std::map<std::string, Shape>& shapes() const;

  void add(const std::string& name, const Tensor& tensor);

  /// The numbers that a tensor of ours, of float32 and not added yet, will have when it is read
  /// back: multiplied and divided by the factors of its parts; nothing if it has no such parts.
  /// What follows by a formula (`PublishedTensor::rounded`) is left as it is.
  std::optional<Tensor> there_and_back(const std::string& name, const Tensor& tensor) const;

  /// DataError if a tensor was missing.
  void finish();

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

/// The tensors of a published file. state-spaces repeats a tied embedding as the head.
///
/// Errors     DataError if a tensor is missing, or outputs are standardised.
Weights to_published(PublishedFormat format, const Config& config, const Weights& weights);

}  // namespace longwave::models
