// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "longwave/models/block.h"
#include "longwave/models/sequence_model.h"
#include "longwave/nn/embedding.h"
#include "longwave/nn/linear.h"
#include "longwave/nn/norm.h"
#include "longwave/nn/pooling.h"

/// What a sequence model is made of, for its own sources.
namespace longwave::models {

/// ConfigError unless inputs and outputs have sizes, and are of one kind where they are tied.
void check_config(const Config& config);

/// Whether layers call blocks that others call, too.
bool shares(const std::vector<BlockConfig>& layers);

/// The name of a layer's scope: "layers.3".
std::string layer_name(size_t layer);

/// The layers in the order of the data flow, and what lies before and behind them.
struct SequenceModel::Parts {
  Config config;
  Weights weights;
  std::vector<BlockConfig> layers;
  const BlockConfig& block;  // of the first layer, for what all share
  std::optional<nn::Embedding> embedding;
  std::optional<nn::Linear> encoder;
  View<const float, 1> input_shift, input_scale, output_shift, output_scale;
  std::vector<Block> blocks;
  std::vector<int64_t> state_begin;    // of each layer, and of the pooling
  std::vector<int64_t> journal_begin;  // of each layer, and the end
  std::optional<nn::Norm> norm;
  std::optional<nn::Pooling> pooling;
  std::optional<nn::Linear> decoder;
  float embedding_multiplier, logits_multiplier;
  int64_t state_size = 0;
  int64_t journal_size = 0;
  bool causal = true;
  bool packs = true;

  Parts(Config c, const Weights& w, double rate);
  void make_blocks(double rate);

  bool sequence_output() const { return config.interface.output == Interface::Output::kSequence; }
  int64_t input_size() const { return config.interface.input_size; }
  int64_t output_size() const { return config.interface.output_size; }

  /// One chunk of time: the views hold its steps only. A journal is of tentative steps.
  void run(Block::Mode mode, const Prefill& chunk, Workspace& workspace,
           View<float, 3> journal = {}) const;
  void encode(const Prefill& chunk, View<float, 3> x, Workspace& workspace) const;
  void decode(View<const float, 2> rows, View<float, 3> output, Workspace& workspace) const;
  /// The answers after the last step of a chunk, or none where the output has no row for them.
  void decode_last(View<const float, 3> x, const Prefill& chunk, Workspace& workspace) const;
  /// The answer of a sequence, from what the pooling has seen.
  void answer(View<const float, 2> state, View<float, 3> output, Workspace& workspace) const;
  void check(const Prefill& args) const;
  void check_context(View<const float, 2> state, int64_t time) const;
  int64_t steps_left(View<const float, 1> state) const;
  /// A layer's part of a journal.
  template <typename T>
  View<T, 3> journal_of(size_t layer, View<T, 3> journal) const {
    const int64_t begin = journal_begin[layer];
    return journal.slice(2, begin, journal_begin[layer + 1] - begin);
  }
};

}  // namespace longwave::models
