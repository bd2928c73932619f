// SPDX-License-Identifier: Apache-2.0
#include "longwave/models/sequence_model_parts.h"

#include <algorithm>
#include <limits>
#include <span>
#include <utility>

#include "longwave/base/error.h"

namespace longwave::models {

SequenceModel::Parts::Parts(Config c, const Weights& w, double rate)
    : config(std::move(c)),
      weights(w),
      layers(BlockConfig::layers_of(config.options)),
      block(layers.front()),
      embedding_multiplier(static_cast<float>(config.options.real("model.embedding_multiplier"))),
      logits_multiplier(static_cast<float>(config.options.real("model.logits_multiplier"))) {
  check_config(config);
  const Weights in = weights.scope("encoder"), out = weights.scope("decoder");
  if (config.interface.input == Interface::Input::kTokens) {
    embedding.emplace(in, input_size(), block.channels);
  } else {
    encoder.emplace(in, input_size(), block.channels);
    input_shift = in.view<1>("shift", {input_size()});
    input_scale = in.view<1>("scale", {input_size()});
  }
  make_blocks(rate);
  if (block.place == BlockConfig::NormPlace::kBefore) {
    norm.emplace(weights.scope("norm"), block.norm, block.channels, block.norm_epsilon);
  }
  if (config.options.flag("model.tie")) {
    decoder.emplace(in.matrix("weight", {output_size(), block.channels}));
  } else if (!config.options.flag("model.head_bias")) {
    decoder.emplace(out.matrix("weight", {output_size(), block.channels}));
  } else {
    decoder.emplace(out, block.channels, output_size());
  }
  output_shift = out.view<1>("shift", {output_size()});
  output_scale = out.view<1>("scale", {output_size()});
}

void SequenceModel::Parts::make_blocks(double rate) {
  for (size_t i = 0; i < layers.size(); ++i) {
    const Weights layer = weights.scope(layer_name(i));
    blocks.emplace_back(layers[i], Block::Layer{config.options, layer, rate, weights});
    state_begin.push_back(state_size);
    state_size += blocks.back().state_size();
    journal_begin.push_back(journal_size);
    journal_size += blocks.back().journal_size();
    causal = causal && blocks.back().mixer().causal();
    packs = packs && blocks.back().mixer().packs();
  }
  state_begin.push_back(state_size);
  journal_begin.push_back(journal_size);
  if (!sequence_output()) return;
  pooling.emplace(nn::pooling_kind(config.options.text("model.pool")), block.channels);
  state_size += pooling->state_size();
}

void SequenceModel::Parts::check(const Prefill& args) const {
  const bool tokens = embedding.has_value();
  require(tokens ? args.input.absent() : args.tokens.absent(), "sequence_model",
          tokens ? "this model takes tokens" : "this model takes real inputs");
  const int64_t batch = tokens ? args.tokens.extent(0) : args.input.extent(0);
  const int64_t time = tokens ? args.tokens.extent(1) : args.input.extent(1);
  require(tokens || args.input.extent(2) == input_size(), "sequence_model",
          "input must be (batch, time, input_size)");
  require(args.state.extent(0) == batch && args.state.extent(1) == state_size, "sequence_model",
          "state must be (batch, state_size)");
  const int64_t answers = args.output.extent(1);
  const bool of_all = answers == time && !sequence_output();
  const bool of_last = answers == 1 && (time > 0 || sequence_output());
  require(args.output.extent(0) == batch && args.output.extent(2) == output_size() &&
              (of_all || of_last),
          "sequence_model", "output must be (batch, time or 1, output_size)");
  if (!args.starts.absent()) {
    require(packs && !sequence_output(), "sequence_model",
            "packed sequences need layers that take them and one answer a step");
    require(args.starts.extent(0) == batch && args.starts.extent(1) == time, "sequence_model",
            "starts must be (batch, time)");
  }
  if (tokens) embedding->check(args.tokens);
  check_context(args.state, time);
}

int64_t SequenceModel::Parts::steps_left(View<const float, 1> state) const {
  int64_t left = std::numeric_limits<int64_t>::max();
  for (size_t i = 0; i < blocks.size(); ++i) {
    const int64_t begin = state_begin[i], size = state_begin[i + 1] - begin;
    left = std::min(left, blocks[i].steps_left(state.slice(0, begin, size)));
  }
  return left;
}

/// Every layer must be able to take the steps before any of them moves on its state.
void SequenceModel::Parts::check_context(View<const float, 2> state, int64_t time) const {
  for (int64_t b = 0; b < state.extent(0); ++b) {
    const int64_t left = steps_left(state[b]);
    if (time <= left) continue;
    throw InvalidArgument(
        {.where = "sequence_model",
         .what = "the context is full",
         .got = std::to_string(time) + " steps more, where " + std::to_string(left) + " still fit",
         .fix = "give a shorter prompt, reset, or load the model with a longer "
                "context (--context)"});
  }
}

void SequenceModel::Parts::encode(const Prefill& chunk, View<float, 3> x,
                                  Workspace& workspace) const {
  if (embedding) {
    embedding->apply(chunk.tokens, x);
    if (embedding_multiplier == 1) return;
    for (int64_t i = 0; i < x.size(); ++i) x.data()[i] *= embedding_multiplier;
    return;
  }
  const Workspace::Scope scope(workspace);
  const int64_t batch = x.extent(0), time = x.extent(1), rows = batch * time;
  const View<float, 2> standard(workspace.take<float>(rows * input_size()).data(),
                                {rows, input_size()});
  for (int64_t b = 0; b < batch; ++b) {
    for (int64_t t = 0; t < time; ++t) {
      for (int64_t i = 0; i < input_size(); ++i) {
        standard(b * time + t, i) = (chunk.input(b, t, i) - input_shift(i)) / input_scale(i);
      }
    }
  }
  encoder->apply(standard, {x.data(), {rows, block.channels}});
}

void SequenceModel::Parts::decode(View<const float, 2> rows, View<float, 3> output,
                                  Workspace& workspace) const {
  const Workspace::Scope scope(workspace);
  const int64_t time = output.extent(1);
  const View<float, 2> standard(workspace.take<float>(rows.extent(0) * output_size()).data(),
                                {rows.extent(0), output_size()});
  decoder->apply(rows, standard);
  for (int64_t b = 0; b < output.extent(0); ++b) {
    for (int64_t t = 0; t < time; ++t) {
      for (int64_t i = 0; i < output_size(); ++i) {
        const float answer = standard(b * time + t, i) * logits_multiplier;
        output(b, t, i) = answer * output_scale(i) + output_shift(i);
      }
    }
  }
}

void SequenceModel::Parts::decode_last(View<const float, 3> x, const Prefill& chunk,
                                       Workspace& workspace) const {
  if (chunk.output.extent(1) == 0) return;
  const Workspace::Scope scope(workspace);
  const int64_t batch = x.extent(0), last = x.extent(1) - 1;
  const View<float, 2> rows(workspace.take<float>(batch * block.channels).data(),
                            {batch, block.channels});
  for (int64_t b = 0; b < batch; ++b) {
    std::copy_n(&x(b, last, 0), block.channels, &rows(b, 0));
  }
  if (norm) norm->apply(rows, rows);
  decode(rows, chunk.output, workspace);
}

void SequenceModel::Parts::run(Block::Mode mode, const Prefill& chunk, Workspace& workspace,
                               View<float, 3> journal) const {
  const Workspace::Scope scope(workspace);
  const int64_t batch = chunk.state.extent(0), channels = block.channels;
  const int64_t time = embedding ? chunk.tokens.extent(1) : chunk.input.extent(1);
  const int64_t rows = batch * time;
  const View<float, 3> x(workspace.take<float>(rows * channels).data(), {batch, time, channels});
  const View<float, 2> x_rows(x.data(), {rows, channels});
  encode(chunk, x, workspace);
  View<const float, 3> original;
  if (shares(layers)) {
    const std::span<float> copy = workspace.take<float>(rows * channels);
    std::copy_n(x.data(), copy.size(), copy.data());
    original = {copy.data(), x.extents()};
  }
  for (size_t i = 0; i < blocks.size(); ++i) {
    const int64_t size = state_begin[i + 1] - state_begin[i];
    Block::Run layer{.mode = mode,
                     .x = x,
                     .state = chunk.state.slice(1, state_begin[i], size),
                     .starts = chunk.starts,
                     .original = original};
    if (mode == Block::Mode::kTentative) layer.journal = journal_of(i, journal);
    blocks[i].run(layer, workspace);
  }
  if (!sequence_output() && chunk.output.extent(1) < time) return decode_last(x, chunk, workspace);
  if (norm) norm->apply(x_rows, x_rows);
  if (!sequence_output()) return decode(x_rows, chunk.output, workspace);
  pooling->add(x, chunk.state.slice(1, state_begin.back(), pooling->state_size()));
}

void SequenceModel::Parts::answer(View<const float, 2> state, View<float, 3> output,
                                  Workspace& workspace) const {
  const Workspace::Scope scope(workspace);
  const int64_t batch = state.extent(0);
  const View<float, 2> pooled(workspace.take<float>(batch * block.channels).data(),
                              {batch, block.channels});
  pooling->pooled(state.slice(1, state_begin.back(), pooling->state_size()), pooled);
  decode(pooled, output, workspace);
}

}  // namespace longwave::models
