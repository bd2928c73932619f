// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/mamba2/mamba2_torch.h"

#include "longwave/mixers/testing/laws_torch.h"

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

}  // namespace
}  // namespace longwave::mixers::testing
