// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/diagonal/diagonal_siso.h"

#include <algorithm>
#include <utility>

#include "longwave/base/error.h"
#include "longwave/mixers/diagonal/complex_rows.h"
#include "longwave/ops/lti_scan/lti_scan.h"
#include "longwave/theory/system.h"

namespace longwave::mixers {
namespace {

std::vector<std::complex<float>> rounded(const std::vector<std::complex<double>>& numbers) {
  return {numbers.begin(), numbers.end()};
}

/// Steps [begin, begin + count) in reverse order.
template <typename T>
View<T, 3> reversed(const View<T, 3>& view, int64_t begin, int64_t count) {
  return {&view(0, begin + count - 1, 0),
          {view.extent(0), count, view.extent(2)},
          {view.stride(0), -view.stride(1), view.stride(2)}};
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
  const size_t half = causal() ? 0 : Workspace::bytes_for<float>(batch * time * factors_.channels);
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
  const int64_t batch = args.u.extent(0), time = args.u.extent(1);
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
  if (time < 2 || batch == 0) return;
  const View<float, 3> back(workspace.take<float>(batch * time * factors_.channels).data(),
                            args.u.extents());
  std::ranges::fill(state, 0.0f);
  // back[t] for t < time - 1 is the readout after u[time-1], ..., u[t+1].
  ops::lti_scan({.u = reversed(args.u, 1, time - 1),
                 .a = view(a_),
                 .c = view(c_back_),
                 .d = {},
                 .h = h,
                 .y = reversed(back, 0, time - 1)},
                workspace);
  for (int64_t b = 0; b < batch; ++b) {
    for (int64_t t = 0; t + 1 < time; ++t) {
      for (int64_t i = 0; i < factors_.channels; ++i) args.y(b, t, i) += back(b, t, i);
    }
  }
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
