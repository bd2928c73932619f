// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/cnn/cnn_torch.h"

#include "longwave/mixers/testing/laws_torch.h"

namespace longwave::mixers::testing {
namespace {

const MixerCase kCases[] = {
    {"Small", "cnn", {}, 3},
    {"Pointwise", "cnn", {"width=1"}, 2},
    {"Dilated", "cnn", {"width=3", "dilation=2"}, 2},
};
INSTANTIATE_TEST_SUITE_P(Cnn, TorchMixerLaws, ::testing::ValuesIn(kCases), case_name);
INSTANTIATE_TEST_SUITE_P(Cnn, CausalTorchMixerLaws, ::testing::ValuesIn(causal(kCases)), case_name);

}  // namespace
}  // namespace longwave::mixers::testing
