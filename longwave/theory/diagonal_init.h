// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace longwave::theory {

/// Where the poles of a diagonal layer start. n = 0, ..., modes - 1; N = 2 modes.
enum class DiagonalInit {
  kLegS,  ///< eigenvalues of the normal part of HiPPO LegS
  kInv,   ///< -1/2 - i (N/pi) (N/(2n+1) - 1), near those of LegS
  kLin,   ///< -1/2 - i pi n, near those of FouT
  kReal,  ///< -(n + 1), Mamba's choice; no conjugate pairs
  kQuad,  ///< -1/2 - i (2n+1)^2 / pi
};

/// "legs", "inv", "lin", "real", "quad".
std::vector<std::string> diagonal_init_names();
std::string_view name(DiagonalInit init);

/// Errors     InvalidArgument with the nearest known name.
DiagonalInit diagonal_init(std::string_view name);

/// Continuous-time poles and input weights of a diagonal layer.
///
/// One pole of each conjugate pair is given, that with Im <= 0 as in normal_form.h; under
/// y = 2 Re(C x) the sign is immaterial. B is 1 except for LegS, where it is HiPPO's rotated into
/// the eigenbasis with the canonical phase (real and positive, up to sqrt(N) at the fastest mode).
///
/// Source     Gu, Gupta, Goel, Re 2022, arXiv:2206.11893, section 4; structured.md 1.1.4.
/// Errors     InvalidArgument if modes < 1.
struct DiagonalPoles {
  Eigen::VectorXcd Lambda;  // (modes)
  Eigen::VectorXcd B;       // (modes)
};
DiagonalPoles diagonal_poles(DiagonalInit init, int64_t modes);

/// DFouT: discrete poles set directly, so that no step size has to be tuned.
///
///   a_n = exp(-damping/2 - i 2 pi (n + channel/channels) / N),   n = 0, ..., N/2 - 1
///
/// All poles of all channels together lie evenly on a circle; N = 2 modes.
///
/// Source     arXiv:2508.20441; structured.md 1.1.4.
/// Errors     InvalidArgument if modes < 1, damping < 0 or channel is not in [0, channels).
Eigen::VectorXcd dfout_poles(int64_t modes, double damping, int64_t channel, int64_t channels);

}  // namespace longwave::theory
