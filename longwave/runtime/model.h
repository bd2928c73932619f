// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>

#include "longwave/models/sequence_model.h"
#include "longwave/runtime/state.h"

namespace longwave::runtime {

/// A loaded model, shared by its sessions.
///
/// Errors     as load_model_folder; InvalidArgument if the rate is not positive and finite.
/// Threads    immutable: share it freely.
class Model {
 public:
  /// `rate` multiplies every step size: 2 for data sampled half as often as in training. `context`
  /// is the longest sequence where attention sees all positions (see set_context); 0 leaves it.
  static std::shared_ptr<const Model> load(const std::filesystem::path& folder, double rate = 1.0,
                                           int64_t context = 0);
  Model(models::Config config, const Weights& weights, double rate = 1.0);

  /// As above where the fingerprint is known, with weights in any layout.
  Model(models::Config config, const Weights& weights, double rate, uint64_t fingerprint);

  const models::SequenceModel& network() const { return network_; }

  /// A step is a token, not a row of real numbers.
  bool takes_tokens() const;

  /// Numbers of a step: the features of a sample, or the size of the vocabulary.
  size_t input_size() const;

  /// Numbers of a step's answer: the vocabulary of a language model.
  size_t output_size() const;

  /// 64 bits over configuration, rate and weights: a state belongs to one fingerprint.
  uint64_t fingerprint() const { return fingerprint_; }

  /// InvalidArgument unless the state is one of this model's.
  void check_own(const State& state) const;

 private:
  models::SequenceModel network_;
  uint64_t fingerprint_;
};

}  // namespace longwave::runtime
