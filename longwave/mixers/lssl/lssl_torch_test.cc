// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/lssl/lssl_torch.h"

#include "longwave/mixers/testing/laws_torch.h"

namespace longwave::mixers::testing {
namespace {

const MixerCase kCases[] = {
    {"Legs", "lssl", {"state=4"}, 3},
    {"Trained", "lssl", {"state=3", "train_A=true", "alpha=0.7"}, 2},
    {"Lagt", "lssl", {"state=5", "init=lagt"}, 1},
};
INSTANTIATE_TEST_SUITE_P(Lssl, TorchMixerLaws, ::testing::ValuesIn(kCases), case_name);
INSTANTIATE_TEST_SUITE_P(Lssl, CausalTorchMixerLaws, ::testing::ValuesIn(causal(kCases)),
                         case_name);

}  // namespace
}  // namespace longwave::mixers::testing
