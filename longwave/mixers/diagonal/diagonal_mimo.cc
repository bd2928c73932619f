// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/diagonal/diagonal_mimo.h"

#include <algorithm>
#include <utility>

#include "longwave/mixers/diagonal/complex_rows.h"
#include "longwave/ops/linear_scan/linear_scan.h"
#include "longwave/ops/matmul/matmul.h"
#include "longwave/theory/system.h"

namespace longwave::mixers {
namespace {

/// (modes, channels) complex as real rows (modes, re/im, channels).
std::vector<float> input_rows(const MimoFactors& factors) {
  std::vector<float> rows(2 * factors.B.size());
  for (int64_t n = 0; n < factors.modes; ++n) {
    for (int64_t i = 0; i < factors.channels; ++i) {
      const std::complex<double> b = factors.B[static_cast<size_t>(n * factors.channels + i)];
      rows[static_cast<size_t>((2 * n) * factors.channels + i)] = static_cast<float>(b.real());
      rows[static_cast<size_t>((2 * n + 1) * factors.channels + i)] = static_cast<float>(b.imag());
    }
  }
  return rows;
}

/// Complex (channels, modes) as real (channels, modes, re/-im), so that rows . (re, im) is Re(C h).
std::vector<float> readout_rows(const std::vector<std::complex<double>>& C) {
  std::vector<float> rows;
  rows.reserve(2 * C.size());
  for (const std::complex<double>& c : C) {
    rows.push_back(static_cast<float>(c.real()));
    rows.push_back(static_cast<float>(-c.imag()));
  }
  return rows;
}

/// One step of a batch, or all steps of a sequence, as the rows of a matrix.
template <typename T>
View<T, 2> rows_of(const View<T, 3>& view, int64_t b) {
  if (view.extent(1) == 1) {
    return {view.data(), {view.extent(0), view.extent(2)}, {view.stride(0), view.stride(2)}};
  }
  return view[b];
}

/// y[b, t] (+)= W x[b, t].
void product(View<const float, 3> x, View<const float, 2> W, View<float, 3> y,
             ops::Accumulate accumulate) {
  const int64_t pieces = x.extent(1) == 1 ? std::min<int64_t>(x.extent(0), 1) : x.extent(0);
  for (int64_t b = 0; b < pieces; ++b) {
    ops::matmul(
        {.x = rows_of(x, b), .W = W, .b = {}, .y = rows_of(y, b), .accumulate = accumulate});
  }
}

/// Complex (batch, time, modes), dense, as its real and imaginary parts (batch, time, 2 modes).
View<float, 3> parts(const View<std::complex<float>, 3>& view) {
  return {reinterpret_cast<float*>(view.data()),
          {view.extent(0), view.extent(1), 2 * view.extent(2)}};
}

template <typename T>
View<T, 3> reversed(const View<T, 3>& view) {
  if (view.size() == 0) return view;
  return {&view(0, view.extent(1) - 1, 0),
          view.extents(),
          {view.stride(0), -view.stride(1), view.stride(2)}};
}

}  // namespace

DiagonalMimo::DiagonalMimo(MimoFactors factors)
    : factors_(std::move(factors)),
      a_(factors_.a.begin(), factors_.a.end()),
      B_(input_rows(factors_)),
      C_(readout_rows(factors_.C)),
      C_back_(readout_rows(factors_.C_back)),
      D_(factors_.D.begin(), factors_.D.end()) {}

int64_t DiagonalMimo::block_steps(int64_t batch, int64_t time) {
  constexpr int64_t kRows = 1024, kLeast = 64;
  return std::min(time, std::max(kLeast, kRows / std::max<int64_t>(batch, 1)));
}

size_t DiagonalMimo::workspace_bytes(int64_t batch, int64_t time) const {
  const int64_t row = 2 * factors_.modes;
  return ComplexRows::workspace_bytes(batch, row) +
         Workspace::bytes_for<float>(batch * block_steps(batch, time) * row);
}

void DiagonalMimo::skip(View<const float, 3> u, View<float, 3> y) const {
  for (int64_t b = 0; b < u.extent(0); ++b) {
    for (int64_t t = 0; t < u.extent(1); ++t) {
      for (int64_t i = 0; i < u.extent(2); ++i) {
        y(b, t, i) = D_[static_cast<size_t>(i)] * u(b, t, i);
      }
    }
  }
}

void DiagonalMimo::states(const Block& block, Direction direction, View<Complex, 3> h) const {
  product(block.u, {B_.data(), {2 * factors_.modes, factors_.channels}}, parts(h),
          ops::Accumulate::kOverwrite);
  if (!block.scale.absent()) {
    for (int64_t b = 0; b < h.extent(0); ++b) {
      for (int64_t t = 0; t < h.extent(1); ++t) {
        for (int64_t n = 0; n < h.extent(2); ++n) h(b, t, n) *= block.scale(b, t, n);
      }
    }
  }
  const View<Complex, 3> run = direction == Direction::kForward ? h : reversed(h);
  ops::linear_scan<Complex>({.a = block.a, .b = run, .h0 = block.h, .h = run, .final = block.h});
}

void DiagonalMimo::run(const Block& block, Workspace& workspace) const {
  const Workspace::Scope scope(workspace);
  const int64_t batch = block.u.extent(0), time = block.u.extent(1);
  const View<Complex, 3> h(workspace.take<Complex>(batch * time * factors_.modes).data(),
                           {batch, time, factors_.modes});
  states(block, Direction::kForward, h);
  skip(block.u, block.y);
  product(parts(h), {C_.data(), {factors_.channels, 2 * factors_.modes}}, block.y,
          ops::Accumulate::kAdd);
}

void DiagonalMimo::prefill(const Prefill& args, Workspace& workspace) const {
  check(*this, args, "diagonal layer");
  const Workspace::Scope scope(workspace);
  if (!causal()) return bidirectional(args, workspace);
  const ComplexRows state(args.state, workspace);
  const int64_t time = args.u.extent(1), steps = block_steps(args.u.extent(0), time);
  for (int64_t begin = 0; begin < time; begin += steps) {
    const int64_t count = std::min(steps, time - begin);
    run({.u = args.u.slice(1, begin, count),
         .a = poles(),
         .scale = {},
         .h = state.view(),
         .y = args.y.slice(1, begin, count)},
        workspace);
  }
  state.store();
}

/// First the states that run from the end write y, then those from the start add to it.
void DiagonalMimo::bidirectional(const Prefill& args, Workspace& workspace) const {
  const int64_t batch = args.u.extent(0), time = args.u.extent(1);
  const int64_t steps = block_steps(batch, time);
  const auto state = workspace.take<Complex>(batch * factors_.modes);
  const auto scratch = workspace.take<Complex>(batch * steps * factors_.modes);
  const int64_t blocks = time == 0 ? 0 : (time + steps - 1) / steps;
  for (const Direction direction : {Direction::kBackward, Direction::kForward}) {
    const bool forward = direction == Direction::kForward;
    std::ranges::fill(state, 0.0f);
    for (int64_t i = 0; i < blocks; ++i) {
      const int64_t begin = (forward ? i : blocks - 1 - i) * steps;
      const int64_t count = std::min(steps, time - begin);
      const Block block = {.u = args.u.slice(1, begin, count),
                           .a = poles(),
                           .scale = {},
                           .h = {state.data(), {batch, factors_.modes}},
                           .y = args.y.slice(1, begin, count)};
      const View<Complex, 3> h(scratch.data(), {batch, count, factors_.modes});
      states(block, direction, h);
      if (!forward) skip(block.u, block.y);
      product(parts(h), {(forward ? C_ : C_back_).data(), {factors_.channels, 2 * factors_.modes}},
              block.y, ops::Accumulate::kAdd);
    }
  }
}

void DiagonalMimo::step(const Step& args, Workspace& workspace) const {
  check(*this, args, "diagonal layer");
  prefill(as_prefill(args), workspace);
}

theory::DiscreteSystem DiagonalMimo::system(int64_t index) const {
  if (index < 0 || index >= system_count()) return Mixer::system(index);
  using RowMajor =
      Eigen::Matrix<std::complex<double>, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const int64_t modes = factors_.modes, channels = factors_.channels;
  theory::DiscreteSystem system;
  system.A = Eigen::Map<const Eigen::VectorXcd>(factors_.a.data(), modes).asDiagonal();
  system.B = Eigen::Map<const RowMajor>(factors_.B.data(), modes, channels);
  system.C = Eigen::Map<const RowMajor>(factors_.C.data(), channels, modes);
  system.D = Eigen::Map<const Eigen::VectorXd>(factors_.D.data(), channels).asDiagonal();
  return system;
}

}  // namespace longwave::mixers
