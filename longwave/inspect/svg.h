// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "longwave/inspect/axis.h"

namespace longwave::inspect {

/// `text` safe inside HTML or SVG, as content and as a quoted attribute.
///
/// Control characters that XML forbids become U+FFFD.
std::string escape_markup(std::string_view text);

/// Colours of a series: a class that the style sheet of the page gives a colour.
enum class Ink : uint8_t { kFirst, kSecond, kThird, kFourth, kFifth, kSixth, kFaint, kSpread };

/// The name of that class.
std::string_view class_of(Ink ink);

/// A plot with axes, written as one inline <svg> element without ids, scripts or style of its own.
///
///   Plot plot({.width = 420, .height = 260, .title = "Loss"}, x_axis, y_axis);
///   plot.line(x, y, Ink::kFirst);
///   html += plot.svg();
///
/// Values that are not finite (or not positive on a log axis) interrupt a line and are left out of
/// everything else; what lies outside the axes is clipped.
///
/// Threads    a plain value; one owner at a time.
class Plot {
 public:
  struct Frame {
    int width = 420;
    int height = 260;
    std::string title;  ///< read out by screen readers
  };
  Plot(Frame frame, Axis x, Axis y);

  void line(std::span<const double> x, std::span<const double> y, Ink ink);

  /// The area between two curves.
  void band(std::span<const double> x, std::span<const double> low, std::span<const double> high,
            Ink ink);

  /// Dots of `radius` pixels; `notes`, if any, are shown when the pointer rests on a dot.
  void points(std::span<const double> x, std::span<const double> y, Ink ink, double radius,
              std::span<const std::string> notes = {});

  /// Bars from zero (or the lower end) to `heights[i]` between `edges[i]` and `edges[i + 1]`.
  void bars(std::span<const double> edges, std::span<const double> heights, Ink ink);

  /// A circle in data units, such as the unit circle.
  void circle(double x, double y, double radius, Ink ink);

  std::string svg() const;

 private:
  struct Place {
    double x, y;
  };
  /// In pixels of the plotting area.
  Place place(double x, double y) const;

  Frame frame_;
  Axis x_, y_;
  std::string body_;
};

}  // namespace longwave::inspect
