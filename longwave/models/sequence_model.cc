// SPDX-License-Identifier: Apache-2.0
#include "longwave/models/sequence_model.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include "longwave/base/error.h"
#include "longwave/models/block.h"
#include "longwave/nn/embedding.h"
#include "longwave/nn/linear.h"
#include "longwave/nn/norm.h"
#include "longwave/nn/pooling.h"

namespace longwave::models {
namespace {

/// Steps of a sequence that causal models process at a time: enough rows for a fast product, few
/// enough for the cache.
int64_t chunk_steps(int64_t batch) {
  constexpr int64_t kRows = 8192;
  return std::clamp<int64_t>(kRows / std::max<int64_t>(batch, 1), 256, 1024);
}

ParameterTable standardisation_parameters(int64_t size) {
  return {{.name = "shift",
           .shape = {size},
           .group = ParameterGroup::kBuffer,
           .init = constant_init(0)},
          {.name = "scale",
           .shape = {size},
           .group = ParameterGroup::kBuffer,
           .init = constant_init(1)}};
}

/// Whether layers call blocks that others call, too.
bool shares(const std::vector<BlockConfig>& layers) {
  return std::ranges::any_of(layers,
                             [](const BlockConfig& layer) { return layer.shared.has_value(); });
}

std::string layer_name(size_t layer) { return "layers." + std::to_string(layer); }

void check_interface(const Interface& interface) {
  if (interface.input_size >= 1 && interface.output_size >= 1) return;
  throw ConfigError({.where = "io",
                     .what = "input_size and output_size must be at least 1",
                     .got = std::to_string(interface.input_size) + " and " +
                            std::to_string(interface.output_size),
                     .fix = {}});
}

void check_tie(const Config& config) {
  if (!config.options.flag("model.tie")) return;
  const Interface& io = config.interface;
  if (io.input == Interface::Input::kTokens && io.input_size == io.output_size) return;
  throw ConfigError({.where = "model.tie",
                     .what = "only a model that answers with the tokens it takes can tie the two",
                     .got = std::to_string(io.input_size) + " inputs, " +
                            std::to_string(io.output_size) + " outputs",
                     .fix = "set model.tie = false"});
}

}  // namespace

ParameterTable parameters(const Config& config) {
  check_interface(config.interface);
  check_tie(config);
  const Interface& interface = config.interface;
  const std::vector<BlockConfig> layers = BlockConfig::layers_of(config.options);
  const BlockConfig& block = layers.front();
  const bool tie = config.options.flag("model.tie");
  ParameterTable table;
  if (interface.input == Interface::Input::kTokens) {
    // Rows that are read out, too, must not start with large products.
    append(table, nn::embedding_parameters(interface.input_size, block.channels, tie ? 0.02 : 1));
  } else {
    append(table, nn::linear_parameters(interface.input_size, block.channels));
    append(table, standardisation_parameters(interface.input_size));
  }
  table = with_prefix("encoder", std::move(table));
  if (shares(layers)) {
    const SharedConfig shared(config.options);
    for (int64_t i = 0; i < shared.blocks; ++i) {
      append(table, with_prefix("shared." + std::to_string(i), shared_parameters(shared)));
    }
  }
  for (size_t i = 0; i < layers.size(); ++i) {
    append(table, with_prefix(layer_name(i), block_parameters(layers[i], config.options)));
  }
  if (block.place == BlockConfig::NormPlace::kBefore) {
    append(table, with_prefix("norm", nn::norm_parameters(block.norm, block.channels)));
  }
  if (!tie) {
    ParameterTable decoder = nn::linear_parameters(block.channels, interface.output_size);
    if (!config.options.flag("model.head_bias")) decoder.pop_back();
    append(table, with_prefix("decoder", std::move(decoder)));
  }
  append(table, with_prefix("decoder", standardisation_parameters(interface.output_size)));
  return table;
}

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

SequenceModel::Parts::Parts(Config c, const Weights& w, double rate)
    : config(std::move(c)),
      weights(w),
      layers(BlockConfig::layers_of(config.options)),
      block(layers.front()),
      embedding_multiplier(static_cast<float>(config.options.real("model.embedding_multiplier"))),
      logits_multiplier(static_cast<float>(config.options.real("model.logits_multiplier"))) {
  check_interface(config.interface);
  check_tie(config);
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

SequenceModel::SequenceModel(Config config, const Weights& weights, double rate)
    : parts_(std::make_unique<Parts>(std::move(config), weights, rate)) {}

SequenceModel::~SequenceModel() = default;

const Config& SequenceModel::config() const { return parts_->config; }
int64_t SequenceModel::state_size() const { return parts_->state_size; }
bool SequenceModel::causal() const { return parts_->causal; }

std::vector<mixers::StateRun> SequenceModel::state_runs() const {
  std::vector<mixers::StateRun> runs;
  for (const Block& block : parts_->blocks) {
    const std::vector<mixers::StateRun> more = block.state_runs();
    runs.insert(runs.end(), more.begin(), more.end());
  }
  if (parts_->pooling) {
    runs.push_back({mixers::StateRun::Kind::kExact, parts_->pooling->state_size()});
  }
  return runs;
}

bool SequenceModel::packs() const { return parts_->packs && !parts_->sequence_output(); }

size_t SequenceModel::workspace_bytes(int64_t batch, int64_t time) const {
  const int64_t steps = parts_->causal ? std::min(time, chunk_steps(batch)) : time;
  const int64_t rows = batch * steps;
  size_t inner = Workspace::bytes_for<float>(rows * parts_->input_size());
  for (const Block& block : parts_->blocks) {
    inner = std::max(inner, block.workspace_bytes(batch, steps));
  }
  const int64_t decoded = parts_->sequence_output() ? batch : rows;
  const size_t output = Workspace::bytes_for<float>(decoded * parts_->output_size());
  const int64_t streams = shares(parts_->layers) ? 2 : 1;
  const size_t stream = streams * Workspace::bytes_for<float>(rows * parts_->block.channels);
  const size_t pooled = Workspace::bytes_for<float>(batch * parts_->block.channels);
  return stream + std::max(inner, pooled + output);
}

void SequenceModel::prefill(const Prefill& args, Workspace& workspace) const {
  const Parts& parts = *parts_;
  parts.check(args);
  const int64_t batch = args.state.extent(0);
  const int64_t time = parts.embedding ? args.tokens.extent(1) : args.input.extent(1);
  const int64_t steps = parts.causal ? chunk_steps(batch) : std::max<int64_t>(time, 1);
  for (int64_t begin = 0; begin < time && batch > 0; begin += steps) {
    const int64_t count = std::min(steps, time - begin);
    Prefill chunk = args;
    if (parts.embedding) {
      chunk.tokens = args.tokens.slice(1, begin, count);
    } else {
      chunk.input = args.input.slice(1, begin, count);
    }
    if (!args.starts.absent()) chunk.starts = args.starts.slice(1, begin, count);
    if (!parts.sequence_output() && args.output.extent(1) == time) {
      chunk.output = args.output.slice(1, begin, count);
    } else if (begin + count < time) {
      chunk.output = args.output.slice(1, 0, 0);  // only the last chunk answers
    }
    parts.run(Block::Mode::kPrefill, chunk, workspace);
  }
  if (parts.sequence_output()) parts.answer(args.state, args.output, workspace);
}

void SequenceModel::step(const Step& args, Workspace& workspace) const {
  const Parts& parts = *parts_;
  require(parts.causal, "sequence_model", "a model that looks ahead has no step");
  Prefill chunk;
  chunk.state = args.state;
  chunk.output = {args.output.data(),
                  {args.output.extent(0), 1, args.output.extent(1)},
                  {args.output.stride(0), 0, args.output.stride(1)}};
  if (parts.embedding) {
    chunk.tokens = {args.tokens.data(), {args.tokens.extent(0), 1}, {args.tokens.stride(0), 0}};
  } else {
    chunk.input = {args.input.data(),
                   {args.input.extent(0), 1, args.input.extent(1)},
                   {args.input.stride(0), 0, args.input.stride(1)}};
  }
  parts.check(chunk);
  parts.run(Block::Mode::kStep, chunk, workspace);
  if (parts.sequence_output()) parts.answer(chunk.state, chunk.output, workspace);
}

int64_t SequenceModel::journal_size() const { return parts_->journal_size; }

int64_t SequenceModel::steps_left(View<const float, 1> state) const {
  require(state.extent(0) == parts_->state_size, "sequence_model", "state must be (state_size)");
  return parts_->steps_left(state);
}

void SequenceModel::tentative_steps(const Prefill& args, View<float, 3> journal,
                                    Workspace& workspace) const {
  const Parts& parts = *parts_;
  require(parts.causal && !parts.sequence_output() && args.starts.absent(), "sequence_model",
          "tentative steps are for models with one answer a step, that do not look ahead");
  parts.check(args);
  const int64_t batch = args.state.extent(0), time = args.output.extent(1);
  require(time == (parts.embedding ? args.tokens.extent(1) : args.input.extent(1)),
          "sequence_model", "tentative steps each have an answer");
  require(batch * time <= kMostTentative, "sequence_model", "too many tentative steps at once");
  require(journal.extent(0) == batch && journal.extent(1) == time &&
              journal.extent(2) == parts.journal_size,
          "sequence_model", "the journal must be (batch, time, journal_size)");
  if (batch * time > 0) parts.run(Block::Mode::kTentative, args, workspace, journal);
}

void SequenceModel::take_back(View<float, 2> state, View<const float, 3> journal,
                              int64_t kept) const {
  const Parts& parts = *parts_;
  require(kept >= 0 && kept <= journal.extent(1), "sequence_model",
          "so many tentative steps were not taken");
  require(state.extent(1) == parts.state_size && journal.extent(0) == state.extent(0) &&
              journal.extent(2) == parts.journal_size,
          "sequence_model", "the journal must be (batch, time, journal_size)");
  for (size_t i = 0; i < parts.blocks.size(); ++i) {
    const int64_t begin = parts.state_begin[i], size = parts.state_begin[i + 1] - begin;
    parts.blocks[i].take_back(state.slice(1, begin, size), parts.journal_of(i, journal), kept);
  }
}

bool SequenceModel::rounds_inputs() const {
  return std::ranges::any_of(parts_->weights.all(),
                             [](const auto& entry) { return is_blocked(entry.second.dtype()); });
}

int64_t SequenceModel::layer_count() const { return static_cast<int64_t>(parts_->blocks.size()); }

const std::string& SequenceModel::layer_family(int64_t layer) const {
  require(layer >= 0 && layer < layer_count(), "sequence_model", "no such layer");
  static const std::string kMlp = "mlp", kMoe = "moe";
  const BlockConfig& config = parts_->layers[static_cast<size_t>(layer)];
  if (!config.family.empty()) return config.family;
  return config.after == AfterMixer::kMoe ? kMoe : kMlp;
}

const mixers::Mixer& SequenceModel::layer_mixer(int64_t layer) const {
  require(layer >= 0 && layer < layer_count(), "sequence_model", "no such layer");
  return parts_->blocks[layer].mixer();
}

}  // namespace longwave::models
