// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <utility>

#include "longwave/base/assert.h"
#include "longwave/base/error.h"
#include "longwave/mixers/attention/attention_torch.h"
#include "longwave/mixers/cnn/cnn_torch.h"
#include "longwave/mixers/dss/dss_torch.h"
#include "longwave/mixers/gru/gru_torch.h"
#include "longwave/mixers/lru/lru_torch.h"
#include "longwave/mixers/lssl/lssl_torch.h"
#include "longwave/mixers/lstm/lstm_torch.h"
#include "longwave/mixers/mamba/mamba_torch.h"
#include "longwave/mixers/mamba2/mamba2_torch.h"
#include "longwave/mixers/mixer_torch.h"
#include "longwave/mixers/registry.h"
#include "longwave/mixers/s4/s4_torch.h"
#include "longwave/mixers/s4d/s4d_torch.h"
#include "longwave/mixers/s5/s5_torch.h"
#include "longwave/nn/linear_torch.h"
#include "longwave/ops/autocast_torch.h"
#include "longwave/ops/operand_torch.h"

namespace longwave::mixers {
namespace {

struct TorchFamily {
  std::string_view name;
  std::unique_ptr<TorchMixer> (*make)(const Options& options, int64_t channels,
                                      TorchParameters parameters);
};

/// In the order of registry.cc.
constexpr std::array kTorchFamilies = {
    TorchFamily{"lssl", lssl::make_torch},
    TorchFamily{"s4", s4::make_torch},
    TorchFamily{"dss", dss::make_torch},
    TorchFamily{"s4d", s4d::make_torch},
    TorchFamily{"s5", s5::make_torch},
    TorchFamily{"lru", lru::make_torch},
    TorchFamily{"mamba", mamba::make_torch},
    TorchFamily{"mamba2", mamba2::make_torch},
    TorchFamily{"attention", attention::make_torch},
    TorchFamily{"lstm", lstm::make_torch},
    TorchFamily{"gru", gru::make_torch},
    TorchFamily{"cnn", cnn::make_torch},
};

}  // namespace

TorchMixer::Output TorchMixer::forward(const Call& call) const {
  require(!call.starts.defined() || packs(), "mixer",
          "this family cannot start a sequence within another: give each its own row");
  Call own = call;
  const torch::Tensor& given = call.projected.defined() ? call.projected : call.u;
  const auto asked = ops::autocast_type(given.device());
  const ops::WithoutAutocast as_given;
  if (asked && given.scalar_type() == torch::kFloat32) {
    if (own.u.defined()) own.u = own.u.to(*asked);
    if (own.projected.defined()) own.projected = own.projected.to(*asked);
  }
  // The CPU multiplies no matrices of float16.
  const torch::Tensor& rounded = own.projected.defined() ? own.projected : own.u;
  if (!narrows() || (given.is_cpu() && rounded.scalar_type() == torch::kFloat16)) {
    own.u = ops::widened(own.u);
    own.projected = ops::widened(own.projected);
  }
  if (!call.projected.defined()) {
    const Projection first = input_projection();
    if (first.W.defined()) own.projected = nn::linear(own.u, first.W, first.b);
  }
  const Output output = run(own);
  return {output.y.to(given.scalar_type()), output.state};
}

std::unique_ptr<TorchMixer> make_torch_mixer(std::string_view name, const Options& options,
                                             int64_t channels, TorchParameters parameters) {
  const std::string_view known = family(name).name;
  const auto found = std::ranges::find(kTorchFamilies, known, &TorchFamily::name);
  LONGWAVE_ASSERT(found != kTorchFamilies.end(), "family without a training form");
  return found->make(options, channels, std::move(parameters));
}

}  // namespace longwave::mixers
