// SPDX-License-Identifier: Apache-2.0
#include "longwave/train/run_log.h"

#include <string>
#include <vector>

#include "longwave/train/checkpoint.h"

namespace longwave::train {
namespace {

const std::vector<std::string>& csv_columns() {
  static const std::vector<std::string> columns = {
      "step", "epoch", "split",         "loss", "bits_per_byte",      "accuracy",    "mse",
      "nmse", "ema",   "gradient_norm", "lr",   "samples_per_second", "utilisation", "seconds"};
  return columns;
}

}  // namespace

RunLog::RunLog(const std::filesystem::path& folder, int64_t last_step)
    : metrics_(folder, csv_columns(), last_step), events_(folder / "tb", last_step + 1) {}

void RunLog::append(const Record& record) {
  metrics_.append(record);
  const std::string split = text_of(record, "split");
  std::vector<Scalar> scalars;
  for (const auto& [name, value] : record) {
    if (const auto* real = std::get_if<double>(&value)) {
      scalars.push_back({.tag = split + "/" + name, .value = *real});
    }
  }
  events_.append(integer_of(record, "step"), scalars);
}

}  // namespace longwave::train
