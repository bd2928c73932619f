// SPDX-License-Identifier: Apache-2.0
#include "longwave/train/metrics_log.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "longwave/base/error.h"
#include "longwave/base/joined.h"

namespace longwave::train {
namespace {

/// The step that a line of metrics.jsonl speaks of; -1 if it was cut off by a kill.
int64_t step_of_json(const std::string& line) {
  const nlohmann::json json = nlohmann::json::parse(line, nullptr, false);
  return json.is_object() && json.contains("step") ? json["step"].get<int64_t>() : -1;
}

/// The same for metrics.csv, whose first column is the step.
int64_t step_of_csv(const std::string& line) {
  return std::isdigit(static_cast<unsigned char>(line.empty() ? ' ' : line[0])) != 0
             ? std::stoll(line)
             : -1;
}

/// Keeps the lines of steps up to `last_step`, and the first line if it is a heading.
void drop_after(const std::filesystem::path& path, int64_t last_step, int64_t headings,
                int64_t (*step_of)(const std::string&)) {
  std::ifstream in(path);
  if (!in) return;
  std::string kept;
  std::string line;
  for (int64_t number = 0; std::getline(in, line); ++number) {
    const int64_t step = step_of(line);
    if (number < headings || (step >= 0 && step <= last_step)) kept += line + "\n";
  }
  in.close();
  const std::filesystem::path fresh = path.string() + ".tmp";
  std::ofstream(fresh) << kept;
  std::filesystem::rename(fresh, path);
}

/// The columns of a file's heading; none if there is no file, or a kill cut it off there.
std::vector<std::string> columns_in(const std::filesystem::path& path) {
  std::vector<std::string> columns;
  std::ifstream file(path);
  std::string heading, column;
  if (!std::getline(file, heading) || file.eof()) return columns;
  std::istringstream parts(heading);
  while (std::getline(parts, column, ',')) columns.push_back(column);
  return columns;
}

void check(const std::ofstream& stream, const std::filesystem::path& path) {
  if (stream.good()) return;
  throw IoError({.where = path.string(),
                 .what = "a line of metrics cannot be written",
                 .got = {},
                 .fix = "make room on the disk, then resume the run"});
}

std::string number_text(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  return fmt::format("{}", value);
}

}  // namespace

std::string json_line(const Record& record) {
  std::string line = "{";
  for (const auto& [name, value] : record) {
    line += (line.size() > 1 ? ", " : "") + nlohmann::json(name).dump() + ": ";
    if (const auto* integer = std::get_if<int64_t>(&value)) {
      line += std::to_string(*integer);
    } else if (const auto* text = std::get_if<std::string>(&value)) {
      line += nlohmann::json(*text).dump();
    } else {
      const double number = std::get<double>(value);
      const std::string written = number_text(number);
      line += std::isfinite(number) ? written : "\"" + written + "\"";
    }
  }
  return line + "}";
}

MetricsLog::MetricsLog(const std::filesystem::path& folder, std::vector<std::string> columns,
                       int64_t last_step)
    : columns_(std::move(columns)),
      jsonl_path_(folder / "metrics.jsonl"),
      csv_path_(folder / "metrics.csv") {
  drop_after(jsonl_path_, last_step, 0, step_of_json);
  const std::vector<std::string> there = columns_in(csv_path_);
  if (there.empty()) {
    std::filesystem::remove(csv_path_);
  } else {
    columns_ = there;
    drop_after(csv_path_, last_step, 1, step_of_csv);
  }
  jsonl_.open(jsonl_path_, std::ios::app);
  csv_.open(csv_path_, std::ios::app);
  if (there.empty()) csv_ << joined(columns_, ",") << '\n' << std::flush;
  check(jsonl_, jsonl_path_);
  check(csv_, csv_path_);
}

void MetricsLog::append(const Record& record) {
  jsonl_ << json_line(record) << "\n" << std::flush;
  std::string line;
  for (const std::string& column : columns_) {
    if (&column != &columns_.front()) line += ",";
    for (const auto& [name, value] : record) {
      if (name != column) continue;
      if (const auto* integer = std::get_if<int64_t>(&value)) line += std::to_string(*integer);
      if (const auto* real = std::get_if<double>(&value)) line += number_text(*real);
      if (const auto* text = std::get_if<std::string>(&value)) line += *text;
    }
  }
  csv_ << line << "\n" << std::flush;
  check(jsonl_, jsonl_path_);
  check(csv_, csv_path_);
}

}  // namespace longwave::train
