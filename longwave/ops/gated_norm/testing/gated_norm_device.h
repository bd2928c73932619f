// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "longwave/ops/gated_norm/gated_norm_cuda.h"
#include "longwave/ops/gated_norm/gated_norm_ref.h"
#include "longwave/ops/testing/device_agree.h"
#include "longwave/ops/testing/device_buffer.h"

namespace longwave::ops::testing {

struct GatedNormCase {
  GateOrder order;
  bool gated;
  int64_t rows, channels, groups;
};

inline std::string name(const GatedNormCase& c) {
  return "rows " + std::to_string(c.rows) + " channels " + std::to_string(c.channels) + " groups " +
         std::to_string(c.groups);
}

/// A gated normalisation and its gradient: operands and results on the host in double, and on a GPU
/// as T, where outputs start as NaN.
template <typename T>
struct GatedNormDevice {
  explicit GatedNormDevice(const GatedNormCase& of)
      : size(of),
        x(noise<T>(of.rows * of.channels, 1)),
        z(noise<T>(of.rows * of.channels, 2)),
        dy(noise<T>(of.rows * of.channels, 3)),
        w(noise<float>(of.channels, 4)),
        y(x.size()),
        inverse(of.rows * of.groups),
        dx(x.size()),
        dz(x.size()),
        dw(of.channels),
        x_on(x),
        z_on(z),
        dy_on(dy),
        y_on(x.size()),
        dx_on(x.size()),
        dz_on(x.size()),
        w_on(w),
        inverse_on(of.rows * of.groups),
        dw_on(of.channels) {}

  void on_host() {
    gated_norm_ref<double>({.order = size.order,
                            .groups = size.groups,
                            .x = table(x.data()),
                            .z = gate(z.data()),
                            .w = {w.data(), {size.channels}},
                            .y = table(y.data()),
                            .inverse = {inverse.data(), {size.rows, size.groups}}});
    gated_norm_backward_ref<double>({.order = size.order,
                                     .x = table(x.data()),
                                     .z = gate(z.data()),
                                     .w = {w.data(), {size.channels}},
                                     .inverse = {inverse.data(), {size.rows, size.groups}},
                                     .dy = table(dy.data()),
                                     .dx = table(dx.data()),
                                     .dz = gate(dz.data()),
                                     .dw = {dw.data(), {size.channels}}});
  }

  GatedNormCudaArgs<T> args() {
    return {.order = size.order,
            .groups = size.groups,
            .x = table(x_on.data()),
            .z = gate(z_on.data()),
            .w = {w_on.data(), {size.channels}},
            .y = table(y_on.data()),
            .inverse = {inverse_on.data(), {size.rows, size.groups}}};
  }
  GatedNormCudaGradArgs<T> grad_args() {
    return {.order = size.order,
            .x = table(x_on.data()),
            .z = gate(z_on.data()),
            .w = {w_on.data(), {size.channels}},
            .inverse = {inverse_on.data(), {size.rows, size.groups}},
            .dy = table(dy_on.data()),
            .dx = table(dx_on.data()),
            .dz = gate(dz_on.data()),
            .dw = {dw_on.data(), {size.channels}}};
  }

  void on_device() {
    gated_norm_cuda(args(), nullptr);
    const size_t bytes = gated_norm_cuda_backward_workspace_bytes(size.rows, size.channels);
    DeviceBuffer<std::byte> workspace(static_cast<int64_t>(bytes));
    gated_norm_cuda_backward(grad_args(), {workspace.data(), bytes}, nullptr);
    require_cuda(cudaDeviceSynchronize());
  }

  GatedNormCase size;
  std::vector<double> x, z, dy, w, y, inverse, dx, dz, dw;
  DeviceBuffer<T> x_on, z_on, dy_on, y_on, dx_on, dz_on;
  DeviceBuffer<float> w_on, inverse_on, dw_on;

 private:
  template <typename Number>
  View<Number, 2> table(Number* data) const {
    return {data, {size.rows, size.channels}};
  }
  template <typename Number>
  View<Number, 2> gate(Number* data) const {
    return size.gated ? table(data) : View<Number, 2>();
  }
};

}  // namespace longwave::ops::testing
