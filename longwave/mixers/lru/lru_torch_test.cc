// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/lru/lru_torch.h"

#include "longwave/mixers/testing/laws_torch.h"

namespace longwave::mixers::testing {
namespace {

const MixerCase kCases[] = {
    {"Small", "lru", {"state=3"}, 2},
    {"OneMode", "lru", {"state=1"}, 1},
    {"Wide", "lru", {"state=5", "r_min=0.5"}, 4},
};
INSTANTIATE_TEST_SUITE_P(Lru, TorchMixerLaws, ::testing::ValuesIn(kCases), case_name);
INSTANTIATE_TEST_SUITE_P(Lru, CausalTorchMixerLaws, ::testing::ValuesIn(causal(kCases)), case_name);

}  // namespace
}  // namespace longwave::mixers::testing
