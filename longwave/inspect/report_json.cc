// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "longwave/inspect/report_text.h"

namespace longwave::inspect {
namespace {

using Json = nlohmann::ordered_json;

Json spread_json(const Spread& spread) {
  return {{"p10", spread.low}, {"p50", spread.middle}, {"p90", spread.high}};
}

Json layer_json(const LayerAnalysis& layer) {
  Json poles = Json::array();
  for (const std::complex<double>& pole : layer.poles) poles.push_back({pole.real(), pole.imag()});
  Json shown = Json::array();
  for (const ChannelResponse& one : layer.shown) {
    shown.push_back({{"channel", one.channel},
                     {"memory", one.memory},
                     {"gain", one.gain},
                     {"impulse_response", one.impulse}});
  }
  return {{"layer", layer.index},
          {"family", layer.family},
          {"channels", layer.channels},
          {"systems", layer.systems},
          {"state_size", layer.state_size},
          {"trained_numbers", layer.parameters},
          {"poles", poles},
          {"conjugates_left_out", layer.half_of_pairs},
          {"time_constants", layer.time_constants},
          {"frequencies", layer.frequencies},
          {"step_sizes", layer.step_sizes},
          {"grid", layer.grid},
          {"gain", spread_json(layer.gain)},
          {"hankel_shares", spread_json(layer.hankel)},
          {"channels_shown", shown}};
}

Json table_json(const std::vector<ParameterFacts>& table) {
  Json rows = Json::array();
  for (const ParameterFacts& row : table) {
    rows.push_back({{"name", row.name},
                    {"shape", row.shape},
                    {"group", row.group},
                    {"count", row.count},
                    {"mean", row.mean},
                    {"deviation", row.deviation},
                    {"least", row.least},
                    {"most", row.most},
                    {"not_finite", row.not_finite}});
  }
  return rows;
}

}  // namespace

std::string json_report(const ModelAnalysis& analysis, const std::string& title) {
  Json layers = Json::array();
  for (const LayerAnalysis& layer : analysis.layers) layers.push_back(layer_json(layer));
  return Json{{"model", title},
              {"pattern", analysis.pattern},
              {"rate", analysis.rate},
              {"causal", analysis.causal},
              {"trained_numbers", analysis.parameters},
              {"state_bytes", analysis.state_size * static_cast<int64_t>(sizeof(float))},
              {"layers", layers},
              {"parameters", table_json(analysis.table)}}
      .dump();
}

}  // namespace longwave::inspect
