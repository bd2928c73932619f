// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/dss/dss_torch.h"

#include <utility>

#include "longwave/mixers/diagonal/complex_torch.h"
#include "longwave/mixers/diagonal/diagonal_siso_torch.h"
#include "longwave/mixers/dss/dss.h"

namespace longwave::mixers::dss {
namespace {

class DssTorch : public TorchMixer {
 public:
  DssTorch(const Options& options, int64_t channels, TorchParameters parameters)
      : settings_(options, channels), parameters_(std::move(parameters)) {}

  bool narrows() const override { return true; }

  Output run(const Call& call) const override {
    const torch::Tensor dt = torch::exp(wide(parameters_("log_dt")));
    const torch::Tensor re = -torch::exp(wide(parameters_("A_log_re")));
    const torch::Tensor im = wide(parameters_("A_im"));
    const torch::Tensor z =
        torch::complex(dt.slice(1, 0, 1) * re, dt.slice(1, settings_.steps - 1) * im);
    const torch::Tensor grown = complex_expm1(z);
    torch::Tensor gain = grown / torch::complex(re, im);
    if (settings_.length > 0) gain = gain / complex_expm1(z * settings_.length);
    SisoFactorsTorch factors;
    factors.a = grown + 1;
    factors.c = gain * wide_complex(parameters_("W"));
    if (settings_.bidirectional) factors.c_back = gain * wide_complex(parameters_("W_back"));
    factors.D = parameters_("D");
    return diagonal_siso(factors, call);
  }

 private:
  Settings settings_;
  TorchParameters parameters_;
};

}  // namespace

std::unique_ptr<TorchMixer> make_torch(const Options& options, int64_t channels,
                                       TorchParameters parameters) {
  return std::make_unique<DssTorch>(options, channels, std::move(parameters));
}

}  // namespace longwave::mixers::dss
