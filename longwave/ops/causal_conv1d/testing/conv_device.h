// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "longwave/base/philox.h"
#include "longwave/ops/causal_conv1d/causal_conv1d_cuda.h"
#include "longwave/ops/causal_conv1d/causal_conv1d_ref.h"
#include "longwave/ops/testing/device_agree.h"
#include "longwave/ops/testing/device_buffer.h"

namespace longwave::ops::testing {

struct ConvCase {
  int64_t batch, time, channels, width;
  ConvActivation activation = ConvActivation::kSilu;
  bool optional = true;  // bias, history, starts and the final gradient are there
};

inline std::string name(const ConvCase& c) {
  return "batch " + std::to_string(c.batch) + " time " + std::to_string(c.time) + " channels " +
         std::to_string(c.channels) + " width " + std::to_string(c.width);
}

/// A convolution and its gradient: operands and results on the host in double, and on a GPU as T.
/// Outputs start as NaN; a few numbers lie between rows of channels.
template <typename T>
struct ConvDevice {
  explicit ConvDevice(const ConvCase& c)
      : size(c),
        pitch(c.channels % 4 == 0 ? c.channels + 4 : c.channels + 3),
        x(noise<T>(c.batch * c.time * pitch, 1)),
        w(noise<float>(c.channels * c.width, 2)),
        b(noise<float>(c.channels, 3)),
        history(noise<T>(c.batch * (c.width - 1) * c.channels, 4)),
        dy(noise<T>(static_cast<int64_t>(x.size()), 5)),
        dfinal(noise<T>(static_cast<int64_t>(history.size()), 6)),
        y(x.size(), std::numeric_limits<double>::quiet_NaN()),
        dx(y),
        final(history.size()),
        dhistory(history.size()),
        dw(w.size()),
        db(b.size()),
        starts(some_starts(c.batch * c.time)),
        x_on(x),
        history_on(history),
        dy_on(dy),
        dfinal_on(dfinal),
        y_on(x.size()),
        dx_on(x.size()),
        final_on(history.size()),
        dhistory_on(history.size()),
        w_on(w),
        b_on(b),
        dw_on(w.size()),
        db_on(b.size()),
        starts_on(starts) {}

  void on_host() {
    causal_conv1d_ref<double>({.activation = size.activation,
                               .x = signal(x.data()),
                               .w = {w.data(), {size.channels, size.width}},
                               .b = optional(bias(b.data())),
                               .history = optional(rows(history.data())),
                               .starts = optional(marks(starts.data())),
                               .y = signal(y.data()),
                               .final_history = rows(final.data())});
    causal_conv1d_backward_ref<double>({.activation = size.activation,
                                        .x = signal(x.data()),
                                        .w = {w.data(), {size.channels, size.width}},
                                        .b = optional(bias(b.data())),
                                        .history = optional(rows(history.data())),
                                        .starts = optional(marks(starts.data())),
                                        .dy = signal(dy.data()),
                                        .dfinal = optional(rows(dfinal.data())),
                                        .dx = signal(dx.data()),
                                        .dw = {dw.data(), {size.channels, size.width}},
                                        .db = bias(db.data()),
                                        .dhistory = rows(dhistory.data())});
  }

  CausalConv1dCudaArgs<T> args() {
    return {.activation = size.activation,
            .x = signal(x_on.data()),
            .w = {w_on.data(), {size.channels, size.width}},
            .b = optional(bias(b_on.data())),
            .history = optional(rows(history_on.data())),
            .starts = optional(marks(starts_on.data())),
            .y = signal(y_on.data()),
            .final_history = rows(final_on.data())};
  }

  CausalConv1dCudaGradArgs<T> grad_args() {
    return {.activation = size.activation,
            .x = signal(x_on.data()),
            .w = {w_on.data(), {size.channels, size.width}},
            .b = optional(bias(b_on.data())),
            .history = optional(rows(history_on.data())),
            .starts = optional(marks(starts_on.data())),
            .dy = signal(dy_on.data()),
            .dfinal = optional(rows(dfinal_on.data())),
            .dx = signal(dx_on.data()),
            .dw = {dw_on.data(), {size.channels, size.width}},
            .db = bias(db_on.data()),
            .dhistory = rows(dhistory_on.data())};
  }

  void on_device() {
    causal_conv1d_cuda<T>(args(), nullptr);
    const size_t bytes = causal_conv1d_cuda_backward_workspace_bytes(
        {size.batch, size.time, size.channels, size.width});
    DeviceBuffer<std::byte> workspace(static_cast<int64_t>(bytes));
    causal_conv1d_cuda_backward<T>(grad_args(), {workspace.data(), bytes}, nullptr);
    require_cuda(cudaDeviceSynchronize());
  }

  /// Rows of channels, those in memory or any others so far apart.
  template <typename Number>
  View<Number, 3> signal(Number* data) const {
    return {data, {size.batch, size.time, size.channels}, {size.time * pitch, pitch, 1}};
  }
  /// A history.
  template <typename Number>
  View<Number, 3> rows(Number* data) const {
    return {data, {size.batch, size.width - 1, size.channels}};
  }

  /// Signals (batch, time, channels) without what lies between rows.
  std::vector<double> dense(const std::vector<double>& padded) const {
    std::vector<double> numbers;
    for (int64_t i = 0; i < size.batch * size.time; ++i) {
      const auto first = padded.begin() + i * pitch;
      numbers.insert(numbers.end(), first, first + size.channels);
    }
    return numbers;
  }

  ConvCase size;
  int64_t pitch;
  std::vector<double> x, w, b, history, dy, dfinal;
  std::vector<double> y, dx, final, dhistory, dw, db;
  std::vector<uint8_t> starts;
  DeviceBuffer<T> x_on, history_on, dy_on, dfinal_on, y_on, dx_on, final_on, dhistory_on;
  DeviceBuffer<float> w_on, b_on, dw_on, db_on;
  DeviceBuffer<uint8_t> starts_on;

 private:
  static std::vector<uint8_t> some_starts(int64_t count) {
    Random random(2);
    std::vector<uint8_t> marks;
    for (int64_t i = 0; i < count; ++i) marks.push_back(random.integer(6) == 0 ? 1 : 0);
    return marks;
  }

  template <typename Number>
  View<Number, 1> bias(Number* data) const {
    return {data, {size.channels}};
  }
  View<const uint8_t, 2> marks(const uint8_t* data) const {
    return {data, {size.batch, size.time}};
  }
  template <typename Operand>
  Operand optional(const Operand& operand) const {
    return size.optional ? operand : Operand();
  }
};

}  // namespace longwave::ops::testing
