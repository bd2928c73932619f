// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "longwave/base/options.h"
#include "longwave/base/parameter.h"
#include "longwave/base/view.h"
#include "longwave/base/workspace.h"
#include "longwave/mixers/mixer.h"
#include "longwave/ops/matmul/matmul.h"

namespace longwave::models {

/// What a model is fed and asked for; saved in config.json under "io".
struct Interface {
  enum class Input : uint8_t { kReal, kTokens };
  enum class Output : uint8_t { kSequence, kStep };  ///< one answer a sequence, or one a step
  Input input = Input::kReal;
  int64_t input_size = 1;  ///< features of a step, or size of the vocabulary
  Output output = Output::kSequence;
  int64_t output_size = 1;  ///< classes, or entries of a real vector
};

/// The "model" section of a recipe without the section's name: pattern, d_model, norm, ...
Schema model_schema();

/// The families named in a pattern (see pattern.h), one entry a layer; "" for one without a mixer.
///
/// Errors     ConfigError if the pattern is malformed or names an unknown family.
std::vector<std::string> layers_of(const std::string& pattern);

/// "model.*", "moe.*" if the pattern has experts and, for each family in it, its section: what a
/// model's options consist of.
/// The pattern is the default of "model.pattern".
Schema config_schema(const std::string& pattern);

/// All that decides the shapes of a model: what config.json holds.
struct Config {
  Interface interface;
  Options options;  ///< obeys config_schema(options.text("model.pattern"))
};

/// Picks the model's options out of a larger set, such as a whole recipe; families that the
/// pattern does not name are left behind, sections that are missing keep their defaults.
Config make_config(const Interface& interface, const Options& settings);

/// Refuses a model with parts that published models have and that run, but are not trained.
///
/// Errors     ConfigError naming the option.
void check_trainable(const Config& config);

/// Every parameter of the model by checkpoint name, in the order of the data flow:
/// encoder.*, layers.N.{norm,mixer,mixing,mlp_norm,mlp,moe}.*, norm.* (prenorm only), decoder.*.
/// With model.tie the decoder has no product of its own and no bias, without model.head_bias no
/// bias.
///
/// Buffers encoder.shift, encoder.scale (real inputs) and decoder.shift, decoder.scale hold the
/// standardisation, 0 and 1 unless set: inputs enter as (x - shift) / scale, outputs leave as
/// y scale + shift.
ParameterTable parameters(const Config& config);

/// Encoder, layers, pooling and decoder without torch: what the runtime runs.
///
///   x = encoder(input);  x = layers(x);  x = norm(x) (prenorm);  output = decoder(pool(x))
///
/// States are rows of `state_size()` floats: the layers' states one after the other, then the
/// pooling's. Real inputs and outputs are in raw units. Long inputs are processed in chunks of
/// time, so that the workspace of a causal model does not grow with the length.
///
/// Errors     InvalidArgument, with the state untouched, if shapes disagree, a token lies outside
///            the vocabulary, a layer has no room for more steps, `step` is asked of a model that
///            is not causal, or `starts` of one that does not pack.
/// Threads    const use is safe from many threads with distinct states and workspaces.
class SequenceModel {
 public:
  /// DataError names a tensor that is missing or misshapen. `rate` multiplies every step size.
  SequenceModel(Config config, const Weights& weights, double rate = 1.0);
  ~SequenceModel();

  const Config& config() const;
  int64_t state_size() const;
  bool causal() const;

  /// What a state row consists of, in its order; see mixers::Mixer.
  std::vector<mixers::StateRun> state_runs() const;

  /// Whether `prefill` takes packed sequences.
  bool packs() const;

  /// Bytes that `prefill` of this size, or of any shorter one, and `step` need.
  size_t workspace_bytes(int64_t batch, int64_t time) const;

  /// Real inputs in `input`, or tokens in `tokens`; the other view is absent.
  struct Prefill {
    View<const float, 3> input{};     // (batch, time, input_size)
    View<const int64_t, 2> tokens{};  // (batch, time)
    View<float, 2> state;             // (batch, state_size) in: before, out: after
    View<float, 3> output;  // (batch, time, output_size), or (batch, 1, output_size) for the
                            // answer after the last step alone: the only one where one answer a
                            // sequence is asked, and elsewhere without the work for the others
    View<const uint8_t, 2> starts{};  // (batch, time), or absent: sequences packed in a row, see
                                      // mixers::Mixer; only with one answer a step
  };
  void prefill(const Prefill& args, Workspace& workspace) const;

  struct Step {
    View<const float, 2> input{};     // (batch, input_size)
    View<const int64_t, 1> tokens{};  // (batch)
    View<float, 2> state;             // (batch, state_size)
    View<float, 2> output;            // (batch, output_size): the answer so far
  };
  /// One sample; never allocates.
  void step(const Step& args, Workspace& workspace) const;

  /// Sequences times tentative steps that go at once, and floats that each is written down in.
  static constexpr int64_t kMostTentative = ops::kMatmulFewRows;
  int64_t journal_size() const;

  /// As many calls of `step`, bit by bit, that read the weights once and can be taken back. Only
  /// for models with one answer a step, and without `starts`.
  void tentative_steps(const Prefill& args, View<float, 3> journal, Workspace& workspace) const;

  /// Takes back all but the first `kept` of the steps that the journal, (batch, time,
  /// journal_size), holds: the last ones that were taken. The state is bitwise what it was after
  /// those.
  void take_back(View<float, 2> state, View<const float, 3> journal, int64_t kept) const;

  /// Steps that can follow a state row; see mixers::Mixer.
  int64_t steps_left(View<const float, 1> state) const;

  /// Whether a matrix is of blocks, so that products round what they are given to 8 bits.
  bool rounds_inputs() const;

  int64_t layer_count() const;
  const std::string& layer_family(int64_t layer) const;
  const mixers::Mixer& layer_mixer(int64_t layer) const;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace longwave::models
