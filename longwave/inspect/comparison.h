// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "longwave/inspect/length_cost.h"
#include "longwave/runtime/evaluate.h"

namespace longwave::inspect {

/// What one step of training costs, measured in a process of its own.
struct TrainingCost {
  int64_t time_steps = 0;   ///< of all its sequences
  double seconds = 0;       ///< the median of three or more, after one that warms up
  int64_t added_bytes = 0;  ///< how far those steps raised the process's memory
  int64_t peak_bytes = 0;   ///< the most that the process held: program, libraries and data too
};

/// What training came to.
struct TrainedQuality {
  std::string end = {};  ///< "finished", "interrupted" or "diverged"
  int64_t steps = 0;
  double seconds = 0;                                           ///< in optimiser steps
  std::vector<std::pair<std::string, double>> validation = {};  ///< the deciding metric at its best
  std::vector<std::pair<std::string, double>> test = {};        ///< of the best checkpoint
};

/// One model of a comparison; what was not measured is absent.
struct ComparedModel {
  std::string name = {};     ///< as asked for: "mamba"
  std::string pattern = {};  ///< its layers
  int64_t d_model = 0;
  int64_t parameters = 0;
  std::optional<TrainingCost> training_step = {};  ///< on the recipe's batches
  std::optional<TrainedQuality> quality = {};
  std::vector<LengthCost> lengths = {};
  std::vector<TrainingCost> training =
      {};  ///< forward and backward over one sequence of each length
};

/// Models of equal size on one task, side by side.
struct Comparison {
  std::string recipe = {};  ///< file and overrides
  int64_t budget = 0;       ///< parameters that each model should have
  int64_t seed = 0;
  std::vector<int64_t> lengths = {};
  std::vector<std::pair<std::string, std::string>> facts = {};  ///< machine, build, threads
  std::vector<ComparedModel> models = {};
};

/// Exponents of the length: cost ~ length^exponent.
struct Growth {
  double training_time = 0;    ///< forward and backward over a sequence
  double training_memory = 0;  ///< with what the scans and attention here keep
  double prefill = 0;          ///< time of a sequence at once
  double step = 0;             ///< time of one step after that many
  double state = 0;            ///< bytes of what is remembered
};

/// What theory says of a pattern of layers, as the tables of surveys have it (arXiv:2503.18970):
/// 1, 1, 1, 0, 0 where the state has a fixed size, logarithms left out; 2, 1, 2, 1, 1 with
/// attention over all positions. Training attention takes linear memory because scores are not kept
/// here.
Growth growth_in_theory(const std::string& pattern);

/// The slopes of log cost over log length through all measured lengths; NaN where fewer than two
/// are known.
Growth measured_growth(const ComparedModel& model);

/// The same through the two longest lengths alone, where the fastest growing part shows most.
Growth final_growth(const ComparedModel& model);

/// The least-squares slope of log y over log x; pairs that are not positive and finite are left
/// out. NaN with fewer than two.
double log_slope(const std::vector<double>& x, const std::vector<double>& y);

/// The comparison as a Markdown document: quality and cost of training, growth, cost by length.
std::string comparison_markdown(const Comparison& comparison);

/// Everything that was measured, as JSON.
std::string comparison_json(const Comparison& comparison);

/// The comparison as one self-contained page with log-log plots; `made_by` is its foot.
std::string comparison_html(const Comparison& comparison, const std::string& made_by);

}  // namespace longwave::inspect
