// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "longwave/base/parallel.h"
#include "longwave/ops/vandermonde/vandermonde.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "longwave/ops/vandermonde/vandermonde_cpu.cc"
#include <hwy/foreach_target.h>
// foreach_target.h first.
#include <hwy/highway.h>

#ifndef LONGWAVE_OPS_VANDERMONDE_WORKERS
#define LONGWAVE_OPS_VANDERMONDE_WORKERS
namespace longwave::ops {
namespace {

constexpr int64_t kMaxLanes = 16;
/// Taps of a block: four vectors.
constexpr int64_t kMaxBlock = 4 * kMaxLanes;

/// Floats of one worker: a row of taps, padded to blocks.
int64_t row_floats(int64_t length) { return (length + kMaxBlock - 1) / kMaxBlock * kMaxBlock; }

/// Runs `body(channel, row)` for all channels on as many threads as have memory.
template <typename Body>
void for_each_channel(int64_t channels, int64_t length, Workspace& workspace, const Body& body) {
  const Workspace::Scope scope(workspace);
  const size_t bytes = Workspace::bytes_for<float>(row_floats(length));
  const size_t room = workspace.capacity() - workspace.used();
  const int64_t most = bytes == 0 ? channels : static_cast<int64_t>(room / bytes);
  const int64_t workers = std::clamp<int64_t>(std::min(channels, most), 1, thread_count());
  float* rows = workspace.take<float>(workers * row_floats(length)).data();
  parallel_for(workers, 1, [&](int64_t begin, int64_t end) {
    for (int64_t w = begin; w < end; ++w) {
      for (int64_t i = channels * w / workers; i < channels * (w + 1) / workers; ++i) {
        body(i, rows + w * row_floats(length));
      }
    }
  });
}

}  // namespace
}  // namespace longwave::ops
#endif  // LONGWAVE_OPS_VANDERMONDE_WORKERS

HWY_BEFORE_NAMESPACE();
namespace longwave::ops::HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

using Tag = hn::CappedTag<float, kMaxLanes>;
using Vec = hn::Vec<Tag>;

int64_t lanes() { return static_cast<int64_t>(hn::Lanes(Tag())); }

/// A complex number without the checks for infinities that std::complex products make.
struct Double {
  double re, im;
  friend Double operator*(Double a, Double b) {
    return {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
  }
  friend Double operator*(double a, Double b) { return {a * b.re, a * b.im}; }
  friend Double operator+(Double a, Double b) { return {a.re + b.re, a.im + b.im}; }
};

Double widened(std::complex<float> x) {
  return {static_cast<double>(x.real()), static_cast<double>(x.imag())};
}

/// Four vectors of complex numbers, one for each tap of a block.
struct Block {
  template <typename Number>
  explicit Block(const Number& number) {
    for (int64_t j = 0; j < 4 * lanes(); ++j) {
      const Double x = number(j);
      re[j] = static_cast<float>(x.re);
      im[j] = static_cast<float>(x.im);
    }
  }
  HWY_INLINE Vec real(int64_t v) const { return hn::Load(Tag(), re + v * lanes()); }
  HWY_INLINE Vec imag(int64_t v) const { return hn::Load(Tag(), im + v * lanes()); }

  alignas(64) float re[kMaxBlock];
  alignas(64) float im[kMaxBlock];
};

/// a^j and j a^(j-1) for the taps of a block and for its length, in double.
struct Powers {
  explicit Powers(Double a) {
    value[0] = {1, 0};
    derivative[0] = {0, 0};
    for (int64_t j = 1; j <= 4 * lanes(); ++j) {
      value[j] = value[j - 1] * a;
      derivative[j] = static_cast<double>(j) * value[j - 1];
    }
  }
  Block values() const {
    return Block([&](int64_t j) { return value[j]; });
  }
  Block derivatives() const {
    return Block([&](int64_t j) { return derivative[j]; });
  }
  Double step() const { return value[4 * lanes()]; }
  Double step_derivative() const { return derivative[4 * lanes()]; }

