// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "longwave/models/sequence_model.h"

namespace longwave::runtime {

/// A loaded model, shared by its sessions.
///
/// Threads    immutable: share it freely.
class Model {
 public:
  /// `rate` multiplies every step size: 2 for data sampled half as often as in training.
  static std::shared_ptr<const Model> load(const std::filesystem::path& folder, double rate = 1.0);
  Model(models::Config config, const Weights& weights, double rate = 1.0);

  const models::SequenceModel& network() const { return network_; }

  /// 64 bits over configuration, rate and weights: a state belongs to one fingerprint.
  uint64_t fingerprint() const { return fingerprint_; }

 private:
  models::SequenceModel network_;
  uint64_t fingerprint_;
};

/// The whole memory of one sequence: a value that can be copied, compared, saved and sent.
struct State {
  uint64_t fingerprint = 0;
  int64_t position = 0;  ///< steps consumed so far
  std::vector<float> values;
  bool operator==(const State&) const = default;
};

/// Writes atomically. IoError says what failed.
void save_state(const std::filesystem::path& path, const State& state);

/// Bounds-checked. DataError if the file is damaged.
State load_state(const std::filesystem::path& path);

/// One sequence being processed in constant memory.
///
/// Threads    one owner at a time.
class Session {
 public:
  explicit Session(std::shared_ptr<const Model> model);

  /// Any number of samples at once, (time, input_size) row after row; returns outputs row after row
  /// (`output_size` numbers a step, or only the last answer where one a sequence is asked).
  std::span<const float> prefill(std::span<const float> input);
  std::span<const float> prefill(std::span<const int64_t> tokens);

  /// One sample; never allocates. The result is valid until the next call.
  std::span<const float> step(std::span<const float> sample);
  std::span<const float> step(int64_t token);

  const State& state() const { return state_; }

  /// Continues from `state`; InvalidArgument if it belongs to another model.
  void restore(const State& state);

  /// Back to the state before the first sample.
  void reset();

 private:
  std::shared_ptr<const Model> model_;
  State state_;
  Workspace workspace_;
  std::vector<float> output_;
};

}  // namespace longwave::runtime
