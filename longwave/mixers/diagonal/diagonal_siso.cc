// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/diagonal/diagonal_siso.h"

#include <algorithm>
#include <utility>

#include "longwave/base/error.h"
#include "longwave/mixers/diagonal/complex_rows.h"
#include "longwave/mixers/look_ahead.h"
#include "longwave/ops/lti_scan/lti_scan.h"
#include "longwave/theory/system.h"

namespace longwave::mixers {
namespace {

std::vector<std::complex<float>> rounded(const std::vector<std::complex<double>>& numbers) {
  return {numbers.begin(), numbers.end()};
}

}  // namespace

DiagonalSiso::DiagonalSiso(SisoFactors factors)
    : factors_(std::move(factors)),
      a_(rounded(factors_.a)),
      c_(rounded(factors_.c)),
      c_back_(rounded(factors_.c_back)),
      D_(factors_.D.begin(), factors_.D.end()) {}

size_t DiagonalSiso::workspace_bytes(int64_t batch, int64_t time) const {
  const size_t scan = ops::lti_scan_workspace_bytes(batch, factors_.channels, factors_.modes);
  const int64_t row = 2 * factors_.channels * factors_.modes;
  const size_t half = causal() ? 0 : look_ahead_workspace_bytes(batch, time, factors_.channels);
  return scan + half + ComplexRows::workspace_bytes(batch, row);
}

void DiagonalSiso::prefill(const Prefill& args, Workspace& workspace) const {
  check(*this, args, "diagonal layer");
  const Workspace::Scope scope(workspace);
  if (!causal()) return bidirectional(args, workspace);
  const ComplexRows h(args.state, workspace);
  ops::lti_scan({.u = args.u,
                 .a = view(a_),
                 .c = view(c_),
                 .d = {D_.data(), {factors_.channels}},
                 .h = h.view(factors_.channels, factors_.modes),
                 .y = args.y},
                workspace);
  h.store();
}

void DiagonalSiso::bidirectional(const Prefill& args, Workspace& workspace) const {
  const int64_t batch = args.u.extent(0);
  const int64_t numbers = batch * factors_.channels * factors_.modes;
  const auto state = workspace.take<std::complex<float>>(numbers);
  const View<std::complex<float>, 3> h(state.data(), {batch, factors_.channels, factors_.modes});
  std::ranges::fill(state, 0.0f);
  ops::lti_scan({.u = args.u,
                 .a = view(a_),
                 .c = view(c_),
                 .d = {D_.data(), {factors_.channels}},
                 .h = h,
                 .y = args.y},
                workspace);
  add_look_ahead(args, workspace, [&](const View<const float, 3>& u, const View<float, 3>& y) {
    std::ranges::fill(state, 0.0f);
    ops::lti_scan({.u = u, .a = view(a_), .c = view(c_back_), .d = {}, .h = h, .y = y}, workspace);
  });
}

void DiagonalSiso::step(const Step& args, Workspace& workspace) const {
  check(*this, args, "diagonal layer");
  prefill(as_prefill(args), workspace);
}

theory::DiscreteSystem DiagonalSiso::system(int64_t channel) const {
  if (channel < 0 || channel >= system_count()) return Mixer::system(channel);
  const int64_t modes = factors_.modes;
  theory::DiscreteSystem system;
  system.A = Eigen::MatrixXcd::Zero(modes, modes);
  system.B = Eigen::MatrixXcd::Ones(modes, 1);
  system.C.resize(1, modes);
  for (int64_t n = 0; n < modes; ++n) {
    const auto index = static_cast<size_t>(channel * modes + n);
    system.A(n, n) = factors_.a[index];
    system.C(0, n) = factors_.c[index];
  }
  system.D = Eigen::MatrixXd::Constant(1, 1, factors_.D[static_cast<size_t>(channel)]);
  return system;
}

}  // namespace longwave::mixers
