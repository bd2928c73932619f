// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace longwave::data {

/// How a text becomes a table.
struct CsvFormat {
  enum class Header : uint8_t { kFirstRow, kNone };
  enum class Missing : uint8_t { kRefuse, kPrevious };
  char delimiter = ',';
  Header header = Header::kFirstRow;      ///< names, or columns are called "0", "1", ...
  Missing missing = Missing::kRefuse;     ///< an error, or the value above
  std::vector<std::string> columns = {};  ///< which to read, in this order; empty means all
};

/// Named columns of finite numbers.
struct CsvTable {
  std::vector<std::string> names;
  int64_t rows = 0;
  std::vector<float> values;  ///< (rows, columns)
};

/// Reads comma-separated numbers in memory; `where` names the text in messages.
///
/// Cells may be in quotes (RFC 4180), lines may end in CR LF, blank lines are skipped, a byte order
/// mark too. Empty cells, NA, N/A, NaN, null and ? are missing. Cells of other columns than those
/// asked for may hold anything.
///
/// Errors     DataError at "where:line" for rows of unequal length, names that appear twice, cells
///            that are missing, no number or not finite, an open quote, and tables without rows;
///            ConfigError for a column that is not there.
CsvTable parse_csv(std::span<const std::byte> text, std::string_view where,
                   const CsvFormat& format = {});

}  // namespace longwave::data
