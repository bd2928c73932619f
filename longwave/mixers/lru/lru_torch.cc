// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/lru/lru_torch.h"

#include <utility>

#include "longwave/mixers/diagonal/complex_torch.h"
#include "longwave/mixers/diagonal/diagonal_mimo_torch.h"

namespace longwave::mixers::lru {
namespace {

class LruTorch : public TorchMixer {
 public:
  explicit LruTorch(TorchParameters parameters) : parameters_(std::move(parameters)) {}

  bool narrows() const override { return true; }

  Output run(const Call& call) const override {
    const torch::Tensor rows = torch::exp(wide(parameters_("Lambda_log")));
    MimoFactorsTorch factors;
    factors.a = torch::exp(torch::complex(-rows[0], rows[1]));
    factors.B = rows[2].unsqueeze(1) * wide_complex(parameters_("B"));
    factors.C = wide_complex(parameters_("C"));
    factors.D = parameters_("D");
    return diagonal_mimo(factors, call);
  }

 private:
  TorchParameters parameters_;
};

}  // namespace

std::unique_ptr<TorchMixer> make_torch(const Options&, int64_t, TorchParameters parameters) {
  return std::make_unique<LruTorch>(std::move(parameters));
}

}  // namespace longwave::mixers::lru
