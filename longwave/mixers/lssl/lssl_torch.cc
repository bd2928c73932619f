// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/lssl/lssl_torch.h"

#include <utility>

#include "longwave/ops/dense_scan/dense_scan_torch.h"

namespace longwave::mixers::lssl {
namespace {

using torch::Tensor;

class LsslTorch : public TorchMixer {
 public:
  LsslTorch(const Options& options, int64_t channels, TorchParameters parameters)
      : channels_(channels),
        n_(options.integer("state")),
        alpha_(options.real("alpha")),
        parameters_(std::move(parameters)) {}

  Output run(const Call& call) const override {
    const Tensor dt = parameters_("log_dt").to(torch::kFloat64).exp().reshape({channels_, 1, 1});
    const Tensor dtA = dt * parameters_("A").to(torch::kFloat64);
    const Tensor dtB = dt * parameters_("B").to(torch::kFloat64).reshape({1, n_, 1});
    const Tensor I = torch::eye(n_, dtA.options().requires_grad(false));
    const Tensor step = ops::solved(I - alpha_ * dtA, torch::cat({I + (1 - alpha_) * dtA, dtB}, 2));
    const auto type = call.u.scalar_type();
    const Tensor state =
        call.state.defined() ? call.state.reshape({-1, channels_, n_}) : call.state;
    const ops::DenseScanOutput out =
        ops::dense_scan(call.u, step.narrow(2, 0, n_).to(type), step.select(2, n_).to(type),
                        parameters_("C"), parameters_("D"), state);
    return {out.y, call.final_state ? out.state.reshape({-1, channels_ * n_}) : Tensor()};
  }

 private:
  int64_t channels_, n_;
  double alpha_;
  TorchParameters parameters_;
};

}  // namespace

std::unique_ptr<TorchMixer> make_torch(const Options& options, int64_t channels,
                                       TorchParameters parameters) {
  return std::make_unique<LsslTorch>(options, channels, std::move(parameters));
}

}  // namespace longwave::mixers::lssl
