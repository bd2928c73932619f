// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "longwave/base/options.h"
#include "longwave/base/parameter.h"
#include "longwave/mixers/mixer.h"
#include "longwave/mixers/registry.h"
#include "longwave/nn/adapter.h"

namespace longwave::mixers::attention {

/// Causal attention over a window, with a state of fixed size. README.md has the equations.
Schema schema();

/// Errors     ConfigError if the options contradict each other or the number of channels.
ParameterTable parameters(const Options& options, int64_t channels);

/// Errors     DataError if a weight is missing or misshapen; ConfigError as `parameters`, or if
///            `rate` is not 1.
std::unique_ptr<Mixer> make(const Options& options, int64_t channels, const Weights& weights,
                            double rate);

/// What the options say about shapes; the torch form asks the same.
struct Shapes {
  int64_t channels;
  int64_t outputs;  ///< numbers of an output step: as many as channels unless set afterwards
  int64_t head_dim, heads;
  int64_t kv_heads;     ///< heads of keys and values, each for heads / kv_heads queries
  int64_t window;       ///< positions that a step sees, itself included
  bool all_positions;   ///< whether a sequence must not be longer than the window
  double scale;         ///< multiplies the products of queries and keys
  double rotary_base;   ///< 0: no positions
  int64_t rotary_dims;  ///< numbers of a head that are turned, 0 without positions
  bool bias;

  /// Fixed factors on the input, the keys and the outcome.
  struct PartMultipliers {
    double in, key, out;
  };
  PartMultipliers multipliers;

  Shapes(const Options& options, int64_t channel_count);

  /// Queries, keys and values of a step, side by side.
  int64_t projected() const { return (heads + 2 * kv_heads) * head_dim; }
  /// A ring of keys or of values; a state row is both, then the position.
  int64_t ring_size() const { return window * kv_heads * head_dim; }
  int64_t state_size() const { return 2 * ring_size() + kPositionSize; }

  static constexpr int64_t kPositionSize = 2;

  /// Low-rank additions to queries, keys and values by name: "q", "k", "v".
  std::vector<std::pair<const char*, nn::AdapterShape>> adapters(int64_t rank) const;
};

/// The same for shapes that options alone do not give. With three adapters, for queries, keys and
/// values, these are added to what in_proj makes of the input.
ParameterTable parameters(const Shapes& shapes);
std::unique_ptr<Mixer> make(const Shapes& shapes, const Weights& weights,
                            std::vector<nn::Adapter> adapters = {});

/// A number of positions as two floats, exactly: low + 2^20 high. What is no such pair is 0, so
/// that any row is a state.
int64_t position_of(const float* pair);
void store_position(int64_t position, float* pair);

inline constexpr Family kFamily = {"attention", "causal attention over a window of positions",
                                   schema, parameters, make};

}  // namespace longwave::mixers::attention
