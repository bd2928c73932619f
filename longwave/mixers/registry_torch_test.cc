// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "longwave/base/error.h"
#include "longwave/mixers/mixer_torch.h"
#include "longwave/mixers/registry.h"

namespace longwave::mixers {
namespace {

TEST(TorchRegistry, EveryFamilyHasATrainingForm) {
  for (const Family& entry : families()) {
    SCOPED_TRACE(entry.name);
    const Options options(entry.schema());
    EXPECT_NE(make_torch_mixer(entry.name, options, 4,
                               [](const std::string&) { return torch::Tensor(); }),
              nullptr);
  }
}

TEST(TorchRegistry, AnUnknownNameIsRefused) {
  EXPECT_THROW(make_torch_mixer("s44", Options(), 4, {}), ConfigError);
}

}  // namespace
}  // namespace longwave::mixers
