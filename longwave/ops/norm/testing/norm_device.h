// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "longwave/ops/norm/norm_cuda.h"
#include "longwave/ops/norm/norm_kernels.h"
#include "longwave/ops/testing/device_agree.h"
#include "longwave/ops/testing/device_buffer.h"

namespace longwave::ops::testing {

struct NormCase {
  RowNorm kind;
  int64_t rows, channels;
};

inline std::string name(const NormCase& c) {
  return "rows " + std::to_string(c.rows) + " channels " + std::to_string(c.channels);
}

/// A normalisation and its gradient: operands and results on the host in double, and on a GPU,
/// where outputs start as NaN.
template <typename T, typename Y = T>
struct NormDevice {
  explicit NormDevice(const NormCase& of)
      : size(of),
        x(noise<T>(of.rows * of.channels, 1)),
        dy(noise<Y>(of.rows * of.channels, 2)),
        w(noise<float>(of.channels, 3)),
        b(noise<float>(of.channels, 4)),
        y(x.size()),
        moments(2 * of.rows),
        dx(x.size()),
        dw(of.channels),
        db(of.channels),
        x_on(x),
        dx_on(x.size()),
        dy_on(dy),
        y_on(x.size()),
        w_on(w),
        b_on(b),
        moments_on(2 * of.rows),
        dw_on(of.channels),
        db_on(of.channels) {}

  void on_host() {
    row_norm_ref<double>({.kind = size.kind,
                          .epsilon = 1e-5,
                          .x = table(x.data()),
                          .w = row(w.data()),
                          .b = shift(b.data()),
                          .y = table(y.data()),
                          .moments = {moments.data(), {size.rows, 2}}});
    row_norm_grad_ref<double>({.kind = size.kind,
                               .x = table(x.data()),
                               .w = row(w.data()),
                               .moments = {moments.data(), {size.rows, 2}},
                               .dy = table(dy.data()),
                               .dx = table(dx.data()),
                               .dw = row(dw.data()),
                               .db = row(db.data())});
  }

  RowNormCudaArgs<T, Y> args() {
    return {.kind = size.kind,
            .x = table(x_on.data()),
            .w = row(w_on.data()),
            .b = shift(b_on.data()),
            .y = table(y_on.data()),
            .moments = {moments_on.data(), {size.rows, 2}}};
  }
  RowNormCudaGradArgs<T, Y> grad_args() {
    return {.kind = size.kind,
            .x = table(x_on.data()),
            .w = row(w_on.data()),
            .moments = {moments_on.data(), {size.rows, 2}},
            .dy = table(dy_on.data()),
            .dx = table(dx_on.data()),
            .dw = row(dw_on.data()),
            .db = row(db_on.data())};
  }

  void on_device() {
    row_norm_cuda(args(), nullptr);
    const size_t bytes = row_norm_cuda_backward_workspace_bytes(size.rows, size.channels);
    DeviceBuffer<std::byte> workspace(static_cast<int64_t>(bytes));
    row_norm_cuda_backward(grad_args(), {workspace.data(), bytes}, nullptr);
    require_cuda(cudaDeviceSynchronize());
  }

  NormCase size;
  std::vector<double> x, dy, w, b, y, moments, dx, dw, db;
  DeviceBuffer<T> x_on, dx_on;
  DeviceBuffer<Y> dy_on, y_on;
  DeviceBuffer<float> w_on, b_on, moments_on, dw_on, db_on;

 private:
  template <typename Number>
  View<Number, 2> table(Number* data) const {
    return {data, {size.rows, size.channels}};
  }
  template <typename Number>
  View<Number, 1> row(Number* data) const {
    return {data, {size.channels}};
  }
  template <typename Number>
  View<Number, 1> shift(Number* data) const {
    return size.kind == RowNorm::kLayer ? row(data) : View<Number, 1>();
  }
};

}  // namespace longwave::ops::testing
