// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ostream>
#include <string>
#include <string_view>
#include <vector>

namespace longwave::cli {

/// Figures that were measured, and how they are shown.
struct BenchTable {
  struct Column {
    std::string_view key;    ///< in JSON
    std::string_view title;  ///< for people
    int decimals;            ///< for people; JSON has all digits
  };
  std::vector<Column> columns;
  std::vector<std::vector<double>> rows;
};

/// Prints columns of text, "csv" or "md".
void print_table(std::string_view form, const BenchTable& table, std::ostream& out);

/// One JSON document: the model, the build, the machine's threads and the rows.
void print_json(const std::string& model, double state_bytes, const BenchTable& table,
                std::ostream& out);

}  // namespace longwave::cli