  Double value[kMaxBlock + 1];
  Double derivative[kMaxBlock + 1];
};

/// row += Re(c a^l) of two modes.
void add_modes(const std::complex<float>* a, const std::complex<float>* c, float* row,
               int64_t length) {
  const Tag d;
  const Powers of_first(widened(a[0])), of_second(widened(a[1]));
  const Block p = of_first.values(), q = of_second.values();
  const Double p_step = of_first.step(), q_step = of_second.step();
  Double v = widened(c[0]), w = widened(c[1]);
  for (int64_t l = 0; l < length; l += 4 * lanes()) {
    const Vec v_re = hn::Set(d, static_cast<float>(v.re));
    const Vec v_im = hn::Set(d, static_cast<float>(v.im));
    const Vec w_re = hn::Set(d, static_cast<float>(w.re));
    const Vec w_im = hn::Set(d, static_cast<float>(w.im));
    for (int64_t i = 0; i < 4; ++i) {
      Vec sum = hn::Load(d, row + l + i * lanes());
      sum = hn::NegMulAdd(v_im, p.imag(i), hn::MulAdd(v_re, p.real(i), sum));
      sum = hn::NegMulAdd(w_im, q.imag(i), hn::MulAdd(w_re, q.real(i), sum));
      hn::Store(sum, d, row + l + i * lanes());
    }
    v = v * p_step;
    w = w * q_step;
  }
}

void fill_kernel(const VandermondeArgs<float>& args, int64_t channel, float* row) {
  const int64_t length = args.K.extent(1), modes = args.a.extent(1);
  std::fill_n(row, row_floats(length), 0.0f);
  for (int64_t n = 0; n < modes; n += 2) {
    // A last mode without a partner is joined by one that adds nothing.
    const bool is_pair = n + 1 < modes;
    const std::complex<float> a[2] = {args.a(channel, n), is_pair ? args.a(channel, n + 1) : 0};
    const std::complex<float> c[2] = {args.c(channel, n), is_pair ? args.c(channel, n + 1) : 0};
    add_modes(a, c, row, length);
  }
  for (int64_t l = 0; l < length; ++l) args.K(channel, l) = row[l];
}

/// A complex sum by lane.
struct Sum {
  HWY_INLINE Sum() : re(hn::Zero(Tag())), im(hn::Zero(Tag())) {}

  HWY_INLINE void add(Vec factor, Vec x_re, Vec x_im) {
    re = hn::MulAdd(factor, x_re, re);
    im = hn::MulAdd(factor, x_im, im);
  }
  /// this += z x
  HWY_INLINE void add(Double z, const Sum& x) {
    const Vec z_re = hn::Set(Tag(), static_cast<float>(z.re));
    const Vec z_im = hn::Set(Tag(), static_cast<float>(z.im));
    re = hn::NegMulAdd(z_im, x.im, hn::MulAdd(z_re, x.re, re));
    im = hn::MulAdd(z_im, x.re, hn::MulAdd(z_re, x.im, im));
  }
  Double total() const {
    return {static_cast<double>(hn::GetLane(hn::SumOfLanes(Tag(), re))),
            static_cast<double>(hn::GetLane(hn::SumOfLanes(Tag(), im)))};
  }

  Vec re, im;
};

/// Gradients of one mode: with l = first + j, a^l = a^first a^j and its derivative by parts.
void mode_grad(const VandermondeGradArgs<float>& args, int64_t channel, int64_t n,
               const float* row) {
  const Powers powers(widened(args.a(channel, n)));
  const Block values = powers.values(), derivatives = powers.derivatives();
  Double z = {1, 0}, dz = {0, 0};
  Sum of_power, of_derivative;
  for (int64_t l = 0; l < args.dK.extent(1); l += 4 * lanes()) {
    Sum value, derivative;
    for (int64_t i = 0; i < 4; ++i) {
      const Vec dK = hn::Load(Tag(), row + l + i * lanes());
      value.add(dK, values.real(i), values.imag(i));
      derivative.add(dK, derivatives.real(i), derivatives.imag(i));
    }
    of_power.add(z, value);
    of_derivative.add(z, derivative);
    of_derivative.add(dz, value);
    dz = dz * powers.step() + z * powers.step_derivative();
    z = z * powers.step();
  }
  const Double dc = of_power.total();
  const Double da = widened(args.c(channel, n)) * of_derivative.total();
  args.dc(channel, n) = {static_cast<float>(dc.re), static_cast<float>(-dc.im)};
  args.da(channel, n) = {static_cast<float>(da.re), static_cast<float>(-da.im)};
}

void kernels(const VandermondeArgs<float>& args, Workspace& workspace) {
  for_each_channel(args.K.extent(0), args.K.extent(1), workspace,
                   [&](int64_t channel, float* row) { fill_kernel(args, channel, row); });
}

void grads(const VandermondeGradArgs<float>& args, Workspace& workspace) {
  const int64_t length = args.dK.extent(1);
  for_each_channel(args.dK.extent(0), length, workspace, [&](int64_t channel, float* row) {
    std::fill_n(row, row_floats(length), 0.0f);
    for (int64_t l = 0; l < length; ++l) row[l] = args.dK(channel, l);
    for (int64_t n = 0; n < args.a.extent(1); ++n) mode_grad(args, channel, n, row);
  });
}

}  // namespace
}  // namespace longwave::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace longwave::ops {

HWY_EXPORT(kernels);
HWY_EXPORT(grads);

size_t vandermonde_workspace_bytes(int64_t length) {
  return static_cast<size_t>(thread_count()) * Workspace::bytes_for<float>(row_floats(length));
}

void vandermonde_cpu(const VandermondeArgs<float>& args, Workspace& workspace) {
  HWY_DYNAMIC_DISPATCH(kernels)(args, workspace);
}

void vandermonde_grad_cpu(const VandermondeGradArgs<float>& args, Workspace& workspace) {
  HWY_DYNAMIC_DISPATCH(grads)(args, workspace);
}

}  // namespace longwave::ops
#endif  // HWY_ONCE
