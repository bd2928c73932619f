// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "longwave/inspect/analysis.h"

namespace longwave::inspect {

/// The analysis for a terminal of 80 columns: numbers, sparklines, braille plots, parameter table.
std::string text_report(const ModelAnalysis& analysis, const std::string& title);

/// The analysis as one JSON document. Numbers that are not finite are null.
std::string json_report(const ModelAnalysis& analysis, const std::string& title);

}  // namespace longwave::inspect
