// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "longwave/ops/gated_norm/gated_norm_cuda.h"
#include "longwave/ops/gated_norm/gated_norm_ref.h"
#include "longwave/ops/testing/device_agree.h"
#include "longwave/ops/testing/device_buffer.h"

namespace longwave::ops {
namespace {

using testing::DeviceBuffer;
using testing::expect_close;
using testing::noise;

struct Case {
  GateOrder order;
  bool gated;
  int64_t rows, channels, groups;
};

template <typename T>
void agree(const Case& of) {
  const auto [order, gated, rows, channels, groups] = of;
  const std::string what = "rows " + std::to_string(rows) + " channels " +
                           std::to_string(channels) + " groups " + std::to_string(groups);
  const std::vector<double> x = noise<T>(rows * channels, 1), z = noise<T>(rows * channels, 2);
  const std::vector<double> dy = noise<T>(rows * channels, 3), w = noise<float>(channels, 4);
  std::vector<double> y(x.size()), inverse(rows * groups), dx(x.size()), dz(x.size());
  std::vector<double> dw(channels);
  const View<const double, 2> gate(gated ? z.data() : nullptr, {rows, channels});
  gated_norm_ref<double>({.order = order,
                          .groups = groups,
                          .x = {x.data(), {rows, channels}},
                          .z = gate,
                          .w = {w.data(), {channels}},
                          .y = {y.data(), {rows, channels}},
                          .inverse = {inverse.data(), {rows, groups}}});
  gated_norm_backward_ref<double>({.order = order,
                                   .x = {x.data(), {rows, channels}},
                                   .z = gate,
                                   .w = {w.data(), {channels}},
                                   .inverse = {inverse.data(), {rows, groups}},
                                   .dy = {dy.data(), {rows, channels}},
                                   .dx = {dx.data(), {rows, channels}},
                                   .dz = {gated ? dz.data() : nullptr, {rows, channels}},
                                   .dw = {dw.data(), {channels}}});
  DeviceBuffer<T> x_on(x), z_on(z), dy_on(dy), y_on(x.size()), dx_on(x.size()), dz_on(x.size());
  DeviceBuffer<float> w_on(w), inverse_on(rows * groups), dw_on(channels);
  const View<const T, 2> gate_on(gated ? z_on.data() : nullptr, {rows, channels});
  gated_norm_cuda<T>({.order = order,
                      .groups = groups,
                      .x = {x_on.data(), {rows, channels}},
                      .z = gate_on,
                      .w = {w_on.data(), {channels}},
                      .y = {y_on.data(), {rows, channels}},
                      .inverse = {inverse_on.data(), {rows, groups}}},
                     nullptr);
  const size_t bytes = gated_norm_cuda_backward_workspace_bytes(rows, channels);
  DeviceBuffer<std::byte> workspace(static_cast<int64_t>(bytes));
  gated_norm_cuda_backward<T>({.order = order,
                               .x = {x_on.data(), {rows, channels}},
                               .z = gate_on,
                               .w = {w_on.data(), {channels}},
                               .inverse = {inverse_on.data(), {rows, groups}},
                               .dy = {dy_on.data(), {rows, channels}},
                               .dx = {dx_on.data(), {rows, channels}},
                               .dz = {gated ? dz_on.data() : nullptr, {rows, channels}},
                               .dw = {dw_on.data(), {channels}}},
                              {workspace.data(), bytes}, nullptr);
  // Gradients are differences of numbers as large as the inverse deviation makes them, and so are
  // the factors of dw.
  double steepest = 1;
  for (const double each : inverse) steepest = std::max(steepest, 10 * each);
  expect_close<T>(what + " y", y, y_on.wide(), 16 + channels);
  expect_close<float>(what + " inverse", inverse, inverse_on.wide(), 16 + channels);
  expect_close<T>(what + " dx", dx, dx_on.wide(), 32 + channels, steepest);
  if (gated) expect_close<T>(what + " dz", dz, dz_on.wide(), 32 + channels, steepest);
  expect_close<float>(what + " dw", dw, dw_on.wide(), 32 + rows + channels, steepest);
}

template <typename T>
class GatedNormCuda : public ::testing::Test {};
using Types = ::testing::Types<float, __half, __nv_bfloat16>;
TYPED_TEST_SUITE(GatedNormCuda, Types);

TYPED_TEST(GatedNormCuda, AgreesWithTheOracle) {
  for (const GateOrder order : {GateOrder::kBefore, GateOrder::kAfter}) {
    for (const bool gated : {true, false}) {
      for (const int64_t rows : {0, 1, 63, 64, 130}) {
        for (const auto& [channels, groups] : {std::pair<int64_t, int64_t>{1, 1},
                                               {7, 1},
                                               {64, 2},
                                               {129, 3},
                                               {1536, 1},
                                               {1000, 1},
                                               {2048, 1}}) {
          agree<TypeParam>({order, gated, rows, channels, groups});
        }
      }
    }
  }
}

}  // namespace
}  // namespace longwave::ops
