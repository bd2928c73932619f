// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/parallel.h"

#include <algorithm>
#include <utility>

#include "longwave/base/error.h"

namespace longwave::mixers {
namespace {

class Parallel : public Mixer {
 public:
  explicit Parallel(std::vector<std::unique_ptr<Mixer>> parts) : parts_(std::move(parts)) {}

  int64_t channels() const override { return parts_.front()->channels(); }
  int64_t state_size() const override {
    int64_t size = 0;
    for (const auto& part : parts_) size += part->state_size();
    return size;
  }
  std::vector<StateRun> state_runs() const override {
    std::vector<StateRun> runs;
    for (const auto& part : parts_) {
      const std::vector<StateRun> more = part->state_runs();
      runs.insert(runs.end(), more.begin(), more.end());
    }
    return runs;
  }
  bool causal() const override {
    return std::ranges::all_of(parts_, [](const auto& part) { return part->causal(); });
  }
  bool packs() const override {
    return std::ranges::all_of(parts_, [](const auto& part) { return part->packs(); });
  }
  int64_t steps_left(View<const float, 1> state) const override {
    int64_t left = Mixer::steps_left(state), begin = 0;
    for (const auto& part : parts_) {
      left = std::min(left, part->steps_left(state.slice(0, begin, part->state_size())));
      begin += part->state_size();
    }
    return left;
  }
  size_t workspace_bytes(int64_t batch, int64_t time) const override {
    size_t most = 0;
    for (const auto& part : parts_) most = std::max(most, part->workspace_bytes(batch, time));
    return most + Workspace::bytes_for<float>(batch * time * channels());
  }
  void prefill(const Prefill& args, Workspace& workspace) const override;
  int64_t journal_size() const override {
    int64_t size = 0;
    for (const auto& part : parts_) size += part->journal_size();
    return size;
  }
  void tentative_steps(const Tentative& args, Workspace& workspace) const override;
  void take_back(View<float, 2> state, View<const float, 3> journal, int64_t kept) const override;
  void step(const Step& args, Workspace& workspace) const override {
    check(*this, args, "parallel");
    run(as_prefill(args), workspace,
        [&](const Mixer& part, View<float, 2> state, View<float, 3> y) {
          part.step({.u = args.u, .state = state, .y = at_step(y, 0)}, workspace);
        });
  }

 private:
  /// y = the sum of what `run_part` makes of each part.
  template <typename RunPart>
  void run(const Prefill& args, Workspace& workspace, const RunPart& run_part) const;

  std::vector<std::unique_ptr<Mixer>> parts_;
};

template <typename RunPart>
void Parallel::run(const Prefill& args, Workspace& workspace, const RunPart& run_part) const {
  const Workspace::Scope scope(workspace);
  const View<float, 3> one(workspace.take<float>(args.y.size()).data(), args.y.extents());
  int64_t begin = 0;
  for (const auto& part : parts_) {
    const View<float, 2> state = args.state.slice(1, begin, part->state_size());
    begin += part->state_size();
    if (part == parts_.front()) {
      run_part(*part, state, args.y);
      continue;
    }
    run_part(*part, state, one);
    for (int64_t b = 0; b < one.extent(0); ++b) {
      for (int64_t t = 0; t < one.extent(1); ++t) {
        for (int64_t i = 0; i < one.extent(2); ++i) args.y(b, t, i) += one(b, t, i);
      }
    }
  }
}

void Parallel::prefill(const Prefill& args, Workspace& workspace) const {
  check(*this, args, "parallel");
  run(args, workspace, [&](const Mixer& part, View<float, 2> state, View<float, 3> y) {
    part.prefill({.u = args.u, .state = state, .y = y, .starts = args.starts}, workspace);
  });
}

void Parallel::tentative_steps(const Tentative& args, Workspace& workspace) const {
  check(*this, args, "parallel");
  int64_t begin = 0;
  run(as_prefill(args), workspace, [&](const Mixer& part, View<float, 2> state, View<float, 3> y) {
    part.tentative_steps({.u = args.u,
                          .state = state,
                          .y = y,
                          .journal = args.journal.slice(2, begin, part.journal_size())},
                         workspace);
    begin += part.journal_size();
  });
}

void Parallel::take_back(View<float, 2> state, View<const float, 3> journal, int64_t kept) const {
  int64_t in_state = 0, in_journal = 0;
  for (const auto& part : parts_) {
    part->take_back(state.slice(1, in_state, part->state_size()),
                    journal.slice(2, in_journal, part->journal_size()), kept);
    in_state += part->state_size();
    in_journal += part->journal_size();
  }
}

}  // namespace

std::vector<std::string> families_of_layer(std::string_view layer) {
  std::vector<std::string> names;
  const std::string_view whole = layer;
  while (true) {
    const size_t end = std::min(layer.find('+'), layer.size());
    names.emplace_back(family(layer.substr(0, end)).name);
    if (std::ranges::count(names, names.back()) > 1) {
      throw ConfigError({.where = "mixers",
                         .what = "a layer can have a family once only",
                         .got = "\"" + std::string(whole) + "\"",
                         .fix = "name " + names.back() + " once"});
    }
    if (end == layer.size()) return names;
    layer.remove_prefix(end + 1);
  }
}

ParameterTable layer_parameters(std::string_view layer, const Options& options, int64_t channels) {
  const std::vector<std::string> names = families_of_layer(layer);
  ParameterTable table;
  for (const std::string& name : names) {
    ParameterTable part = family(name).parameters(options.section(name), channels);
    append(table, names.size() == 1 ? std::move(part) : with_prefix(name, std::move(part)));
  }
  return table;
}

std::unique_ptr<Mixer> make_layer(std::string_view layer, const Options& options, int64_t channels,
                                  const Weights& weights, double rate) {
  const std::vector<std::string> names = families_of_layer(layer);
  if (names.size() == 1) {
    return family(names[0]).make(options.section(names[0]), channels, weights, rate);
  }
  std::vector<std::unique_ptr<Mixer>> parts;
  for (const std::string& name : names) {
    parts.push_back(family(name).make(options.section(name), channels, weights.scope(name), rate));
  }
  return std::make_unique<Parallel>(std::move(parts));
}

}  // namespace longwave::mixers
