// SPDX-License-Identifier: Apache-2.0
#include "longwave/cli/bench_table.h"

#include <fmt/core.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "longwave/base/joined.h"
#include "longwave/base/parallel.h"
#include "longwave/cli/build_facts.h"

namespace longwave::cli {
namespace {

using Json = nlohmann::ordered_json;

std::vector<std::string> cells_of(const BenchTable& table, const std::vector<double>& row) {
  std::vector<std::string> cells;
  for (size_t i = 0; i < row.size(); ++i) {
    cells.push_back(fmt::format("{:.{}f}", row[i], table.columns[i].decimals));
  }
  return cells;
}

std::vector<std::string> titles_of(const BenchTable& table) {
  std::vector<std::string> titles;
  for (const BenchTable::Column& column : table.columns) titles.emplace_back(column.title);
  return titles;
}

/// Whole numbers stay whole.
Json number(double value) {
  const bool whole = std::abs(value) < 0x1p53 && value == std::floor(value);
  return whole ? Json(static_cast<int64_t>(value)) : Json(value);
}

}  // namespace

void print_table(std::string_view form, const BenchTable& table, std::ostream& out) {
  const auto line = [&](const std::vector<std::string>& cells) {
    if (form == "csv") {
      out << joined(cells, ",") << '\n';
    } else if (form == "md") {
      out << fmt::format("| {} |\n", joined(cells, " | "));
    } else {
      for (const std::string& cell : cells) out << fmt::format("{:>16}", cell);
      out << '\n';
    }
  };
  line(titles_of(table));
  if (form == "md") line(std::vector<std::string>(table.columns.size(), "---:"));
  for (const std::vector<double>& row : table.rows) line(cells_of(table, row));
}

void print_json(const std::string& model, double state_bytes, const BenchTable& table,
                std::ostream& out) {
  Json list = Json::array();
  for (const std::vector<double>& row : table.rows) {
    Json object;
    for (size_t i = 0; i < row.size(); ++i) {
      object[std::string(table.columns[i].key)] = number(row[i]);
    }
    list.push_back(std::move(object));
  }
  const BuildFacts facts = build_facts();
  out << Json{{"model", model},
              {"version", facts.version},
              {"commit", facts.commit},
              {"simd", facts.simd_used},
              {"threads", thread_count()},
              {"state_bytes", number(state_bytes)},
              {"rows", list}}
             .dump(2)
      << '\n';
}

}  // namespace longwave::cli
