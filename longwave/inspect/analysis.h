// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <complex>
#include <cstdint>
#include <string>
#include <vector>

#include "longwave/models/sequence_model.h"

namespace longwave::inspect {

/// What 10, 50 and 90 percent of the channels stay below, along an axis.
struct Spread {
  std::vector<double> low, middle, high;
};

/// One channel, picked to be shown: its gain over frequencies and its impulse response.
struct ChannelResponse {
  int64_t channel = 0;
  double memory = 0;  ///< steps: time constant of its slowest pole
  std::vector<double> gain;
  std::vector<double> impulse;
};

/// What one layer does to signals. Times are in steps, frequencies in cycles per step.
struct LayerAnalysis {
  int64_t index = 0;
  std::string family;
  int64_t channels = 0;
  int64_t systems = 0;     ///< independent linear systems, 0 if the layer is not time-invariant
  int64_t state_size = 0;  ///< floats of one sequence
  int64_t parameters = 0;  ///< numbers that are trained

  std::vector<std::complex<double>> poles;  ///< of the discrete systems, one after the other
  bool half_of_pairs = false;               ///< conjugates of these poles are left out
  std::vector<double> time_constants;       ///< of each pole: |a|^k = exp(-k / time constant)
  std::vector<double> frequencies;          ///< of each pole, not negative
  std::vector<double> step_sizes;           ///< dt of each channel or mode, if the family has one

  std::vector<double> grid;  ///< frequencies at which gains are given
  Spread gain;               ///< over channels; of a channel with many inputs, the norm of its row
  Spread hankel;             ///< Hankel singular values over systems, as shares of the largest
  std::vector<ChannelResponse> shown;
};

/// One row of the parameter table.
struct ParameterFacts {
  std::string name, shape, group;
  int64_t count = 0;
  double mean = 0, deviation = 0, least = 0, most = 0;
  int64_t not_finite = 0;
};

struct ModelAnalysis {
  std::string pattern;
  models::Interface interface;
  double rate = 1;
  bool causal = true;
  int64_t parameters = 0;  ///< numbers that are trained
  int64_t state_size = 0;  ///< floats of one sequence
  std::vector<LayerAnalysis> layers;
  std::vector<ParameterFacts> table;
};

/// Reads off a model all that `longwave inspect` shows.
///
/// Poles and step sizes are those of every channel. Gains, impulse responses and Hankel singular
/// values are computed for channels spread evenly from the shortest to the longest memory.
///
/// Numerics   double precision, from the systems that the layers give of themselves.
/// Cost       a second or so a layer; dense systems are sampled more thinly.
/// Errors     DataError if a weight is missing or misshapen.
/// Threads    uses parallel_for; the result does not depend on the thread count.
ModelAnalysis analyse(const models::Config& config, const Weights& weights, double rate);

/// The layer part of `analyse`, for one mixer.
LayerAnalysis analyse_mixer(const mixers::Mixer& mixer);

/// The quantile q in [0, 1] of the finite values, by linear interpolation; NaN if there are none.
double quantile(std::vector<double> values, double q);

}  // namespace longwave::inspect
