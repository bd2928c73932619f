// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <vector>

#include "longwave/inspect/axis.h"

namespace longwave::inspect {

/// One character a value: "▁▂▅█▃". Values that are not finite show as a blank.
std::string sparkline(std::span<const double> values);

/// `values` averaged down to at most `count` of them, so that a long series fits on a line.
std::vector<double> thinned(std::span<const double> values, size_t count);

/// Points on a grid of braille dots, 2 x 4 to a character, with the ends of both axes written.
///
/// Shapes     `columns` x `rows` characters without the labels.
std::string dot_plot(std::span<const double> x, std::span<const double> y, const Axis& x_axis,
                     const Axis& y_axis, int columns, int rows);

/// Counts of `values` in `bins` equal parts of the axis; what lies outside counts to the ends.
std::vector<double> histogram(std::span<const double> values, const Axis& axis, int bins);

}  // namespace longwave::inspect
