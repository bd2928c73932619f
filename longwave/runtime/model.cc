// SPDX-License-Identifier: Apache-2.0
#include "longwave/runtime/model.h"

#include <cmath>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/base/large_pages.h"
#include "longwave/base/parallel.h"
#include "longwave/ops/quant/panels.h"
#include "longwave/runtime/hash.h"
#include "longwave/runtime/model_folder.h"

namespace longwave::runtime {
namespace {

uint64_t fingerprint_of(const models::Config& config, const Weights& weights, double rate) {
  const ParameterTable table = models::parameters(config);
  std::vector<const Tensor*> tensors;
  for (const Parameter& parameter : table) {
    // `of` says what is missing.
    const bool there = weights.has(parameter.name);
    tensors.push_back(there ? &weights.all().at(parameter.name) : &weights.of(parameter));
  }
  std::vector<uint64_t> numbers(tensors.size());
  parallel_for(std::ssize(tensors), 1, [&](int64_t begin, int64_t end) {
    for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
      numbers[i] = hash_much({tensors[i]->raw(), tensors[i]->bytes()});
    }
  });
  const std::string text = format_model_config(config);
  uint64_t hash = hash_bytes(std::as_bytes(std::span(text)));
  hash = hash_bytes(std::as_bytes(std::span(&rate, 1)), hash);
  for (size_t i = 0; i < table.size(); ++i) {
    hash = hash_bytes(std::as_bytes(std::span(table[i].name)), hash);
    const std::string_view type = name_of(tensors[i]->dtype());
    if (tensors[i]->dtype() != DType::kFloat32) {
      hash = hash_bytes(std::as_bytes(std::span(type)), hash);
    }
    hash = hash_bytes(std::as_bytes(std::span(&numbers[i], 1)), hash);
  }
  return hash;
}

/// Lays the rows of blocks out as products want them, side by side in large pages, together with
/// tensors that are too small to have large pages of their own. One at a time is there twice.
void arrange(Weights& weights) {
  std::vector<std::string> names;
  size_t bytes = 0;
  for (const auto& [name, tensor] : weights.all()) {
    if (!ops::has_panels(tensor.dtype()) && tensor.bytes() >= kWorthLargePages) continue;
    names.push_back(name);
    bytes += LargePages::room_for(tensor.bytes());
  }
  const auto pages = std::make_shared<LargePages>(bytes);
  for (const std::string& name : names) {
    weights.put(name, ops::in_panels(weights.take(name), pages));
  }
}

double checked_rate(double rate) {
  if (std::isfinite(rate) && rate > 0) return rate;
  throw InvalidArgument({.where = "rate",
                         .what = "must be positive and finite",
                         .got = std::to_string(rate),
                         .fix = "use 1 for the sampling rate of the training data"});
}

}  // namespace

std::shared_ptr<const Model> Model::load(const std::filesystem::path& folder, double rate,
                                         int64_t context) {
  ModelFolder found = load_model_folder(folder);
  if (context > 0) set_context(found.config, context);
  const uint64_t fingerprint = fingerprint_of(found.config, found.weights, checked_rate(rate));
  arrange(found.weights);
  return std::make_shared<const Model>(std::move(found.config), found.weights, rate, fingerprint);
}

Model::Model(models::Config config, const Weights& weights, double rate)
    : Model(config, weights, rate, fingerprint_of(config, weights, checked_rate(rate))) {}

Model::Model(models::Config config, const Weights& weights, double rate, uint64_t fingerprint)
    : network_(std::move(config), weights, checked_rate(rate)), fingerprint_(fingerprint) {}

bool Model::takes_tokens() const {
  return network_.config().interface.input == models::Interface::Input::kTokens;
}

size_t Model::input_size() const {
  return static_cast<size_t>(network_.config().interface.input_size);
}

size_t Model::output_size() const {
  return static_cast<size_t>(network_.config().interface.output_size);
}

void Model::check_own(const State& state) const {
  if (state.fingerprint == fingerprint_ && std::ssize(state.values) == network_.state_size()) {
    return;
  }
  throw InvalidArgument({.where = "session",
                         .what = "the state belongs to another model, rate or context",
                         .got = "fingerprint " + std::to_string(state.fingerprint) +
                                ", this model's is " + std::to_string(fingerprint_),
                         .fix = "load the model that the state was saved from"});
}

}  // namespace longwave::runtime
