// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include "longwave/ops/dplr_kernel/dplr_kernel.h"
#include "longwave/ops/dplr_kernel/dplr_mode.h"

namespace longwave::ops {
namespace {

template <typename T>
using Complex = std::complex<T>;

/// exp(-2 pi i k / length), rounded once.
template <typename T>
std::vector<Complex<T>> roots_of_unity(int64_t length) {
  std::vector<Complex<T>> roots;
  for (int64_t k = 0; k < length; ++k) {
    const double turn = static_cast<double>(k) / static_cast<double>(length);
    roots.push_back(Complex<T>(std::polar(1.0, -2 * std::numbers::pi * turn)));
  }
  return roots;
}

/// A small matrix with as many rows and columns as there are vectors b and c.
template <typename T>
using Pairs = std::vector<std::vector<Complex<T>>>;

template <typename T>
Pairs<T> square(int64_t size) {
  return Pairs<T>(size, std::vector<Complex<T>>(size));
}

/// Gaussian elimination with row exchanges.
template <typename T>
std::vector<Complex<T>> solve(Pairs<T> X, std::vector<Complex<T>> x) {
  const size_t n = x.size();
  for (size_t k = 0; k < n; ++k) {
    size_t pivot = k;
    for (size_t i = k + 1; i < n; ++i) {
      if (std::abs(X[i][k]) > std::abs(X[pivot][k])) pivot = i;
    }
    std::swap(X[k], X[pivot]);
    std::swap(x[k], x[pivot]);
    for (size_t i = k + 1; i < n; ++i) {
      const Complex<T> factor = X[i][k] / X[k][k];
      for (size_t j = k; j < n; ++j) X[i][j] -= factor * X[k][j];
      x[i] -= factor * x[k];
    }
  }
  for (size_t k = n; k-- > 0;) {
    for (size_t j = k + 1; j < n; ++j) x[k] -= X[k][j] * x[j];
    x[k] /= X[k][k];
  }
  return x;
}

/// The generating function at one node, with what its gradient needs.
template <typename T>
struct Node {
  Node(const std::vector<DplrMode<T>>& modes, int64_t rank, Complex<T> root)
      : w(root), r(square<T>(rank + 1)) {
    for (const DplrMode<T>& mode : modes) {
      for (int64_t i = 0; i <= rank; ++i) {
        for (int64_t j = 0; j <= rank; ++j) {
          r[i][j] += mode.v(i, j) / denominator(mode.lambda()) +
                     std::conj(mode.v(i, j)) / denominator(std::conj(mode.lambda()));
        }
      }
    }
    Pairs<T> X = square<T>(rank), transposed = X;
    std::vector<Complex<T>> r_P0, r_0P;
    for (int64_t i = 0; i < rank; ++i) {
      r_P0.push_back(r[i + 1][0]);
      r_0P.push_back(r[0][i + 1]);
      for (int64_t j = 0; j < rank; ++j) {
        X[i][j] = Complex<T>(i == j ? 1 : 0) + (T(1) + w) * r[i + 1][j + 1];
        transposed[j][i] = X[i][j];
      }
    }
    x = solve(X, r_P0);
    y = solve(transposed, r_0P);
    value = r[0][0];
    for (int64_t j = 0; j < rank; ++j) value -= (T(1) + w) * r_0P[j] * x[j];
    value *= T(2);
  }

  Complex<T> denominator(Complex<T> lambda) const {
    return T(2) * (T(1) - w) - lambda * (T(1) + w);
  }

  /// Gradients of the r_ij from that of the value.
  Pairs<T> grad(Complex<T> g) const {
    const size_t rank = x.size();
    Pairs<T> result = square<T>(static_cast<int64_t>(rank) + 1);
    g *= T(2);
    result[0][0] = g;
    for (size_t i = 0; i < rank; ++i) {
      result[0][i + 1] = -std::conj((T(1) + w) * x[i]) * g;
      result[i + 1][0] = -std::conj((T(1) + w) * y[i]) * g;
      for (size_t j = 0; j < rank; ++j) {
        result[i + 1][j + 1] = std::conj((T(1) + w) * (T(1) + w) * y[i] * x[j]) * g;
      }
    }
    return result;
  }

