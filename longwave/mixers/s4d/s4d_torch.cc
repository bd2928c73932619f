// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/s4d/s4d_torch.h"

#include <utility>

#include "longwave/mixers/diagonal/complex_torch.h"
#include "longwave/mixers/diagonal/diagonal_siso_torch.h"
#include "longwave/mixers/s4d/s4d.h"

namespace longwave::mixers::s4d {
namespace {

class S4dTorch : public TorchMixer {
 public:
  S4dTorch(const Options& options, int64_t channels, TorchParameters parameters)
      : shapes_(options, channels),
        bilinear_(options.text("discretization") == "bilinear"),
        bidirectional_(options.flag("bidirectional")),
        parameters_(std::move(parameters)) {}

  bool narrows() const override { return true; }

  Output run(const Call& call) const override {
    const torch::Tensor dt = torch::exp(wide(parameters_("log_dt"))).unsqueeze(1);
    const torch::Tensor A = for_channels(
        torch::complex(-torch::exp(wide(parameters_("A_log_re"))), wide(parameters_("A_im"))));
    const torch::Tensor B = for_channels(wide_complex(parameters_("B")));
    const DiagonalStepTorch step = bilinear_ ? bilinear(A, dt) : zero_order_hold(A, dt);
    const torch::Tensor gain = 2 * step.gain * B;
    SisoFactorsTorch factors;
    factors.a = step.a;
    factors.c = gain * wide_complex(parameters_("C"));
    if (bidirectional_) factors.c_back = gain * wide_complex(parameters_("C_back"));
    factors.D = parameters_("D");
    return diagonal_siso(factors, call);
  }

 private:
  /// (copies, modes) as (channels, modes): channel h has copy h mod copies.
  torch::Tensor for_channels(const torch::Tensor& copies) const {
    return copies.repeat({shapes_.channels / shapes_.copies, 1});
  }

  Shapes shapes_;
  bool bilinear_, bidirectional_;
  TorchParameters parameters_;
};

}  // namespace

std::unique_ptr<TorchMixer> make_torch(const Options& options, int64_t channels,
                                       TorchParameters parameters) {
  return std::make_unique<S4dTorch>(options, channels, std::move(parameters));
}

}  // namespace longwave::mixers::s4d
