// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "longwave/inspect/number_text.h"
#include "longwave/inspect/report_html.h"
#include "longwave/inspect/report_text.h"
#include "longwave/inspect/testing/markup.h"
#include "longwave/mixers/registry.h"

namespace longwave::inspect {
namespace {

namespace fs = std::filesystem;

LayerAnalysis layer_of(const std::string& family, int64_t channels) {
  const mixers::Family& entry = mixers::family(family);
  Options options(entry.schema());
  if (options.has("state")) options.set("state", int64_t{16}, "test");
  const Weights weights = initialise(entry.parameters(options, channels), 4);
  LayerAnalysis layer = analyse_mixer(*entry.make(options, channels, weights, 1));
  layer.family = family;
  return layer;
}

ModelAnalysis analysis_of(std::vector<LayerAnalysis> layers) {
  ModelAnalysis analysis;
  analysis.pattern = "a<b";
  analysis.layers = std::move(layers);
  analysis.table = {{.name = "x.<weird>&\"name\"", .shape = "(2)", .group = "main", .count = 2}};
  return analysis;
}

TEST(Analysis, TellsPolesAndTimesOfEveryFamily) {
  for (const mixers::Family& family : mixers::families()) {
    const LayerAnalysis layer = layer_of(std::string(family.name), 3);
    if (layer.systems == 0) continue;
    ASSERT_FALSE(layer.poles.empty()) << family.name;
    ASSERT_EQ(layer.poles.size(), layer.time_constants.size());
    for (size_t i = 0; i < layer.poles.size(); ++i) {
      const double modulus = std::abs(layer.poles[i]);
      EXPECT_LT(modulus, 1) << family.name;
      if (modulus > 1e-6) {
        EXPECT_NEAR(std::exp(-1 / layer.time_constants[i]), modulus, 1e-9) << family.name;
      }
    }
    EXPECT_EQ(layer.gain.middle.size(), layer.grid.size());
    EXPECT_EQ(layer.shown.size(), 3u);
    ASSERT_FALSE(layer.hankel.middle.empty()) << family.name;
    EXPECT_NEAR(layer.hankel.middle[0], 1, 1e-12);
  }
}

TEST(Analysis, ShownGainIsTheTransformOfTheShownImpulseResponse) {
  const LayerAnalysis layer = layer_of("s4d", 5);
  const ChannelResponse& shortest = layer.shown.front();
  // A memory of a quarter of the response leaves a tail of about exp(-4).
  for (size_t i = layer.grid.size() / 2; i < layer.grid.size(); i += 7) {
    std::complex<double> sum = 0;
    for (size_t k = 0; k < shortest.impulse.size(); ++k) {
      sum += std::polar(shortest.impulse[k], -2 * M_PI * layer.grid[i] * static_cast<double>(k));
    }
    const double tail = std::exp(-static_cast<double>(shortest.impulse.size()) / shortest.memory);
    double scale = 0;
    for (const double value : shortest.impulse) scale += std::abs(value);
    EXPECT_NEAR(std::abs(sum), shortest.gain[i], scale * (tail + 1e-9) * 4);
  }
}

TEST(Analysis, QuantileInterpolatesFiniteValues) {
  const double infinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ(quantile({3, 1, 2}, 0.5), 2);
  EXPECT_EQ(quantile({1, 2, infinity}, 0.5), 1.5);
  EXPECT_EQ(quantile({1, 2}, 1), 2);
  EXPECT_TRUE(std::isnan(quantile({}, 0.5)));
}

TEST(Report, HtmlIsWellFormedAndSelfContained) {
  const ModelAnalysis analysis = analysis_of({layer_of("s4d", 4), LayerAnalysis{}});
  const TrainingCurve curve = {
      .split = "<test>", .metric = "loss", .step = {0, 1, 2}, .value = {3, std::nan(""), 1}};
  const std::string html = html_report(
      analysis,
      {.title = "</title><script>alert(1)</script>", .made_by = "a & b", .curves = {curve}});
  const size_t style = html.find("<style>"), end = html.find("</style>");
  EXPECT_TRUE(testing::well_formed(html.substr(0, style) + html.substr(end + 8)));
  for (const char* forbidden :
       {"<script", "http://", "https://", "src=", "url(", "@import", "<weird"}) {
    EXPECT_EQ(html.find(forbidden), std::string::npos) << forbidden;
  }
  for (const char* wanted : {"prefers-color-scheme", "Poles", "Time constants", "Bode plot",
                             "Impulse responses", "Hankel singular values", "&lt;test&gt;"}) {
    EXPECT_NE(html.find(wanted), std::string::npos) << wanted;
  }
}

TEST(Report, AnEmptyModelStillGivesReports) {
  const ModelAnalysis analysis;
  EXPECT_TRUE(nlohmann::json::accept(json_report(analysis, "m")));
  EXPECT_FALSE(text_report(analysis, "m").empty());
  EXPECT_FALSE(html_report(analysis, {}).empty());
}

TEST(Report, JsonHoldsEveryPole) {
  const ModelAnalysis analysis = analysis_of({layer_of("s4d", 4)});
  const auto report = nlohmann::json::parse(json_report(analysis, "model \"x\"\n"));
  EXPECT_EQ(report["model"], "model \"x\"\n");
  EXPECT_EQ(report["layers"][0]["poles"].size(), analysis.layers[0].poles.size());
}

TEST(Report, TextNamesWhatIsNotStable) {
  LayerAnalysis layer;
  layer.poles = {{1.01, 0}};
  layer.time_constants = {-100};
  layer.frequencies = {0};
  EXPECT_NE(text_report(analysis_of({layer}), "m").find("NOT STABLE"), std::string::npos);
  EXPECT_NE(html_report(analysis_of({layer}), {}).find("NOT STABLE"), std::string::npos);
}

TEST(Report, NumbersReadWell) {
  EXPECT_EQ(thousands(-1234567), "-1,234,567");
  EXPECT_EQ(thousands(999), "999");
  EXPECT_EQ(thousands(-999), "-999");
  EXPECT_EQ(byte_text(512), "512 B");
  EXPECT_EQ(byte_text(1536), "1.5 KiB");
  EXPECT_EQ(short_number(12345), "12,300");
  EXPECT_EQ(short_number(0.012345), "0.0123");
  EXPECT_EQ(short_number(std::nan("")), "none");
}

TEST(TrainingCurves, ReadsColumnsAndSkipsWhatIsCutOff) {
  const fs::path folder = fs::path(::testing::TempDir()) / "longwave_training_curves";
  fs::create_directories(folder / "checkpoints" / "best");
  const fs::path path = folder / "metrics.csv";
  std::ofstream(path) << "step,epoch,split,loss,accuracy\n"
                         "1,0,train,2.5,\n"
                         "2,0,train,NaN,\n"
                         "2,0,validation,2.25,0.5\r\n"
                         "3,0,tra";
  const std::vector<TrainingCurve> curves = read_training_curves(path);
  ASSERT_EQ(curves.size(), 3u);
  EXPECT_EQ(curves[0].split, "train");
  EXPECT_EQ(curves[0].value.size(), 2u);
  EXPECT_EQ(curves[2].metric, "accuracy");
  EXPECT_EQ(curves[2].value, std::vector<double>{0.5});
  EXPECT_EQ(find_metrics(folder / "checkpoints" / "best"), path);
  EXPECT_EQ(find_metrics(folder / "checkpoints/"), path);
  EXPECT_TRUE(read_training_curves(folder / "none.csv").empty());
  fs::remove_all(folder);
}

}  // namespace
}  // namespace longwave::inspect