  Complex<T> w;
  Pairs<T> r;
  std::vector<Complex<T>> x;  // (1 + (1 + w) r_PP)^-1 r_P0
  std::vector<Complex<T>> y;  // r_0P (1 + (1 + w) r_PP)^-1
  Complex<T> value;
};

/// Adds to the gradients of a mode what comes through the r_ij of one node.
template <typename T>
void add_node(const Node<T>& node, const Pairs<T>& of_r, const DplrMode<T>& mode,
              DplrModeGrad<T>& grad) {
  const Complex<T> one_plus_w = T(1) + node.w;
  const Complex<T> inverse = T(1) / node.denominator(mode.lambda());
  const Complex<T> inverse_conj = T(1) / node.denominator(std::conj(mode.lambda()));
  for (size_t i = 0; i < of_r.size(); ++i) {
    for (size_t j = 0; j < of_r.size(); ++j) {
      const Complex<T> v = mode.v(static_cast<int64_t>(i), static_cast<int64_t>(j));
      const Complex<T> g = of_r[i][j];
      grad.v[i][j] += std::conj(inverse) * g + inverse_conj * std::conj(g);
      grad.lambda += std::conj(v * one_plus_w * inverse * inverse) * g +
                     std::conj(v) * one_plus_w * inverse_conj * inverse_conj * std::conj(g);
    }
  }
}

template <typename T, typename Args>
std::vector<DplrMode<T>> modes_of(const Args& args, int64_t channel) {
  std::vector<DplrMode<T>> modes;
  for (int64_t n = 0; n < args.Lambda.extent(1); ++n) modes.emplace_back(args, channel, n);
  return modes;
}

/// Times that a node counts in the inverse transform: with its conjugate, or alone if it is real.
template <typename T>
T weight_of(int64_t k, int64_t length) {
  return (k == 0 || 2 * k == length ? T(1) : T(2)) / static_cast<T>(length);
}

}  // namespace

template <typename T>
void dplr_kernel_ref(const DplrKernelArgs<T>& args) {
  const int64_t length = args.K.extent(1);
  const int64_t rank = args.P.absent() ? 0 : args.P.extent(0);
  const std::vector<Complex<T>> roots = roots_of_unity<T>(length);
  for (int64_t c = 0; c < args.K.extent(0); ++c) {
    const std::vector<DplrMode<T>> modes = modes_of<T>(args, c);
    for (int64_t l = 0; l < length; ++l) args.K(c, l) = 0;
    for (int64_t k = 0; 2 * k <= length && k < length; ++k) {
      const Node<T> node(modes, rank, roots[k]);
      for (int64_t l = 0; l < length; ++l) {
        args.K(c, l) +=
            weight_of<T>(k, length) * std::real(node.value * std::conj(roots[k * l % length]));
      }
    }
  }
}

template <typename T>
void dplr_kernel_grad_ref(const DplrKernelGradArgs<T>& args) {
  const int64_t length = args.dK.extent(1);
  const int64_t rank = args.P.absent() ? 0 : args.P.extent(0);
  const std::vector<Complex<T>> roots = roots_of_unity<T>(length);
  for (int64_t c = 0; c < args.dK.extent(0); ++c) {
    const std::vector<DplrMode<T>> modes = modes_of<T>(args, c);
    std::vector<DplrModeGrad<T>> grads(modes.size());
    for (int64_t k = 0; 2 * k <= length && k < length; ++k) {
      const Node<T> node(modes, rank, roots[k]);
      Complex<T> g = 0;
      for (int64_t l = 0; l < length; ++l) g += args.dK(c, l) * roots[k * l % length];
      const Pairs<T> of_r = node.grad(weight_of<T>(k, length) * g);
      for (size_t n = 0; n < modes.size(); ++n) add_node(node, of_r, modes[n], grads[n]);
    }
    args.ddt(c) = 0;
    for (size_t n = 0; n < modes.size(); ++n) {
      args.ddt(c) += store_mode_grad(modes[n], grads[n], args, c, static_cast<int64_t>(n));
    }
  }
}

template void dplr_kernel_ref(const DplrKernelArgs<float>&);
template void dplr_kernel_ref(const DplrKernelArgs<double>&);
template void dplr_kernel_grad_ref(const DplrKernelGradArgs<float>&);
template void dplr_kernel_grad_ref(const DplrKernelGradArgs<double>&);

}  // namespace longwave::ops
