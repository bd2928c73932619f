// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/mamba/mamba_torch.h"

#include "longwave/mixers/testing/laws_torch.h"

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

}  // namespace
}  // namespace longwave::mixers::testing
