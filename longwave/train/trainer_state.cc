// SPDX-License-Identifier: Apache-2.0
// What a trainer leaves in a checkpoint, and how it goes on from one.

#include <algorithm>
#include <bit>
#include <string>
#include <utility>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/io/safetensors.h"
#include "longwave/runtime/model_folder.h"
#include "longwave/train/checkpoint.h"
#include "longwave/train/trainer.h"

namespace longwave::train {
namespace {

constexpr const char* kStateFile = "train_state.safetensors";

void put_moments(Weights& state, const std::vector<Group>& groups) {
  for (const Group& group : groups) {
    for (const Slot& slot : group.slots) {
      state.put("mean/" + slot.name, from_torch(slot.mean));
      state.put("squares/" + slot.name, from_torch(slot.squares));
    }
  }
}

void get_moment(const Weights& state, const std::string& name, torch::Tensor& moment) {
  const auto found = state.all().find(name);
  if (found == state.all().end() || found->second.shape() != moment.sizes().vec()) {
    throw DataError({.where = kStateFile,
                     .what = "the moments " + name + " are missing or of another shape",
                     .got = {},
                     .fix = "resume with the recipe that the run was started with"});
  }
  moment.copy_(to_torch(found->second));
}

void put_window(Weights& state, const std::string& name, const Window& window) {
  if (window.values().empty()) return;
  Tensor tensor(DType::kFloat64, {static_cast<int64_t>(window.values().size())});
  std::ranges::copy(window.values(), tensor.elements<double>().begin());
  state.put(name, std::move(tensor));
}

void get_window(const Weights& state, const std::string& name, Window& window) {
  std::vector<double> values;
  const auto found = state.all().find(name);
  if (found != state.all().end() && found->second.dtype() == DType::kFloat64) {
    const auto stored = found->second.elements<double>();
    values.assign(stored.begin(), stored.end());
  }
  window.set_values(std::move(values));
}

/// A number of meta.json that older checkpoints do not have.
int64_t integer_or(const Record& meta, const std::string& name, int64_t otherwise) {
  const bool known =
      std::ranges::any_of(meta, [&](const auto& entry) { return entry.first == name; });
  return known ? integer_of(meta, name) : otherwise;
}

}  // namespace

Record Trainer::save(const std::filesystem::path& folder) const {
  runtime::write_model_files(folder, model_->config(), model_->weights());
  if (info().tokenizer != nullptr) runtime::write_tokenizer(folder, *info().tokenizer);
  Weights state;
  put_moments(state, optimiser_->groups());
  put_window(state, "window/loss", losses_);
  put_window(state, "window/gradient_norm", norms_);
  io::save_safetensors(folder / kStateFile, state);
  return {{"step", counters_.step},
          {"epoch", static_cast<double>(counters_.step) / static_cast<double>(steps_per_epoch_)},
          {"loader_epoch", loader_->position().epoch},
          {"loader_index", loader_->position().index},
          {"optimiser_steps", optimiser_->steps()},
          {"seed", std::bit_cast<int64_t>(seed_)},
          {"ema", counters_.ema},
          {"best", counters_.best},
          {"best_step", counters_.best_step},
          {"seconds", counters_.seconds},
          {"dropped", counters_.dropped},
          {"dropped_in_row", counters_.dropped_in_row},
          {"anchor", counters_.anchor}};
}

void Trainer::restore(const std::filesystem::path& checkpoint) {
  const Record meta = read_meta(checkpoint);
  const Weights state = io::load_safetensors(checkpoint / kStateFile,
                                             {.float64 = io::SafetensorsOptions::Float64::kKeep})
                            .weights;
  load(runtime::load_model_folder(checkpoint).weights);
  const torch::NoGradGuard no_grad;
  for (Group& group : optimiser_->groups()) {
    for (Slot& slot : group.slots) {
      get_moment(state, "mean/" + slot.name, slot.mean);
      get_moment(state, "squares/" + slot.name, slot.squares);
    }
  }
  get_window(state, "window/loss", losses_);
  get_window(state, "window/gradient_norm", norms_);
  optimiser_->set_steps(integer_of(meta, "optimiser_steps"));
  loader_->seek(
      {.epoch = integer_of(meta, "loader_epoch"), .index = integer_of(meta, "loader_index")});
  counters_ = {.step = integer_of(meta, "step"),
               .ema = real_of(meta, "ema"),
               .best = real_of(meta, "best"),
               .best_step = integer_of(meta, "best_step"),
               .seconds = real_of(meta, "seconds"),
               .dropped = integer_or(meta, "dropped", 0),
               .dropped_in_row = integer_or(meta, "dropped_in_row", 0),
               .anchor = integer_or(meta, "anchor", integer_of(meta, "step"))};
}

void Trainer::go_back(const std::filesystem::path& checkpoint) {
  const Counters before = counters_;
  const data::Loader::Position next = loader_->position();
  restore(checkpoint);
  loader_->seek(next);
  counters_.seconds = before.seconds;
  counters_.dropped = before.dropped + 1;
  counters_.dropped_in_row = before.dropped_in_row + 1;
}

void Trainer::load(const Weights& weights) {
  const torch::NoGradGuard no_grad;
  model_->load(weights);
}

}  // namespace longwave::train
