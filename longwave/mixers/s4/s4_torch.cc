// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/s4/s4_torch.h"

#include <string>
#include <utility>

#include "longwave/base/error.h"
#include "longwave/mixers/diagonal/complex_torch.h"
#include "longwave/mixers/s4/s4.h"
#include "longwave/ops/dense_scan/dense_scan_torch.h"
#include "longwave/ops/dplr_kernel/dplr_kernel_torch.h"
#include "longwave/ops/long_conv/long_conv_torch.h"

namespace longwave::mixers::s4 {
namespace {

using torch::Tensor;

/// Continuous systems of all channels in double; conjugate pairs once.
struct Systems {
  Tensor dt;      // (channels)
  Tensor Lambda;  // (channels, modes)
  Tensor P;       // (rank, channels, modes)
  Tensor B;       // (channels, modes)
};

/// Discrete systems on real states (re, im, re, im, ...).
struct RealSystems {
  Tensor A;  // (channels, state, state)
  Tensor B;  // (channels, state)
};

Tensor interleaved(const Tensor& x) { return torch::view_as_real(x.contiguous()).flatten(-2); }

/// A = blocks [[re, -im], [im, re]] of Lambda, less 2 p p^T for each column of P; bilinear.
RealSystems real_systems(const Systems& systems) {
  const Tensor re = torch::real(systems.Lambda), im = torch::imag(systems.Lambda);
  const Tensor diagonal = torch::stack({re, re}, 2).flatten(1);
  const Tensor above =
      torch::stack({-im, torch::zeros_like(im)}, 2).flatten(1).narrow(1, 0, 2 * im.size(1) - 1);
  const Tensor skew = torch::diag_embed(above, 1) - torch::diag_embed(above, -1);
  const Tensor p = interleaved(systems.P);
  const Tensor A = torch::diag_embed(diagonal) + skew - 2 * torch::einsum("rhi,rhj->hij", {p, p});

  const Tensor half = (systems.dt / 2).reshape({-1, 1, 1}) * A;
  const Tensor dtB = systems.dt.reshape({-1, 1}) * interleaved(systems.B);
  const Tensor I = torch::eye(A.size(1), A.options().requires_grad(false));
  const Tensor step = ops::solved(I - half, torch::cat({I + half, dtB.unsqueeze(2)}, 2));
  return {step.narrow(2, 0, A.size(1)), step.select(2, A.size(1))};
}

/// C of y = C x from the Ct of a kernel of `length`: C (I - Abar^length) = Ct.
Tensor recovered_readout(const RealSystems& systems, const Tensor& Ct, int64_t length) {
  const Tensor I = torch::eye(systems.A.size(1), Ct.options().dtype(torch::kFloat64));
  const Tensor rest = I - torch::matrix_power(systems.A, length);
  const Tensor row = interleaved(2 * Ct.conj().resolve_conj());
  return ops::solved(rest.transpose(1, 2), row.unsqueeze(2)).squeeze(2);
}

class S4Torch : public TorchMixer {
 public:
  S4Torch(const Options& options, int64_t channels, TorchParameters parameters)
      : shapes_(options, channels),
        bidirectional_(options.flag("bidirectional")),
        parameters_(std::move(parameters)) {}

  Output run(const Call& call) const override {
    const bool states = call.final_state || call.state.defined();
    const bool beyond_kernel = call.u.size(1) > shapes_.length;
    if (bidirectional_) {
      require_kernel_length(call.u.size(1));
      const Tensor y = call.u.is_cpu() ? convolutional(call.u) : chunked_both_ways(call.u);
      return {y, call.final_state ? call.u.new_zeros({call.u.size(0), 0}) : Tensor()};
    }
    // Products of matrices are what a GPU does best; it has no transform of kernels of ours.
    if (states || beyond_kernel || !call.u.is_cpu()) return chunked(call);
    return {convolutional(call.u), Tensor()};
  }

 private:
  Systems systems() const {
    const int64_t repeats = shapes_.channels / shapes_.copies;
    const Tensor Lambda =
        torch::complex(-torch::exp(wide(parameters_("A_log_re"))), wide(parameters_("A_im")));
    return {torch::exp(wide(parameters_("log_dt"))), Lambda.repeat({repeats, 1}),
            wide_complex(parameters_("P")).repeat({1, repeats, 1}),
            wide_complex(parameters_("B")).repeat({repeats, 1})};
  }

  void require_kernel_length(int64_t time) const {
    if (time <= shapes_.length) return;
    throw InvalidArgument(
        {.where = "s4",
         .what = "the sequence is longer than the kernel of a bidirectional layer",
         .got = std::to_string(time) + " steps, s4.length = " + std::to_string(shapes_.length),
         .fix = "set s4.length to at least " + std::to_string(time)});
  }

  Tensor convolutional(const Tensor& u) const {
    const int64_t time = u.size(1);
    const torch::Dtype real = u.scalar_type(), complex = complex_of(real);
    const Systems all = systems();
    const auto kernel = [&](const char* readout) {
      return ops::dplr_kernel({.Lambda = all.Lambda.to(complex),
                               .P = all.P.to(complex),
                               .B = all.B.to(complex),
                               .Ct = wide_complex(parameters_(readout)).to(complex),
                               .dt = all.dt.to(real),
                               .length = shapes_.length})
          .narrow(1, 0, time);
    };
    const Tensor ahead = bidirectional_ ? kernel("Ct_back") : Tensor();
    return ops::long_conv(u, kernel("Ct"), ahead, skip(u));
  }

  /// y of the system that a readout's kernel came from, and the state after it.
  ops::DenseScanOutput scanned(const RealSystems& discrete, const char* readout, const Tensor& u,
                               const Tensor& d, const Tensor& state) const {
    const torch::Dtype real = u.scalar_type();
    const Tensor C =
        recovered_readout(discrete, wide_complex(parameters_(readout)), shapes_.length);
    return ops::dense_scan(u, discrete.A.to(real), discrete.B.to(real), C.to(real), d, state);
  }

  Output chunked(const Call& call) const {
    const Tensor state = call.state.defined()
                             ? call.state.reshape({-1, shapes_.channels, 2 * shapes_.modes})
                             : call.state;
    const ops::DenseScanOutput out =
        scanned(real_systems(systems()), "Ct", call.u, skip(call.u), state);
    return {out.y, call.final_state ? out.state.flatten(1) : Tensor()};
  }

  /// The same from either end; what comes from behind starts a step later.
  Tensor chunked_both_ways(const Tensor& u) const {
    const RealSystems discrete = real_systems(systems());
    const Tensor d = skip(u), time_reversed = u.flip(1);
    const Tensor y = scanned(discrete, "Ct", u, d, Tensor()).y;
    const Tensor ahead =
        scanned(discrete, "Ct_back", time_reversed, torch::zeros_like(d), Tensor()).y.flip(1);
    return y + torch::constant_pad_nd(ahead.slice(1, 1), {0, 0, 0, 1});
  }

  Tensor skip(const Tensor& u) const { return parameters_("D").to(u.scalar_type()); }

  Shapes shapes_;
  bool bidirectional_;
  TorchParameters parameters_;
};

}  // namespace

std::unique_ptr<TorchMixer> make_torch(const Options& options, int64_t channels,
                                       TorchParameters parameters) {
  return std::make_unique<S4Torch>(options, channels, std::move(parameters));
}

}  // namespace longwave::mixers::s4
