// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/dense_scan/dense_scan_torch.h"

#include <algorithm>
#include <vector>

#include "longwave/ops/autocast_torch.h"

namespace longwave::ops {
namespace {

using torch::Tensor;
using torch::indexing::Slice;

/// Long enough that products of matrices dominate, short enough that T x T blocks stay small.
constexpr int64_t kChunk = 64;

/// The constant matrices of a chunk of T steps, for every channel.
struct Factors {
  Tensor toeplitz;  // (channels, T, T)
  Tensor G;         // (channels, T, n)
  Tensor V;         // (channels, n, T)
  Tensor power;     // (channels, n, n) A^T
};

/// A^count by binary powers.
Tensor power_of(const Tensor& A, int64_t count) {
  Tensor result = torch::eye(A.size(-1), A.options()).expand_as(A);
  Tensor square = A;
  for (; count > 0; count /= 2) {
    if (count % 2 == 1) result = torch::matmul(result, square);
    if (count > 1) square = torch::matmul(square, square);
  }
  return result;
}

/// (channels, count, n): rows r, r M, ..., r M^(count-1), by doubling.
Tensor krylov_rows(const Tensor& row, const Tensor& M, int64_t count) {
  Tensor rows = row.unsqueeze(1);
  Tensor power = M;
  while (rows.size(1) < count) {
    rows = torch::cat({rows, torch::matmul(rows, power)}, 1);
    power = torch::matmul(power, power);
  }
  return rows.index({Slice(), Slice(0, count)});
}

/// Lower triangular (channels, T, T) with K_(i-j) at (i, j).
///
/// A ring of 2 T numbers, read on and on in rows of 2 T - 1, moves by one from row to row; unlike
/// that of a selection, its gradient is a sum in a fixed order on a GPU, too.
Tensor toeplitz(const Tensor& K) {
  const int64_t channels = K.size(0), T = K.size(1);
  const Tensor none = torch::zeros({channels, T}, K.options().requires_grad(false));
  const Tensor ring = torch::cat({K.slice(1, 0, 1), none, K.slice(1, 1).flip(1)}, 1);
  return ring.repeat({1, T})
      .slice(1, 0, T * (2 * T - 1))
      .reshape({channels, T, 2 * T - 1})
      .slice(2, 0, T);
}

Factors make_factors(const Tensor& A, const Tensor& B, const Tensor& C, int64_t T) {
  const Tensor observed = krylov_rows(C, A, T);                 // C A^l
  const Tensor reached = krylov_rows(B, A.transpose(1, 2), T);  // (A^l B)^T
  const Tensor K = torch::matmul(observed, B.unsqueeze(2)).squeeze(2);
  return {toeplitz(K), torch::matmul(observed, A), reached.flip(1).transpose(1, 2), power_of(A, T)};
}

/// (channels, T, chunks * batch) of the steps [begin, begin + chunks T).
Tensor chunks_of(const Tensor& u, int64_t begin, int64_t chunks, int64_t T) {
  const int64_t batch = u.size(0), channels = u.size(2);
  return u.index({Slice(), Slice(begin, begin + chunks * T)})
      .reshape({batch, chunks, T, channels})
      .permute({3, 2, 1, 0})
      .reshape({channels, T, chunks * batch});
}

/// Runs `chunks` chunks from step `begin`; appends their outputs, (batch, chunks T, channels).
Tensor run_chunks(const Factors& factors, const Tensor& u, int64_t begin, int64_t chunks,
                  Tensor state, std::vector<Tensor>& outputs) {
  const int64_t batch = u.size(0), channels = u.size(2), T = factors.G.size(1);
  const int64_t n = factors.G.size(2);
  const Tensor columns = chunks_of(u, begin, chunks, T);
  const Tensor reached = torch::matmul(factors.V, columns).reshape({channels, n, chunks, batch});
  std::vector<Tensor> before;
  for (int64_t c = 0; c < chunks; ++c) {
    before.push_back(state);
    state = torch::matmul(factors.power, state) + reached.select(2, c);
  }
  const Tensor states = torch::stack(before, 2).reshape({channels, n, chunks * batch});
  const Tensor y = torch::matmul(factors.toeplitz, columns) + torch::matmul(factors.G, states);
  outputs.push_back(y.reshape({channels, T, chunks, batch})
                        .permute({3, 2, 1, 0})
                        .reshape({batch, chunks * T, channels}));
  return state;
}

}  // namespace

DenseScanOutput dense_scan(const Tensor& u, const Tensor& A, const Tensor& B, const Tensor& C,
                           const Tensor& d, const Tensor& state) {
  const WithoutAutocast as_given;
  const int64_t batch = u.size(0), time = u.size(1), channels = u.size(2), n = A.size(1);
  Tensor x = state.defined() ? state.permute({1, 2, 0})
                             : torch::zeros({channels, n, batch}, u.options().requires_grad(false));
  const int64_t T = std::clamp<int64_t>(time, 1, kChunk);
  const int64_t chunks = time / T, rest = time % T;
  std::vector<Tensor> outputs = {u.index({Slice(), Slice(0, 0)})};
  if (chunks > 0) x = run_chunks(make_factors(A, B, C, T), u, 0, chunks, x, outputs);
  if (rest > 0) x = run_chunks(make_factors(A, B, C, rest), u, chunks * T, 1, x, outputs);
  return {torch::cat(outputs, 1) + d * u, x.permute({2, 0, 1}).contiguous()};
}

Tensor solved(const Tensor& A, const Tensor& B) { return std::get<0>(at::linalg_solve_ex(A, B)); }

}  // namespace longwave::ops
