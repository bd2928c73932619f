// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/dss/dss_torch.h"

#include "longwave/mixers/testing/laws_torch.h"

namespace longwave::mixers::testing {
namespace {

const MixerCase kCases[] = {
    {"Exp", "dss", {"state=3"}, 3},
    {"SharedStep", "dss", {"state=2", "sep_dt_re_im=false"}, 2},
    {"Softmax", "dss", {"state=3", "kernel=softmax", "length=40"}, 2},
    {"Bidirectional", "dss", {"state=2", "bidirectional=true"}, 3},
};
INSTANTIATE_TEST_SUITE_P(Dss, TorchMixerLaws, ::testing::ValuesIn(kCases), case_name);
INSTANTIATE_TEST_SUITE_P(Dss, CausalTorchMixerLaws, ::testing::ValuesIn(causal(kCases)), case_name);

}  // namespace
}  // namespace longwave::mixers::testing
