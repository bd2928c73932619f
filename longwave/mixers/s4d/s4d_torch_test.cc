// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/s4d/s4d_torch.h"

#include "longwave/mixers/testing/laws_torch.h"

namespace longwave::mixers::testing {
namespace {

const MixerCase kCases[] = {
    {"Legs", "s4d", {"state=4"}, 3},
    {"LegsHippoB", "s4d", {"state=6", "B_init=hippo"}, 2},
    {"RealBilinear", "s4d", {"state=4", "init=real", "discretization=bilinear"}, 2},
    {"Shared", "s4d", {"state=2", "init=lin", "copies=2"}, 4},
    {"Dfout", "s4d", {"state=6", "init=dfout"}, 2},
    {"Bidirectional", "s4d", {"state=4", "bidirectional=true"}, 3},
};
INSTANTIATE_TEST_SUITE_P(S4d, TorchMixerLaws, ::testing::ValuesIn(kCases), case_name);
INSTANTIATE_TEST_SUITE_P(S4d, CausalTorchMixerLaws, ::testing::ValuesIn(causal(kCases)), case_name);

}  // namespace
}  // namespace longwave::mixers::testing
