// SPDX-License-Identifier: Apache-2.0
#include "longwave/inspect/svg.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

namespace longwave::inspect {
namespace {

// Room around the plotting area for labels, in pixels.
constexpr double kLeft = 58, kRight = 18, kTop = 10, kBottom = 40;

}  // namespace

std::string_view class_of(Ink ink) {
  constexpr std::array<std::string_view, 8> kNames = {"i1", "i2", "i3",    "i4",
                                                      "i5", "i6", "faint", "spread"};
  return kNames[static_cast<size_t>(ink)];
}

std::string escape_markup(std::string_view text) {
  std::string safe;
  for (const char letter : text) {
    const auto code = static_cast<unsigned char>(letter);
    switch (letter) {
      case '&':
        safe += "&amp;";
        break;
      case '<':
        safe += "&lt;";
        break;
      case '>':
        safe += "&gt;";
        break;
      case '"':
        safe += "&quot;";
        break;
      case '\'':
        safe += "&#39;";
        break;
      default:
        if (code < 0x20 && letter != '\n' && letter != '\t') {
          safe += "\xEF\xBF\xBD";
        } else {
          safe += letter;
        }
    }
  }
  return safe;
}

Plot::Plot(Frame frame, Axis x, Axis y)
    : frame_(std::move(frame)), x_(std::move(x)), y_(std::move(y)) {}

Plot::Place Plot::place(double x, double y) const {
  return {fraction(x_, x) * (frame_.width - kLeft - kRight),
          (1 - fraction(y_, y)) * (frame_.height - kTop - kBottom)};
}

void Plot::line(std::span<const double> x, std::span<const double> y, Ink ink) {
  std::string path;
  bool is_down = false;
  for (size_t i = 0; i < std::min(x.size(), y.size()); ++i) {
    const Place at = place(x[i], y[i]);
    const bool shows = std::isfinite(at.x) && std::isfinite(at.y);
    if (shows) path += fmt::format("{}{:.1f} {:.1f}", is_down ? "L" : "M", at.x, at.y);
    is_down = shows;
  }
  if (!path.empty())
    body_ += fmt::format("<path class=\"line {}\" d=\"{}\"/>", class_of(ink), path);
}

void Plot::band(std::span<const double> x, std::span<const double> low,
                std::span<const double> high, Ink ink) {
  std::string there, back;
  for (size_t i = 0; i < x.size(); ++i) {
    const Place bottom = place(x[i], low[i]), top = place(x[i], high[i]);
    if (!std::isfinite(bottom.x + bottom.y + top.y)) continue;
    there += fmt::format("{}{:.1f} {:.1f}", there.empty() ? "M" : "L", bottom.x, bottom.y);
    back.insert(0, fmt::format("L{:.1f} {:.1f}", top.x, top.y));
  }
  if (!there.empty()) {
    body_ += fmt::format("<path class=\"area {}\" d=\"{}{}Z\"/>", class_of(ink), there, back);
  }
}

void Plot::points(std::span<const double> x, std::span<const double> y, Ink ink, double radius,
                  std::span<const std::string> notes) {
  body_ += fmt::format("<g class=\"dots {}\">", class_of(ink));
  for (size_t i = 0; i < std::min(x.size(), y.size()); ++i) {
    const Place at = place(x[i], y[i]);
    if (!std::isfinite(at.x) || !std::isfinite(at.y)) continue;
    const std::string circle =
        fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{:.1f}\"", at.x, at.y, radius);
    body_ += i < notes.size() ? circle + "><title>" + escape_markup(notes[i]) + "</title></circle>"
                              : circle + "/>";
  }
  body_ += "</g>";
}

void Plot::bars(std::span<const double> edges, std::span<const double> heights, Ink ink) {
  body_ += fmt::format("<g class=\"area {}\">", class_of(ink));
  for (size_t i = 0; i + 1 < edges.size() && i < heights.size(); ++i) {
    const Place from = place(edges[i], std::max(y_.low, y_.scale == Scale::kLog ? y_.low : 0.0));
    const Place to = place(edges[i + 1], heights[i]);
    if (!std::isfinite(from.x + from.y + to.x + to.y) || to.y >= from.y) continue;
    body_ += fmt::format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\"/>",
                         from.x + 0.5, to.y, std::max(to.x - from.x - 1, 0.5), from.y - to.y);
  }
  body_ += "</g>";
}

void Plot::circle(double x, double y, double radius, Ink ink) {
  const Place middle = place(x, y), corner = place(x + radius, y + radius);
  if (!std::isfinite(middle.x + middle.y + corner.x + corner.y)) return;
  body_ += fmt::format(
      "<ellipse class=\"line {}\" cx=\"{:.1f}\" cy=\"{:.1f}\" rx=\"{:.1f}\" ry=\"{:.1f}\"/>",
      class_of(ink), middle.x, middle.y, std::abs(corner.x - middle.x),
      std::abs(corner.y - middle.y));
}

std::string Plot::svg() const {
  const double width = frame_.width - kLeft - kRight, height = frame_.height - kTop - kBottom;
  std::string text = fmt::format(
      "<svg class=\"plot\" viewBox=\"0 0 {} {}\" width=\"{}\" height=\"{}\" role=\"img\" "
      "aria-label=\"{}\">",
      frame_.width, frame_.height, frame_.width, frame_.height, escape_markup(frame_.title));
  text += fmt::format("<g class=\"grid\" transform=\"translate({} {})\">", kLeft, kTop);
  std::string labels;
  for (const double mark : ticks(x_, 6)) {
    const double x = fraction(x_, mark) * width;
    text += fmt::format("<path d=\"M{:.1f} 0V{:.1f}\"/>", x, height);
    labels += fmt::format("<text class=\"tick\" x=\"{:.1f}\" y=\"{:.1f}\">{}</text>", x,
                          height + 14, tick_text(mark));
  }
  for (const double mark : ticks(y_, 5)) {
    const double y = (1 - fraction(y_, mark)) * height;
    text += fmt::format("<path d=\"M0 {:.1f}H{:.1f}\"/>", y, width);
    labels += fmt::format("<text class=\"tick left\" x=\"-6\" y=\"{:.1f}\">{}</text>", y + 3.5,
                          tick_text(mark));
  }
  text += fmt::format(
      "{}<text class=\"label\" x=\"{:.1f}\" y=\"{:.1f}\">{}</text>"
      "<text class=\"label\" transform=\"translate({:.1f} {:.1f}) rotate(-90)\">{}</text></g>",
      labels, width / 2, height + 31, escape_markup(x_.label), -kLeft + 14, height / 2,
      escape_markup(y_.label));
  // The inner element clips whatever lies outside the axes.
  text += fmt::format("<svg x=\"{}\" y=\"{}\" width=\"{:.1f}\" height=\"{:.1f}\">{}</svg></svg>",
                      kLeft, kTop, width, height, body_);
  return text;
}

}  // namespace longwave::inspect
