// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "longwave/runtime/recipe.h"

namespace longwave::testing {

/// A recipe that trains in a moment: adding on short sequences, dropout on, with changes.
inline Options small_recipe(const std::vector<std::string>& changes = {}) {
  constexpr const char* kText = R"(
seed = 7
[data]
source = "adding"
[adding]
length = 12
examples = 64
held_out = 16
[model]
pattern = "s4d*2"
d_model = 8
dropout = 0.1
[train]
batch = 8
steps = 12
lr = 0.01
log_every = 1
threads = 1
)";
  return runtime::read_recipe(kText, "small recipe", changes);
}

}  // namespace longwave::testing
