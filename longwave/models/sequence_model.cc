// SPDX-License-Identifier: Apache-2.0
#include "longwave/models/sequence_model.h"

#include <algorithm>
#include <utility>

#include "longwave/base/error.h"
#include "longwave/models/sequence_model_parts.h"

namespace longwave::models {
namespace {

/// Steps of a sequence that causal models process at a time: enough rows for a fast product, few
/// enough for the cache.
int64_t chunk_steps(int64_t batch) {
  constexpr int64_t kRows = 8192;
  return std::clamp<int64_t>(kRows / std::max<int64_t>(batch, 1), 256, 1024);
}

}  // namespace

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
