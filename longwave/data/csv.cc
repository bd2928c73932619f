// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/data/builtin.h"
#include "longwave/data/csv_table.h"
#include "longwave/data/generated.h"
#include "longwave/data/names.h"
#include "longwave/io/file.h"

namespace longwave::data {
namespace {

Schema csv_schema() {
  constexpr double kMost = 1e9;
  return {{.key = "path", .value = std::string(), .help = "the file"},
          {.key = "delimiter",
           .value = std::string("comma"),
           .help = "what separates cells",
           .choices = {"comma", "semicolon", "tab"}},
          {.key = "header", .value = true, .help = "the first row holds the columns' names"},
          {.key = "columns",
           .value = std::string(),
           .help = "columns to read, separated by commas; empty means all"},
          {.key = "target",
           .value = std::string(),
           .help = "columns to predict, separated by commas; empty means all that are read"},
          {.key = "context",
           .value = int64_t{96},
           .help = "rows that the model sees",
           .least = 1,
           .most = kMost},
          {.key = "horizon",
           .value = int64_t{24},
           .help = "rows to predict after them",
           .least = 1,
           .most = kMost},
          {.key = "stride",
           .value = int64_t{1},
           .help = "rows from one window to the next",
           .least = 1,
           .most = kMost},
          {.key = "train",
           .value = 0.7,
           .help = "share of the rows, from the first, to train on",
           .least = 0,
           .most = 1},
          {.key = "validation",
           .value = 0.1,
           .help = "share of the rows after them for validation; the rest is the test split",
           .least = 0,
           .most = 1},
          {.key = "missing",
           .value = std::string("refuse"),
           .help = "missing values: an error, or repeat the value above",
           .choices = {"refuse", "previous"}}};
}

char delimiter_of(const std::string& name) {
  if (name == "comma") return ',';
  return name == "semicolon" ? ';' : '\t';
}

/// The rows whose values are asked for in a split.
struct Rows {
  int64_t begin, end;
};

Rows rows_of(Split split, int64_t rows, double train, double validation) {
  const auto part = [rows](double share) {
    return std::min(static_cast<int64_t>(std::floor(share * static_cast<double>(rows))), rows);
  };
  constexpr double kRounding = 1e-9;
  const int64_t trained = part(train), validated = part(train + validation + kRounding);
  if (split == Split::kTrain) return {0, trained};
  return split == Split::kValidation ? Rows{trained, validated} : Rows{validated, rows};
}

class Windows : public Dataset {
 public:
  Windows(CsvTable table, std::vector<int64_t> targets, const Options& options, Rows rows)
      : table_(std::move(table)),
        targets_(std::move(targets)),
        context_(options.integer("context")),
        horizon_(options.integer("horizon")),
        stride_(options.integer("stride")),
        begin_(std::max(rows.begin, context_)) {
    const int64_t last = rows.end - horizon_;
    size_ = last >= begin_ ? (last - begin_) / stride_ + 1 : 0;
    info_.input_size = columns();
    info_.target = TaskInfo::Target::kValue;
    info_.target_size = horizon_ * static_cast<int64_t>(targets_.size());
    info_.length = context_;
  }

  const TaskInfo& info() const override { return info_; }
  int64_t size() const override { return size_; }

  Example example(int64_t index) const override {
    require(index >= 0 && index < size_, "data set", "the example's index is out of range");
    const int64_t asked = begin_ + index * stride_;
    Example example;
    const auto row = [this](int64_t at) { return table_.values.begin() + at * columns(); };
    example.input.assign(row(asked - context_), row(asked));
    for (int64_t at = asked; at < asked + horizon_; ++at) {
      for (int64_t target : targets_) example.value.push_back(row(at)[target]);
    }
    return example;
  }

  /// Mean and deviation of each column over the first `rows` rows.
  void standardise(int64_t rows) {
    for (int64_t column = 0; column < columns(); ++column) {
      double sum = 0, squares = 0;
      for (int64_t row = 0; row < rows; ++row) sum += table_.values[row * columns() + column];
      const double mean = sum / static_cast<double>(rows);
      for (int64_t row = 0; row < rows; ++row) {
        squares += std::pow(table_.values[row * columns() + column] - mean, 2);
      }
      const double deviation = std::sqrt(squares / static_cast<double>(rows));
      info_.input_shift.push_back(static_cast<float>(mean));
      info_.input_scale.push_back(deviation > 0 ? static_cast<float>(deviation) : 1.0f);
    }
    for (int64_t step = 0; step < horizon_; ++step) {
      for (int64_t target : targets_) {
        info_.target_shift.push_back(info_.input_shift[target]);
        info_.target_scale.push_back(info_.input_scale[target]);
      }
    }
  }

 private:
  int64_t columns() const { return static_cast<int64_t>(table_.names.size()); }

  CsvTable table_;
  std::vector<int64_t> targets_;
  int64_t context_, horizon_, stride_, begin_, size_ = 0;
  TaskInfo info_;
};

std::vector<int64_t> targets_in(const CsvTable& table, const std::string& text) {
  std::vector<int64_t> targets;
  const std::vector<std::string> names = text.empty() ? table.names : listed_names(text);
  for (const std::string& name : names) {
    const auto found = std::ranges::find(table.names, name);
    require_option(found != table.names.end(), "csv",
                   "target must be among the columns that are read", "\"" + name + "\"");
    targets.push_back(found - table.names.begin());
  }
  return targets;
}

std::unique_ptr<Dataset> open_csv(const Options& options, Split split, uint64_t) {
  const std::string& path = options.text("path");
  require_option(!path.empty(), "csv", "path must name a file", "nothing");
  const double train = options.real("train"), validation = options.real("validation");
  require_option(train > 0 && train + validation <= 1, "csv",
                 "train must be above 0 and train + validation at most 1",
                 to_string(train) + " and " + to_string(validation));
  const CsvFormat format = {
      .delimiter = delimiter_of(options.text("delimiter")),
      .header = options.flag("header") ? CsvFormat::Header::kFirstRow : CsvFormat::Header::kNone,
      .missing = options.text("missing") == "refuse" ? CsvFormat::Missing::kRefuse
                                                     : CsvFormat::Missing::kPrevious,
      .columns = listed_names(options.text("columns"))};
  const io::MappedFile file(path);
  CsvTable table = parse_csv(file.bytes(), path, format);
  std::vector<int64_t> targets = targets_in(table, options.text("target"));
  const int64_t total = table.rows;
  const Rows trained = rows_of(Split::kTrain, total, train, validation);
  const Rows rows = rows_of(split, total, train, validation);
  auto windows = std::make_unique<Windows>(std::move(table), std::move(targets), options, rows);
  if (windows->size() == 0 && (rows.begin < rows.end || split == Split::kTrain)) {
    throw DataError(
        {.where = path,
         .what = "the " + std::string(name_of(split)) + " split has too few rows for " +
                 "one window of context and horizon",
         .got = std::to_string(rows.end - rows.begin) + " of " + std::to_string(total) + " rows",
         .fix = "use a shorter context or horizon, or other shares"});
  }
  windows->standardise(trained.end);
  return windows;
}

}  // namespace

const Source kCsv = {"csv", "windows of a time series from a file of numbers (value a sequence)",
                     csv_schema, open_csv};

}  // namespace longwave::data
