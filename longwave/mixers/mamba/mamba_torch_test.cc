// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/mamba/mamba_torch.h"

#include "longwave/mixers/mamba/scan_path_torch.h"
#include "longwave/mixers/testing/laws_torch.h"
#include "longwave/mixers/testing/same_function_torch.h"

namespace longwave::mixers::testing {
namespace {

const MixerCase kCases[] = {
    {"Small", "mamba", {"state=2"}, 2},
    {"OneChannel", "mamba", {"state=1", "expand=1", "width=1"}, 1},
    {"Odd", "mamba", {"state=3", "expand=1", "width=3", "dt_rank=2"}, 3},
    {"Biases", "mamba", {"state=2", "bias=true", "conv_bias=false"}, 2},
};
INSTANTIATE_TEST_SUITE_P(Mamba, TorchMixerLaws, ::testing::ValuesIn(kCases), case_name);
INSTANTIATE_TEST_SUITE_P(Mamba, CausalTorchMixerLaws, ::testing::ValuesIn(causal(kCases)),
                         case_name);

TEST(MambaScanPath, EqualsItsOperations) {
  constexpr int64_t kBatch = 2, kInner = 37, kState = 5, kRank = 3, kWidth = 4;
  for (const int64_t time : {1, 3, 71}) {
    SCOPED_TRACE(::testing::Message() << "time " << time);
    const auto leaves = random_leaves({{"xz", {kBatch, time, 2 * kInner}},
                                       {"conv_w", {kInner, kWidth}},
                                       {"conv_b", {kInner}},
                                       {"x_proj", {kRank + 2 * kState, kInner}},
                                       {"dt_proj", {kInner, kRank}},
                                       {"dt_bias", {kInner}},
                                       {"A", {kInner, kState}},
                                       {"D", {kInner}},
                                       {"history", {kBatch, kWidth - 1, kInner}},
                                       {"h0", {kBatch, kInner, kState}}});
    torch::Tensor starts = torch::zeros({kBatch, time}, torch::kUInt8);
    starts[1][time / 2] = 1;
    const auto run = [&](auto form) {
      return [&, form]() -> std::vector<torch::Tensor> {
        const mamba::ScanPathOutput out = form({.xz = leaves.at("xz"),
                                                .conv_w = leaves.at("conv_w"),
                                                .conv_b = leaves.at("conv_b"),
                                                .x_proj = leaves.at("x_proj"),
                                                .dt_proj = leaves.at("dt_proj"),
                                                .dt_bias = leaves.at("dt_bias"),
                                                .A = -leaves.at("A").exp(),
                                                .D = leaves.at("D"),
                                                .history = leaves.at("history"),
                                                .h0 = leaves.at("h0"),
                                                .starts = starts});
        return {out.y, out.history, out.h};
      };
    };
    expect_same_function(run(mamba::scan_path), run(mamba::scan_path_of_operations), leaves,
                         kBatch * time * (kInner + kState));
  }
}

}  // namespace
}  // namespace longwave::mixers::testing
