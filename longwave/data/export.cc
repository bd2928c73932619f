// SPDX-License-Identifier: Apache-2.0
#include "longwave/data/export.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <span>
#include <utility>

#include "longwave/data/generated.h"
#include "longwave/io/atomic_file.h"
#include "longwave/io/config_file.h"
#include "longwave/io/file.h"

namespace longwave::data {
namespace {

using Json = nlohmann::ordered_json;

/// The shortest text that reads back to the same float; `absent` for NaN.
void append(std::string& text, float number, std::string_view absent) {
  if (std::isnan(number)) {
    text += absent;
    return;
  }
  std::array<char, 32> buffer{};
  const auto [end, error] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), number);
  text.append(buffer.data(), end);
}

void append(std::string& text, int64_t number, std::string_view absent) {
  text += number < 0 ? std::string(absent) : std::to_string(number);
}

/// "[1,2]", or "[[1,2],[3,4]]" for steps of more than one number.
template <typename T>
void append_list(std::string& text, const std::vector<T>& numbers, int64_t width) {
  text += "[";
  for (size_t i = 0; i < numbers.size(); ++i) {
    const bool first = i % static_cast<size_t>(width) == 0;
    if (i > 0) text += first && width > 1 ? "],[" : ",";
    if (i == 0 && width > 1) text += "[";
    append(text, numbers[i], "null");
  }
  text += width > 1 && !numbers.empty() ? "]]" : "]";
}

bool is_real(TaskInfo::Target target) {
  return target == TaskInfo::Target::kValue || target == TaskInfo::Target::kValuePerStep;
}

bool is_per_step(TaskInfo::Target target) {
  return target == TaskInfo::Target::kClassPerStep || target == TaskInfo::Target::kValuePerStep;
}

std::string as_json_line(const TaskInfo& info, const Example& example) {
  std::string text;
  if (info.input == TaskInfo::Input::kReal) {
    text = "{\"input\":";
    append_list(text, example.input, info.input_size);
  } else {
    text = "{\"tokens\":";
    append_list(text, example.tokens, 1);
  }
  if (is_real(info.target)) {
    text += ",\"value\":";
    append_list(text, example.value, is_per_step(info.target) ? info.target_size : 1);
  } else {
    text += ",\"label\":";
    if (is_per_step(info.target)) {
      append_list(text, example.label, 1);
    } else {
      append(text, example.label.at(0), "null");
    }
  }
  return text + "}\n";
}

std::string csv_header(const TaskInfo& info) {
  std::string text = "example,step";
  const int64_t inputs = info.input == TaskInfo::Input::kReal ? info.input_size : 1;
  const int64_t targets = is_real(info.target) ? info.target_size : 1;
  for (int64_t i = 0; i < inputs; ++i) text += ",x" + std::to_string(i);
  for (int64_t i = 0; i < targets; ++i) text += ",y" + std::to_string(i);
  return text + "\n";
}

template <typename T>
void append_cells(std::string& text, const std::vector<T>& numbers, int64_t row, int64_t width) {
  for (int64_t i = 0; i < width; ++i) {
    text += ",";
    append(text, numbers.at(static_cast<size_t>(row * width + i)), "");
  }
}

std::string as_csv_rows(const TaskInfo& info, const Example& example, int64_t index) {
  const bool real_input = info.input == TaskInfo::Input::kReal;
  const auto time =
      static_cast<int64_t>(real_input ? example.input.size() / static_cast<size_t>(info.input_size)
                                      : example.tokens.size());
  const int64_t targets = is_real(info.target) ? info.target_size : 1;
  std::string text;
  for (int64_t t = 0; t < time; ++t) {
    text += std::to_string(index) + "," + std::to_string(t);
    if (real_input) {
      append_cells(text, example.input, t, info.input_size);
    } else {
      append_cells(text, example.tokens, t, 1);
    }
    const int64_t row = is_per_step(info.target) ? t : 0;
    if (!is_per_step(info.target) && t + 1 < time) {
      text.append(static_cast<size_t>(targets), ',');
    } else if (is_real(info.target)) {
      append_cells(text, example.value, row, targets);
    } else {
      append_cells(text, example.label, row, targets);
    }
    text += "\n";
  }
  return text;
}

Exported write_split(const Dataset& dataset, Split split, const std::filesystem::path& folder,
                     const ExportOptions& how) {
  const bool json = how.format == ExportOptions::Format::kJsonl;
  Exported result = {.split = split,
                     .file = folder / (std::string(name_of(split)) + (json ? ".jsonl" : ".csv")),
                     .examples = std::min(dataset.size(), how.most_examples),
                     .statistics = statistics_of(dataset, how.most_examples)};
  io::AtomicFile file(result.file);
  if (!json) file.write(csv_header(dataset.info()));
  for (int64_t i = 0; i < result.examples; ++i) {
    const Example example = dataset.example(i);
    file.write(json ? as_json_line(dataset.info(), example)
                    : as_csv_rows(dataset.info(), example, i));
  }
  file.commit();
  return result;
}

Json as_json(const Summary& summary) {
  return {{"count", summary.count},
          {"mean", summary.mean},
          {"deviation", summary.deviation},
          {"least", summary.least},
          {"most", summary.most}};
}

Json as_json(const TaskInfo& info) {
  Json json = {{"input", name_of(info.input)},
               {"input_size", info.input_size},
               {"target", name_of(info.target)},
               {"target_size", info.target_size},
               {"length", info.length},
               {"input_shift", info.input_shift},
               {"input_scale", info.input_scale},
               {"target_shift", info.target_shift},
               {"target_scale", info.target_scale}};
  return json;
}

Json as_json(const Exported& exported) {
  const Statistics& statistics = exported.statistics;
  Json json = {{"file", exported.file.filename().string()},
               {"examples", exported.examples},
               {"examples_of_source", statistics.examples},
               {"length", as_json(statistics.length)}};
  if (statistics.input.count > 0) json["input"] = as_json(statistics.input);
  if (statistics.value.count > 0) json["value"] = as_json(statistics.value);
  if (!statistics.labels.empty()) json["labels"] = statistics.labels;
  return json;
}

}  // namespace

std::string_view name_of(TaskInfo::Input input) {
  return input == TaskInfo::Input::kReal ? "real" : "tokens";
}

std::string_view name_of(TaskInfo::Target target) {
  switch (target) {
    case TaskInfo::Target::kClass:
      return "class";
    case TaskInfo::Target::kValue:
      return "value";
    case TaskInfo::Target::kClassPerStep:
      return "class_per_step";
    default:
      return "value_per_step";
  }
}

std::vector<Exported> export_source(const Source& source, const Options& options,
                                    const std::filesystem::path& folder, const ExportOptions& how) {
  Json info = {{"source", source.name},
               {"seed", how.seed},
               {"options", Json::parse(io::to_json(options))},
               {"splits", Json::object()}};
  std::vector<Exported> result;
  for (const Split split : {Split::kTrain, Split::kValidation, Split::kTest}) {
    const auto dataset = source.open(options, split, how.seed);
    if (dataset->size() == 0) continue;
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    if (error) throw io::system_error(folder, "cannot create the folder", error.value());
    result.push_back(write_split(*dataset, split, folder, how));
    if (!info.contains("task")) info["task"] = as_json(dataset->info());
    info["splits"][std::string(name_of(split))] = as_json(result.back());
  }
  constexpr int kIndent = 2;
  if (!result.empty()) io::write_file_atomically(folder / "info.json", info.dump(kIndent) + "\n");
  return result;
}

}  // namespace longwave::data
