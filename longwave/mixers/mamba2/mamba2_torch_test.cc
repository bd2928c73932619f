// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/mamba2/mamba2_torch.h"

#include "longwave/mixers/mamba2/scan_path_torch.h"
#include "longwave/mixers/testing/laws_torch.h"
#include "longwave/mixers/testing/same_function_torch.h"

namespace longwave::mixers::testing {
namespace {

const MixerCase kCases[] = {
    {"Small", "mamba2", {"state=3"}, 2},
    {"OneChannel", "mamba2", {"state=1", "expand=1", "width=1"}, 1},
    {"Groups", "mamba2", {"state=2", "head_dim=1", "groups=2", "width=3"}, 2},
    {"NormBeforeGate", "mamba2", {"state=2", "norm=before_gate", "norm_groups=2", "bias=true"}, 2},
    {"NoNorm", "mamba2", {"state=2", "norm=none", "skip=channel", "conv_bias=false"}, 3},
    {"Limited", "mamba2", {"state=2", "dt_least=0.001", "dt_most=50"}, 2},
};
INSTANTIATE_TEST_SUITE_P(Mamba2, TorchMixerLaws, ::testing::ValuesIn(kCases), case_name);
INSTANTIATE_TEST_SUITE_P(Mamba2, CausalTorchMixerLaws, ::testing::ValuesIn(causal(kCases)),
                         case_name);

TEST(Mamba2ScanPath, EqualsItsOperations) {
  constexpr int64_t kBatch = 2, kChannels = 18;
  for (const std::string norm : {"after_gate", "before_gate", "none"}) {
    for (const int64_t time : {1, 3, 71}) {
      SCOPED_TRACE(::testing::Message() << "norm " << norm << ", time " << time);
      MixerCase layer{"", "mamba2", {"state=5", "head_dim=9", "groups=2"}, kChannels};
      layer.settings.push_back("norm=" + norm);
      const mamba2::Settings settings(layer.options(), kChannels);
      const int64_t inner = settings.inner, convolved = settings.convolved();
      std::map<std::string, std::vector<int64_t>> shapes = {
          {"projected", {kBatch, time, settings.projected()}},
          {"conv_w", {convolved, settings.width}},
          {"conv_b", {convolved}},
          {"A", {settings.heads}},
          {"D", {settings.heads}},
          {"dt_bias", {settings.heads}},
          {"out_proj_w", {kChannels, inner}},
          {"out_proj_b", {kChannels}},
          {"history", {kBatch, settings.width - 1, convolved}},
          {"h0", {kBatch, settings.heads, settings.head_dim, settings.state}}};
      if (settings.has_norm) shapes["norm_w"] = {inner};
      const auto leaves = random_leaves(shapes);
      torch::Tensor starts = torch::zeros({kBatch, time}, torch::kUInt8);
      starts[1][time / 2] = 1;
      const auto run = [&](auto form) {
        return [&, form]() -> std::vector<torch::Tensor> {
          const mamba2::ScanPathOutput out =
              form(settings, {.projected = leaves.at("projected"),
                              .conv_w = leaves.at("conv_w"),
                              .conv_b = leaves.at("conv_b"),
                              .A = -leaves.at("A").exp(),
                              .D = leaves.at("D"),
                              .dt_bias = leaves.at("dt_bias"),
                              .norm_w = settings.has_norm ? leaves.at("norm_w") : torch::Tensor(),
                              .out_proj_w = leaves.at("out_proj_w"),
                              .out_proj_b = leaves.at("out_proj_b"),
                              .history = leaves.at("history"),
                              .h0 = leaves.at("h0"),
                              .starts = starts});
          return {out.y, out.history, out.h};
        };
      };
      expect_same_function(run(mamba2::scan_path), run(mamba2::scan_path_of_operations), leaves,
                           kBatch * time * (inner + settings.state));
    }
  }
}

}  // namespace
}  // namespace longwave::mixers::testing
