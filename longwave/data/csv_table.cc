// SPDX-License-Identifier: Apache-2.0
#include "longwave/data/csv_table.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <set>
#include <utility>

#include "longwave/base/error.h"
#include "longwave/base/options.h"

namespace longwave::data {
namespace {

/// Walks over the rows of a text.
class RowReader {
 public:
  RowReader(std::string_view text, std::string_view where, char delimiter)
      : rest_(text), where_(where), delimiter_(delimiter) {
    constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
    if (rest_.starts_with(kByteOrderMark)) rest_.remove_prefix(kByteOrderMark.size());
  }

  /// The line of the file at which the last row began.
  int64_t line() const { return row_line_; }

  /// Reads the next row that is not blank; false at the end.
  bool next(std::vector<std::string>& cells) {
    while (!rest_.empty() && (rest_.front() == '\n' || rest_.front() == '\r')) take();
    if (rest_.empty()) return false;
    row_line_ = line_;
    size_t count = 0;
    while (true) {
      if (cells.size() == count) cells.emplace_back();
      cells[count].clear();
      read_cell(cells[count++]);
      if (rest_.empty() || rest_.front() != delimiter_) break;
      rest_.remove_prefix(1);
    }
    cells.resize(count);
    if (rest_.starts_with("\r\n")) rest_.remove_prefix(1);
    if (!rest_.empty()) take();
    return true;
  }

  [[noreturn]] void fail(std::string what, std::string got, std::string fix = {}) const {
    throw DataError({.where = std::string(where_) + ":" + std::to_string(row_line_),
                     .what = std::move(what),
                     .got = std::move(got),
                     .fix = std::move(fix)});
  }

 private:
  char take() {
    const char c = rest_.front();
    rest_.remove_prefix(1);
    line_ += c == '\n' ? 1 : 0;
    return c;
  }

  void read_cell(std::string& cell) {
    const bool is_quoted = !rest_.empty() && rest_.front() == '"';
    if (is_quoted) {
      take();
      read_quoted(cell);
    }
    const char ends[] = {delimiter_, '\r', '\n'};
    const size_t end = std::min(rest_.find_first_of(std::string_view(ends, 3)), rest_.size());
    if (is_quoted && end > 0) fail("there is text after a closing quote", std::string(1, rest_[0]));
    cell += rest_.substr(0, end);
    rest_.remove_prefix(end);
  }

  /// Up to the closing quote; two quotes stand for one.
  void read_quoted(std::string& cell) {
    while (true) {
      if (rest_.empty()) fail("a quote is not closed", "the end of the file");
      const char c = take();
      if (c != '"') {
        cell += c;
      } else if (!rest_.empty() && rest_.front() == '"') {
        cell += take();
      } else {
        return;
      }
    }
  }

  std::string_view rest_;
  std::string_view where_;
  char delimiter_;
  int64_t line_ = 1;
  int64_t row_line_ = 1;
};

std::string_view trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

bool is_missing(std::string_view cell) {
  static constexpr std::array<std::string_view, 7> kWords = {"",    "NA",   "N/A", "NaN",
                                                             "nan", "null", "?"};
  return std::ranges::find(kWords, cell) != kWords.end();
}

/// The number in a cell, or nothing if it is missing.
std::optional<float> read_number(const RowReader& reader, std::string_view text,
                                 const std::string& column) {
  text = trimmed(text);
  if (is_missing(text)) return std::nullopt;
  std::string_view digits = text;
  if (digits.starts_with('+')) digits.remove_prefix(1);
  double number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  const bool whole = error == std::errc() && end == digits.data() + digits.size();
  constexpr size_t kMostShown = 40;
  const std::string shown = "\"" + std::string(text.substr(0, kMostShown)) + "\"";
  if (!whole) {
    reader.fail("column \"" + column + "\" must hold numbers", shown,
                "leave the column out: name those to read in csv.columns");
  }
  if (!(std::abs(number) <= std::numeric_limits<float>::max())) {
    reader.fail("column \"" + column + "\" holds a number that is not finite", shown);
  }
  return static_cast<float>(number);
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

/// Where in a row each of the wanted columns stands.
std::vector<size_t> places_of(const std::vector<std::string>& wanted,
                              const std::vector<std::string>& names, std::string_view where) {
  std::vector<size_t> places;
  for (const std::string& column : wanted) {
    const auto found = std::ranges::find(names, column);
    if (found == names.end()) {
      const std::string near = nearest(column, names);
      throw ConfigError({.where = std::string(where),
                         .what = "there is no column \"" + column + "\"",
                         .got = "columns " + joined(names),
                         .fix = near.empty() ? std::string() : "did you mean " + near + "?"});
    }
    places.push_back(static_cast<size_t>(found - names.begin()));
  }
  return places;
}

std::vector<std::string> names_of(RowReader& reader, std::vector<std::string>& cells,
                                  CsvFormat::Header header) {
  std::vector<std::string> names;
  for (size_t i = 0; i < cells.size(); ++i) {
    const bool given = header == CsvFormat::Header::kFirstRow;
    names.push_back(given ? std::string(trimmed(cells[i])) : std::to_string(i));
  }
  std::set<std::string_view> seen;
  for (const std::string& name : names) {
    if (!seen.insert(name).second) reader.fail("two columns have one name", "\"" + name + "\"");
  }
  return names;
}

/// What stands for a cell that is missing.
float previous_value(const RowReader& reader, const CsvTable& table, const CsvFormat& format,
                     const std::string& column) {
  if (format.missing == CsvFormat::Missing::kRefuse) {
    reader.fail("column \"" + column + "\" has no value in this row", "a missing value",
                "fill it in, or set csv.missing = \"previous\" to repeat the value above");
  }
  if (table.rows == 0) {
    reader.fail("column \"" + column + "\" has no value in the first row, and none above to repeat",
                "a missing value", "fill it in, or remove the row");
  }
  return table.values[table.values.size() - table.names.size()];
}

}  // namespace

CsvTable parse_csv(std::span<const std::byte> text, std::string_view where,
                   const CsvFormat& format) {
  RowReader reader({reinterpret_cast<const char*>(text.data()), text.size()}, where,
                   format.delimiter);
  std::vector<std::string> cells;
  bool more = reader.next(cells);
  const std::vector<std::string> names = names_of(reader, cells, format.header);
  CsvTable table;
  if (more) table.names = format.columns.empty() ? names : format.columns;
  const std::vector<size_t> places = places_of(table.names, names, where);
  if (format.header == CsvFormat::Header::kFirstRow) more = more && reader.next(cells);
  for (; more; more = reader.next(cells)) {
    if (cells.size() != names.size()) {
      reader.fail("every row must have " + std::to_string(names.size()) + " cells",
                  std::to_string(cells.size()));
    }
    for (size_t i = 0; i < places.size(); ++i) {
      const auto number = read_number(reader, cells[places[i]], table.names[i]);
      table.values.push_back(number ? *number
                                    : previous_value(reader, table, format, table.names[i]));
    }
    ++table.rows;
  }
  if (table.rows == 0) reader.fail("the table has no rows", std::to_string(text.size()) + " bytes");
  return table;
}

}  // namespace longwave::data
