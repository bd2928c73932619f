// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/attention/attention_torch.h"

#include "longwave/mixers/testing/laws_torch.h"

namespace longwave::mixers::testing {
namespace {

const MixerCase kCases[] = {
    {"Small", "attention", {"window=3"}, 2},
    {"OneChannel", "attention", {"window=1"}, 1},
    {"SharedKeys", "attention", {"window=4", "heads=4", "kv_heads=2", "head_dim=2"}, 2},
    {"NoPositions", "attention", {"window=20", "rotary_base=0", "bias=true"}, 2},
    {"OddHeads", "attention", {"window=5", "head_dim=3", "heads=1"}, 2},
};
INSTANTIATE_TEST_SUITE_P(Attention, TorchMixerLaws, ::testing::ValuesIn(kCases), case_name);
INSTANTIATE_TEST_SUITE_P(Attention, CausalTorchMixerLaws, ::testing::ValuesIn(causal(kCases)),
                         case_name);

}  // namespace
}  // namespace longwave::mixers::testing
