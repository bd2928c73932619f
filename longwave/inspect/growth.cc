// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <limits>

#include "longwave/inspect/comparison.h"

namespace longwave::inspect {
namespace {

/// Where a curve is read: through its last `count` points.
double slope_of(const std::vector<double>& x, const std::vector<double>& y, size_t count) {
  const auto skip = static_cast<int64_t>(x.size() - std::min(count, x.size()));
  return log_slope({x.begin() + skip, x.end()}, {y.begin() + skip, y.end()});
}

Growth growth_through(const ComparedModel& model, size_t count) {
  std::vector<double> length, prefill, step, state;
  for (const LengthCost& cost : model.lengths) {
    length.push_back(static_cast<double>(cost.length));
    prefill.push_back(cost.prefill_median);
    step.push_back(cost.step_p50);
    state.push_back(static_cast<double>(cost.state_bytes_used));
  }
  std::vector<double> trained, seconds, bytes;
  for (const TrainingCost& cost : model.training) {
    trained.push_back(static_cast<double>(cost.time_steps));
    seconds.push_back(cost.seconds);
    bytes.push_back(static_cast<double>(cost.added_bytes));
  }
  return {.training_time = slope_of(trained, seconds, count),
          .training_memory = slope_of(trained, bytes, count),
          .prefill = slope_of(length, prefill, count),
          .step = slope_of(length, step, count),
          .state = slope_of(length, state, count)};
}

}  // namespace

double log_slope(const std::vector<double>& x, const std::vector<double>& y) {
  double count = 0, x_mean = 0, y_mean = 0;
  const auto each = [&](const auto& visit) {
    for (size_t i = 0; i < std::min(x.size(), y.size()); ++i) {
      const bool known = x[i] > 0 && y[i] > 0 && std::isfinite(x[i]) && std::isfinite(y[i]);
      if (known) visit(std::log(x[i]), std::log(y[i]));
    }
  };
  each([&](double log_x, double log_y) {
    count += 1;
    x_mean += log_x;
    y_mean += log_y;
  });
  x_mean /= count;
  y_mean /= count;
  double spread = 0, shared = 0;
  each([&](double log_x, double log_y) {
    spread += (log_x - x_mean) * (log_x - x_mean);
    shared += (log_x - x_mean) * (log_y - y_mean);
  });
  return spread > 0 ? shared / spread : std::numeric_limits<double>::quiet_NaN();
}

Growth growth_in_theory(const std::string& pattern) {
  const std::vector<std::string> layers = models::layers_of(pattern);
  const bool looks_at_all = std::ranges::find(layers, "attention") != layers.end();
  return looks_at_all
             ? Growth{.training_time = 2, .training_memory = 1, .prefill = 2, .step = 1, .state = 1}
             : Growth{
                   .training_time = 1, .training_memory = 1, .prefill = 1, .step = 0, .state = 0};
}

Growth measured_growth(const ComparedModel& model) {
  return growth_through(model, std::numeric_limits<size_t>::max());
}

Growth final_growth(const ComparedModel& model) { return growth_through(model, 2); }

}  // namespace longwave::inspect
