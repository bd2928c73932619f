// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "longwave/inspect/analysis.h"
#include "longwave/inspect/training_curve.h"

namespace longwave::inspect {

/// What stands on the page besides the analysis.
struct ReportContext {
  std::string title;                  ///< such as the model's folder
  std::string made_by;                ///< program, version and command, for the foot of the page
  std::vector<TrainingCurve> curves;  ///< may be empty
};

/// One self-contained HTML page with inline SVG: no script, no outside file, light and dark.
std::string html_report(const ModelAnalysis& analysis, const ReportContext& context);

}  // namespace longwave::inspect
