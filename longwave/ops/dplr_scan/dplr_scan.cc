// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/dplr_scan/dplr_scan.h"

#include <array>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/base/parallel.h"

namespace longwave::ops {
namespace {

constexpr const char* kWhere = "dplr_scan";
constexpr int64_t kMaxRank = 2;

using Complex = std::complex<double>;

template <typename T>
void check(const DplrSystems<T>& systems) {
  const auto& extents = systems.Lambda.extents();
  require(systems.P.extent(0) == 1 || systems.P.extent(0) == kMaxRank, kWhere,
          "the rank of P must be 1 or 2");
  require(systems.P.extent(1) == extents[0] && systems.P.extent(2) == extents[1], kWhere,
          "P must have the shape of Lambda for each rank");
  require(systems.B.extents() == extents, kWhere, "B must have the shape of Lambda");
  require(systems.C.extents() == extents, kWhere, "C must have the shape of Lambda");
  require(systems.dt.extent(0) == extents[0], kWhere, "dt must have one number a channel");
  require(systems.d.absent() || systems.d.extent(0) == extents[0], kWhere,
          "d must have one number a channel");
}

template <typename T>
void check(const DplrScanArgs<T>& args, int64_t channels, int64_t modes) {
  require(args.u.extent(2) == channels, kWhere, "u must have the channels of the systems");
  require(args.y.extents() == args.u.extents(), kWhere, "y must have the shape of u");
  require(args.x.extents() == std::array<int64_t, 3>{args.u.extent(0), channels, modes}, kWhere,
          "x must have shape (batch, channels, modes)");
}

/// The factors of one mode, see DplrScanFactors.
struct Mode {
  Complex a, b, c;
  std::array<Complex, kMaxRank> e, g;

  /// Number `index` in the order that kernels read.
  double number(int64_t index) const {
    const std::array<Complex, 3> first = {a, b, c};
    const int64_t pair = index / 2;
    const Complex value = pair < 3        ? first[pair]
                          : pair % 2 == 1 ? e[(pair - 3) / 2]
                                          : g[(pair - 3) / 2];
    return index % 2 == 0 ? value.real() : value.imag();
  }
};

using Matrix = std::array<std::array<double, kMaxRank>, kMaxRank>;

Matrix inverse(const Matrix& M, int64_t rank) {
  if (rank == 1) return {{{1 / M[0][0], 0}, {0, 0}}};
  const double determinant = M[0][0] * M[1][1] - M[0][1] * M[1][0];
  return {{{M[1][1] / determinant, -M[0][1] / determinant},
           {-M[1][0] / determinant, M[0][0] / determinant}}};
}

/// The factors of all modes of a channel.
std::vector<Mode> modes_of(const DplrSystems<float>& systems, int64_t channel) {
  const int64_t rank = systems.P.extent(0), count = systems.Lambda.extent(1);
  const double h = static_cast<double>(systems.dt(channel)) / 2;
  const auto D = [&](int64_t n) { return 1.0 / (1.0 - h * Complex(systems.Lambda(channel, n))); };
  const auto P = [&](int64_t r, int64_t n) { return Complex(systems.P(r, channel, n)); };
  Matrix M{};
  for (int64_t r = 0; r < rank; ++r) {
    for (int64_t q = 0; q < rank; ++q) {
      M[r][q] = r == q ? 1 : 0;
      for (int64_t n = 0; n < count; ++n) {
        M[r][q] += 2 * h * (std::conj(P(r, n)) * D(n) * P(q, n)).real();
      }
    }
  }
  const Matrix solved = inverse(M, rank);
  std::vector<Mode> modes(count);
  std::array<double, kMaxRank> through{};
  for (int64_t n = 0; n < count; ++n) {
    Mode& mode = modes[n];
    const Complex B(systems.B(channel, n));
    mode.a = 2.0 * D(n) - 1.0;
    mode.b = 2 * h * D(n) * B;
    mode.c = 2.0 * Complex(systems.C(channel, n));
    for (int64_t r = 0; r < rank; ++r) {
      mode.e[r] = -2.0 * D(n) * P(r, n);
      for (int64_t q = 0; q < rank; ++q) {
        mode.g[r] += 2 * h * D(n) * solved[r][q] * std::conj(P(q, n));
      }
      through[r] += (mode.g[r] * h * B).real();
    }
  }
  for (Mode& mode : modes) {
    for (int64_t r = 0; r < rank; ++r) mode.b += mode.e[r] * through[r];
  }
  return modes;
}

/// Shorter calls, and those with fewer channels, do not pay for bringing the state into lanes.
constexpr int64_t kLongTime = 16;
constexpr int64_t kManyChannels = 4;

/// Which kernel serves which type on the CPU.
template <typename T>
struct Kernels;
template <>
struct Kernels<float> {
  static void run(const DplrScanArgs<float>& args, Workspace& workspace) {
    require(args.factors != nullptr, kWhere, "float32 needs factors");
    check(args, args.factors->channels(), args.factors->modes());
    if (args.u.extent(1) >= kLongTime && args.u.extent(2) >= kManyChannels) {
      dplr_scan_cpu(args, workspace);
    } else {
      dplr_step_cpu(args);
    }
  }
};
template <>
struct Kernels<double> {
  static void run(const DplrScanArgs<double>& args, Workspace&) {
    check(args.systems);
    check(args, args.systems.Lambda.extent(0), args.systems.Lambda.extent(1));
    dplr_scan_ref(args);
  }
};

}  // namespace

DplrScanFactors::DplrScanFactors(const DplrSystems<float>& systems)
    : channels_(systems.Lambda.extent(0)),
      modes_(systems.Lambda.extent(1)),
      rank_(systems.P.extent(0)) {
  check(systems);
  const int64_t blocks = (channels_ + kBlock - 1) / kBlock;
  const int64_t count = numbers(rank_);
  by_channel_ = Tensor(DType::kFloat32, {blocks, modes_, count, kBlock});
  by_mode_ = Tensor(DType::kFloat32, {channels_, mode_blocks(), count, kBlock});
  d_ = Tensor(DType::kFloat32, {channels_});
  const View<float, 4> by_channel = by_channel_.view<float, 4>(),
                       by_mode = by_mode_.view<float, 4>();
  for (int64_t c = 0; c < channels_; ++c) {
    if (!systems.d.absent()) d_.elements<float>()[c] = systems.d(c);
    const std::vector<Mode> modes = modes_of(systems, c);
    for (int64_t n = 0; n < modes_; ++n) {
      for (int64_t i = 0; i < count; ++i) {
        const float number = static_cast<float>(modes[n].number(i));
        by_channel(c / kBlock, n, i, c % kBlock) = number;
        by_mode(c, n / kBlock, i, n % kBlock) = number;
      }
    }
  }
}

size_t dplr_scan_workspace_bytes(int64_t modes) {
  // The states of two sequences in the lanes of one block of channels.
  return static_cast<size_t>(thread_count()) *
         Workspace::bytes_for<float>(2 * modes * 2 * DplrScanFactors::kBlock);
}

void dplr_scan(const DplrScanArgs<float>& args, Workspace& workspace) {
  Kernels<float>::run(args, workspace);
}
void dplr_scan(const DplrScanArgs<double>& args, Workspace& workspace) {
  Kernels<double>::run(args, workspace);
}

}  // namespace longwave::ops
