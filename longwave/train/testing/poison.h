// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "longwave/train/trainer.h"

namespace longwave::testing {

/// The name of a parameter of the last layer's mixer.
inline std::string some_parameter(const Weights& weights) {
  return std::ranges::find_if(
             weights.all(),
             [](const auto& entry) { return entry.first.starts_with("layers.1.mixer."); })
      ->first;
}

/// Puts one NaN into that parameter; returns the weights before.
inline Weights poison(train::Trainer& trainer) {
  const Weights good = trainer.model().weights();
  Weights bad = trainer.model().weights();
  const std::string name = some_parameter(bad);
  Tensor tensor = bad.all().at(name).clone();
  tensor.elements<float>()[0] = std::numeric_limits<float>::quiet_NaN();
  bad.put(name, std::move(tensor));
  trainer.load(bad);
  return good;
}

}  // namespace longwave::testing
