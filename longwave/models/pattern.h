// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace longwave::models {

/// What follows the mixer of a layer, in a residual branch of its own.
enum class AfterMixer : uint8_t { kNone, kMlp, kMoe };

/// A model as a list of layers.
struct Pattern {
  struct Layer {
    std::string family;  ///< or several, joined by "+"; empty for what comes without a mixer
    AfterMixer after = AfterMixer::kNone;
    bool shared = false;  ///< whether a shared transformer block adds to the mixer's input
    bool operator==(const Layer&) const = default;
  };
  std::vector<Layer> layers;
  bool says_after = false;  ///< whether the pattern says what follows mixers; else model.mlp does
};

/// Reads a pattern:
///
///   pattern = layers ["|" rule {"," rule}]
///   layers  = layer {layer},   layer = (mixer | "mlp" | "moe" | "(" layers ")") ["*" count]
///   mixer   = ["shared>"] family {"+" family}
///   rule    = ("none" | "mlp" | "moe") ["every" period ["offset" first]]
///
/// Layer i gets what the first rule with i mod period = first says, and nothing if there is none;
/// `first` is the last of a period unless given. So "mamba*7 attention | moe every 2, mlp" is
/// Jamba: experts in layers 1, 3, 5 and 7, an MLP in the others. Families joined by "+" lie beside
/// each other in one layer, and their outputs are added: "mamba2+attention*36 | mlp".
///
/// Behind "shared>" a mixer sees, beside its input, what a transformer block makes of it whose
/// weights all these layers share: "(mamba2*5 shared>mamba2)*6" is Zamba2. A layer may be an MLP or
/// experts without a mixer, as Nemotron-H has them: "mamba2 mlp mamba2 attention". Rules leave such
/// layers alone, and without rules the others have a mixer only.
///
/// Errors     ConfigError naming the word that cannot be read.
Pattern parse_pattern(std::string_view text);

}  // namespace longwave::models
