// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <string>
#include <utility>

#include "longwave/base/error.h"
#include "longwave/models/sequence_model_parts.h"

namespace longwave::models {
namespace {

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

void check_config(const Config& config) {
  check_interface(config.interface);
  check_tie(config);
}

bool shares(const std::vector<BlockConfig>& layers) {
  return std::ranges::any_of(layers,
                             [](const BlockConfig& layer) { return layer.shared.has_value(); });
}

std::string layer_name(size_t layer) { return "layers." + std::to_string(layer); }

ParameterTable parameters(const Config& config) {
  check_config(config);
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

}  // namespace longwave::models
