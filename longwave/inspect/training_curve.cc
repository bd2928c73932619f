// SPDX-License-Identifier: Apache-2.0
#include "longwave/inspect/training_curve.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <string_view>

namespace longwave::inspect {
namespace {

std::vector<std::string> cells_of(std::string_view line) {
  std::vector<std::string> cells;
  if (line.ends_with('\r')) line.remove_suffix(1);
  while (true) {
    const size_t comma = line.find(',');
    cells.emplace_back(line.substr(0, comma));
    if (comma == std::string_view::npos) return cells;
    line.remove_prefix(comma + 1);
  }
}

std::optional<double> number_in(const std::string& cell) {
  char* end = nullptr;
  const double value = std::strtod(cell.c_str(), &end);
  if (cell.empty() || *end != 0) return std::nullopt;
  return value;
}

TrainingCurve& curve_of(std::vector<TrainingCurve>& curves, const std::string& split,
                        const std::string& metric) {
  for (TrainingCurve& curve : curves) {
    if (curve.split == split && curve.metric == metric) return curve;
  }
  return curves.emplace_back(TrainingCurve{split, metric, {}, {}});
}

}  // namespace

std::vector<TrainingCurve> read_training_curves(const std::filesystem::path& metrics_csv) {
  std::ifstream file(metrics_csv);
  std::string line;
  std::vector<TrainingCurve> curves;
  if (!std::getline(file, line)) return curves;
  const std::vector<std::string> names = cells_of(line);
  const auto column = [&](std::string_view name) {
    return static_cast<size_t>(std::ranges::find(names, name) - names.begin());
  };
  const size_t step = column("step"), split = column("split"), epoch = column("epoch");
  if (step == names.size() || split == names.size()) return curves;
  while (std::getline(file, line)) {
    const std::vector<std::string> cells = cells_of(line);
    if (cells.size() != names.size()) continue;
    const std::optional<double> at = number_in(cells[step]);
    for (size_t i = 0; at && i < cells.size(); ++i) {
      const std::optional<double> value = number_in(cells[i]);
      if (i == step || i == split || i == epoch || !value) continue;
      TrainingCurve& curve = curve_of(curves, cells[split], names[i]);
      curve.step.push_back(*at);
      curve.value.push_back(*value);
    }
  }
  return curves;
}

std::filesystem::path find_metrics(const std::filesystem::path& model_folder) {
  std::error_code error;
  std::filesystem::path folder = std::filesystem::absolute(model_folder, error).lexically_normal();
  if (!folder.has_filename()) folder = folder.parent_path();
  for (int up = 0; up < 3; ++up, folder = folder.parent_path()) {
    const std::filesystem::path candidate = folder / "metrics.csv";
    if (std::filesystem::exists(candidate, error)) return candidate;
  }
  return {};
}

}  // namespace longwave::inspect
