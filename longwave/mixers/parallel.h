// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "longwave/mixers/registry.h"

namespace longwave::mixers {

/// The families of a layer: "mamba2+attention" has two beside each other, "mamba2" one.
///
/// Errors     ConfigError if one is unknown or comes twice.
std::vector<std::string> families_of_layer(std::string_view layer);

/// The parameters of a layer; `options` hold a section of each family's name. Those of one family
/// go by their names, those of several by "FAMILY.NAME".
///
/// Errors     as those of the families.
ParameterTable layer_parameters(std::string_view layer, const Options& options, int64_t channels);

/// A layer whose families see the same input: their outputs are added.
///
///   y = mixer_0(u) + mixer_1(u) + ...       its state: theirs one after the other
///
/// One family alone is that family's mixer. Weights are seen from the layer.
///
/// Source     Zuo et al. 2025, arXiv:2507.22448 (attention beside Mamba-2); Dong et al. 2024,
///            arXiv:2411.13676.
/// Errors     as those of the families.
std::unique_ptr<Mixer> make_layer(std::string_view layer, const Options& options, int64_t channels,
                                  const Weights& weights, double rate);

}  // namespace longwave::mixers
