// SPDX-License-Identifier: Apache-2.0
#include <array>

#include "longwave/ops/dplr_scan/dplr_scan.h"

namespace longwave::ops {
namespace {

/// The bilinear step of one channel by Woodbury's identity.
template <typename T>
class Channel {
 public:
  using Complex = std::complex<T>;

  Channel(const DplrSystems<T>& systems, int64_t channel)
      : systems_(systems), channel_(channel), half_dt_(systems.dt(channel) / T(2)) {
    for (int64_t r = 0; r < rank(); ++r) {
      for (int64_t q = 0; q < rank(); ++q) {
        T sum = 0;
        for (int64_t n = 0; n < modes(); ++n) {
          sum += T(2) * std::real(std::conj(P(r, n)) * inverse(n) * P(q, n));
        }
        M_[r][q] = T(r == q ? 1 : 0) + half_dt_ * sum;
      }
    }
  }

  /// x <- Abar x + Bbar u; returns 2 Re(C x) + d u.
  T step(const View<Complex, 1>& x, T u) const {
    // Abar x + Bbar u = 2 (1 - h A)^-1 (x + h B u) - x
    std::array<T, 2> projection{};
    for (int64_t n = 0; n < modes(); ++n) {
      const Complex v = inverse(n) * (x(n) + half_dt_ * systems_.B(channel_, n) * u);
      for (int64_t r = 0; r < rank(); ++r) {
        projection[r] += T(2) * std::real(std::conj(P(r, n)) * v);
      }
    }
    const std::array<T, 2> s = solve(projection);
    T y = systems_.d.absent() ? T(0) : systems_.d(channel_) * u;
    for (int64_t n = 0; n < modes(); ++n) {
      Complex w = x(n) + half_dt_ * systems_.B(channel_, n) * u;
      for (int64_t r = 0; r < rank(); ++r) w -= half_dt_ * s[r] * P(r, n);
      x(n) = T(2) * inverse(n) * w - x(n);
      y += T(2) * std::real(systems_.C(channel_, n) * x(n));
    }
    return y;
  }

 private:
  int64_t rank() const { return systems_.P.extent(0); }
  int64_t modes() const { return systems_.Lambda.extent(1); }
  Complex P(int64_t r, int64_t n) const { return systems_.P(r, channel_, n); }
  Complex inverse(int64_t n) const {
    return T(1) / (T(1) - half_dt_ * systems_.Lambda(channel_, n));
  }

  /// M s = projection.
  std::array<T, 2> solve(const std::array<T, 2>& projection) const {
    if (rank() == 1) return {projection[0] / M_[0][0], T(0)};
    const T determinant = M_[0][0] * M_[1][1] - M_[0][1] * M_[1][0];
    return {(M_[1][1] * projection[0] - M_[0][1] * projection[1]) / determinant,
            (M_[0][0] * projection[1] - M_[1][0] * projection[0]) / determinant};
  }

  const DplrSystems<T>& systems_;
  int64_t channel_;
  T half_dt_;
  std::array<std::array<T, 2>, 2> M_{};
};

}  // namespace

template <typename T>
void dplr_scan_ref(const DplrScanArgs<T>& args) {
  for (int64_t c = 0; c < args.u.extent(2); ++c) {
    const Channel<T> channel(args.systems, c);
    for (int64_t b = 0; b < args.u.extent(0); ++b) {
      for (int64_t t = 0; t < args.u.extent(1); ++t) {
        args.y(b, t, c) = channel.step(args.x[b][c], args.u(b, t, c));
      }
    }
  }
}

template void dplr_scan_ref(const DplrScanArgs<float>&);
template void dplr_scan_ref(const DplrScanArgs<double>&);

}  // namespace longwave::ops
