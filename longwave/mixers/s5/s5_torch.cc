// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/s5/s5_torch.h"

#include <utility>

#include "longwave/base/error.h"
#include "longwave/mixers/diagonal/complex_torch.h"
#include "longwave/mixers/diagonal/diagonal_mimo_torch.h"
#include "longwave/ops/autocast_torch.h"

namespace longwave::mixers::s5 {
namespace {

torch::Tensor poles(const Settings& settings, const TorchParameters& parameters) {
  torch::Tensor re = wide(parameters("Lambda_re"));
  if (settings.clip_eigs) re = torch::clamp_max(re, kClippedRe);
  return torch::complex(re, wide(parameters("Lambda_im")));
}

DiagonalStepTorch discretized(const Settings& settings, const torch::Tensor& Lambda,
                              const torch::Tensor& dt) {
  return settings.bilinear ? bilinear(Lambda, dt) : zero_order_hold(Lambda, dt);
}

/// Everything but poles and input gain.
MimoFactorsTorch maps(const Settings& settings, const TorchParameters& parameters) {
  const double pairs = settings.conj_sym ? 2 : 1;
  MimoFactorsTorch factors;
  factors.B = wide_complex(parameters("B"));
  factors.C = pairs * wide_complex(parameters("C"));
  if (settings.bidirectional) factors.C_back = pairs * wide_complex(parameters("C_back"));
  factors.D = parameters("D");
  return factors;
}

}  // namespace

S5Torch::S5Torch(const Options& options, int64_t channels, TorchParameters parameters)
    : settings_(options, channels), parameters_(std::move(parameters)) {}

TorchMixer::Output S5Torch::run(const Call& call) const {
  const torch::Tensor dt = torch::exp(wide(parameters_("log_step")));
  const DiagonalStepTorch step = discretized(settings_, poles(settings_, parameters_), dt);
  MimoFactorsTorch factors = maps(settings_, parameters_);
  factors.a = step.a;
  factors.B = step.gain.unsqueeze(1) * factors.B;
  return diagonal_mimo(factors, call);
}

TorchMixer::Output S5Torch::forward(const Call& call, const torch::Tensor& intervals) const {
  const ops::WithoutAutocast as_given;
  require(!settings_.bidirectional, "s5",
          "irregular sampling needs a layer that is not bidirectional");
  const torch::Tensor dt = torch::exp(wide(parameters_("log_step"))) * wide(intervals).unsqueeze(2);
  const DiagonalStepTorch step = discretized(settings_, poles(settings_, parameters_), dt);
  MimoFactorsTorch factors = maps(settings_, parameters_);
  factors.a = step.a;
  factors.scale = step.gain;
  return diagonal_mimo(factors, call);
}

std::unique_ptr<TorchMixer> make_torch(const Options& options, int64_t channels,
                                       TorchParameters parameters) {
  return std::make_unique<S5Torch>(options, channels, std::move(parameters));
}

}  // namespace longwave::mixers::s5
