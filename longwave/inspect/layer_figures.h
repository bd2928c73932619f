// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "longwave/inspect/analysis.h"
#include "longwave/inspect/svg.h"

namespace longwave::inspect {

/// A picture with its title, explanation and legend, as one <figure>.
struct Figure {
  std::string title;
  std::string explanation;
  std::string picture;  ///< <svg>
  struct Entry {
    Ink ink;
    std::string text;
  };
  std::vector<Entry> legend;
};
std::string figure_html(const Figure& figure);

/// All figures of one layer: poles, time constants, gains, impulse responses, Hankel singular
/// values, step sizes; those without data are left out.
std::string layer_figures(const LayerAnalysis& layer);

}  // namespace longwave::inspect
