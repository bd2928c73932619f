// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace longwave::inspect {

/// One metric of one split over the steps of a training run.
struct TrainingCurve {
  std::string split;   ///< "train", "validation", "test"
  std::string metric;  ///< "loss", "accuracy", ...
  std::vector<double> step, value;
};

/// The curves in a run's metrics.csv, whose columns are step, epoch, split and metrics. A file that
/// is missing or has no such columns gives none; lines that are cut off are skipped.
std::vector<TrainingCurve> read_training_curves(const std::filesystem::path& metrics_csv);

/// metrics.csv beside a model folder or up to two folders above it; empty if there is none.
std::filesystem::path find_metrics(const std::filesystem::path& model_folder);

}  // namespace longwave::inspect
