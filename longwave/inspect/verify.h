// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "longwave/base/philox.h"
#include "longwave/inspect/view_check.h"
#include "longwave/models/sequence_model.h"

namespace longwave::inspect {

/// How thoroughly views are compared.
struct VerifySettings {
  int64_t length = 509;  ///< steps; at least 1, best an odd prime
  int64_t splits = 4;    ///< random ways to cut the sequence in pieces
  uint64_t seed = 1;     ///< of inputs and cuts
};

struct Verification {
  VerifySettings settings;
  std::vector<ViewCheck> checks;
  std::vector<std::string> notes;  ///< what was not compared, and why

  bool ok() const;
};

/// The training form of a model, provided by the program that has libtorch.
///
/// Results are rows after rows: (time, channels) and (time or 1, output_size) in raw units.
class TrainingForm {
 public:
  virtual ~TrainingForm() = default;
  virtual std::vector<float> layer(int64_t layer, std::span<const float> u, int64_t time) = 0;
  virtual std::vector<float> model(std::span<const float> input, std::span<const int64_t> tokens,
                                   int64_t time) = 0;
};

/// The training form of one layer: u (time, channels) to y (time, channels); empty if there is
/// none.
using LayerForm = std::function<std::vector<float>(std::span<const float> u, int64_t time)>;

/// Proves on numbers that all views of one layer compute the same.
///
/// Judge: the layer's systems in double precision, simulated line by line from the zero state.
/// Views, each fed with the same random sequence:
///
///   recurrent    one `step` a sample
///   chunked      `prefill` of random pieces, each from the state that the one before left
///   prefill      one `prefill`
///   convolution  the systems' impulse responses K * u, in double precision
///   training     the training form, if given
///
/// Bounds: rounding_bound (error_bound.h) of each output in float32, or double for the convolution.
/// A layer without linear time-invariant systems is judged by the whole model only.
///
/// Cost       channels * length * state (squared for dense systems) in double precision.
/// Threads    uses parallel_for over channels; the result does not depend on the thread count.
std::vector<ViewCheck> verify_mixer(const mixers::Mixer& mixer, const std::string& subject,
                                    const VerifySettings& settings, const LayerForm& training);

/// Random lengths that sum to `time` >= 1: a 1 first, sometimes a 0 among the others.
std::vector<int64_t> random_pieces(int64_t time, Random& random);

/// Checks every layer with `verify_mixer`, then that the whole model gives the same answers step by
/// step, in chunks, at once and in training form.
///
/// A network is not linear, so its bound is an estimate: the largest change of the output when
/// weights and inputs are perturbed at random by some units of rounding, scaled back and multiplied
/// by the root of the longest sum in the model and a safety factor. It tells what rounding can do
/// to this model on this input; it is not a proof.
///
/// Errors     InvalidArgument if the settings are out of range; DataError from loading.
Verification verify(const models::Config& config, const Weights& weights, double rate,
                    const VerifySettings& settings, TrainingForm* training);

}  // namespace longwave::inspect
