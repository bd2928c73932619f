// SPDX-License-Identifier: Apache-2.0
#include "longwave/inspect/svg.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "longwave/inspect/testing/markup.h"
#include "longwave/inspect/text_plot.h"

namespace longwave::inspect {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

TEST(Svg, EscapedTextHoldsNoMarkup) {
  EXPECT_EQ(escape_markup("<b> & \"it's\""), "&lt;b&gt; &amp; &quot;it&#39;s&quot;");
  EXPECT_EQ(escape_markup(std::string_view("a\0b\x1b", 4)),
            "a\xEF\xBF\xBD"
            "b\xEF\xBF\xBD");
  EXPECT_EQ(escape_markup("é ▁"), "é ▁");
}

TEST(Svg, AxisHoldsItsValues) {
  const std::vector<std::vector<double>> cases = {
      {}, {0}, {5, 5}, {-3, 4.2}, {1e-9, 2e-9}, {kNaN, 1, kInfinity, 3}, {-1e20, 1e20}};
  for (const std::vector<double>& values : cases) {
    for (const Scale scale : {Scale::kLinear, Scale::kLog}) {
      const Axis axis = fit_axis("x", values, scale);
      EXPECT_LT(axis.low, axis.high);
      for (const double value : values) {
        if (!std::isfinite(value) || (scale == Scale::kLog && value <= 0)) continue;
        EXPECT_LE(axis.low, value + 1e-9 * std::abs(value));
        EXPECT_GE(axis.high, value - 1e-9 * std::abs(value));
      }
    }
  }
}

TEST(Svg, TicksLieOnTheAxisAndAreFew) {
  for (const Axis& axis : {Axis{.low = 0, .high = 1}, Axis{.low = -0.3, .high = 17},
                           Axis{.low = 1e-7, .high = 3e-7}, Axis{.low = 0.99, .high = 1.01}}) {
    const std::vector<double> marks = ticks(axis, 6);
    EXPECT_GE(marks.size(), 2u);
    EXPECT_LE(marks.size(), 8u);
    const double slack = 1e-6 * (axis.high - axis.low);
    for (const double mark : marks) {
      EXPECT_GE(mark, axis.low - slack);
      EXPECT_LE(mark, axis.high + slack);
    }
  }
  const std::vector<double> powers = ticks({.low = 1e-3, .high = 1e3, .scale = Scale::kLog}, 10);
  EXPECT_EQ(powers.size(), 7u);
}

TEST(Svg, PlotIsWellFormedWhateverItIsGiven) {
  const std::vector<double> x = {0.1, kNaN, 10, 100}, y = {1, 2, kInfinity, -1};
  const std::vector<std::string> notes = {"<script>", "&"};
  for (const Scale scale : {Scale::kLinear, Scale::kLog}) {
    Plot plot({.width = 300, .height = 200, .title = "a < b & \"c\""}, fit_axis("x <", x, scale),
              fit_axis("y &", y));
    plot.line(x, y, Ink::kFirst);
    plot.points(x, y, Ink::kSecond, 2, notes);
    plot.band(x, y, y, Ink::kSpread);
    plot.bars(x, y, Ink::kThird);
    plot.circle(0, 0, 1, Ink::kFaint);
    plot.line({}, {}, Ink::kFourth);
    const std::string svg = plot.svg();
    EXPECT_TRUE(testing::well_formed(svg)) << svg;
    EXPECT_EQ(svg.find("nan"), std::string::npos);
    EXPECT_EQ(svg.find("inf"), std::string::npos);
    EXPECT_EQ(svg.find("<script"), std::string::npos);
  }
}

TEST(Svg, LineIsInterruptedWhereNothingCanBeShown) {
  const std::vector<double> x = {0, 1, 2, 3, 4}, y = {0, 1, kNaN, 1, 0};
  Plot plot({.title = "gap"}, {.low = 0, .high = 4}, {.low = 0, .high = 1});
  plot.line(x, y, Ink::kFirst);
  const std::string svg = plot.svg();
  const std::string path = svg.substr(svg.find("line i1"));
  EXPECT_EQ(std::count(path.begin(), path.end(), 'M'), 2);
}

TEST(TextPlot, SparklineHasOneSignAValue) {
  EXPECT_EQ(sparkline(std::vector<double>{0, 1, kNaN, 0.5}), "▁█ ▅");
  EXPECT_EQ(sparkline({}), "");
  EXPECT_EQ(thinned(std::vector<double>{1, 3, 5, 7}, 2), (std::vector<double>{2, 6}));
}

TEST(TextPlot, HistogramCountsEveryValueOnce) {
  const std::vector<double> values = {0, 0.1, 0.5, 0.99, 1, 7, -3};
  double sum = 0;
  for (const double count : histogram(values, {.low = 0, .high = 1}, 5)) sum += count;
  EXPECT_EQ(sum, 7);
}

TEST(TextPlot, DotsStandWhereTheAxesSay) {
  const std::vector<double> at = {0, 1};
  const std::string text =
      dot_plot(at, at, {.label = "x", .low = 0, .high = 1}, {.low = 0, .high = 1}, 4, 2);
  // The dot of the lower left and the one of the upper right corner.
  EXPECT_NE(text.find("⡀"), std::string::npos) << text;
  EXPECT_NE(text.find("⠈"), std::string::npos) << text;
}

}  // namespace
}  // namespace longwave::inspect
