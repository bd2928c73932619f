// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/base/philox.h"
#include "longwave/base/testing/tolerance.h"
#include "longwave/ops/causal_conv1d/causal_conv1d_cuda.h"
#include "longwave/ops/causal_conv1d/causal_conv1d_ref.h"
#include "longwave/ops/testing/device_agree.h"
#include "longwave/ops/testing/device_buffer.h"

namespace longwave::ops {
namespace {

using longwave::testing::Tolerance;
using longwave::testing::Worst;
using testing::DeviceBuffer;
using testing::noise;

struct Case {
  int64_t batch, time, channels, width;
  ConvActivation activation = ConvActivation::kSilu;
  bool optional = true;  // bias, history, starts and the final gradient are there
};

constexpr ConvActivation kNone = ConvActivation::kNone;
constexpr Case kCases[] = {
    {2, 11, 33, 4},         {2, 11, 33, 4, kNone}, {1, 1, 1, 1},
    {3, 0, 5, 4},           {2, 1, 17, 4},         {1, 2, 16, 4, kNone, false},
    {2, 300, 20, 4},        {1, 600, 7, 3},        {1, 530, 40, 4, kNone, false},
    {2, 40, 19, 2},         {1, 50, 31, 1},        {1, 65, 200, 4},
    {2, 64, 300, 8},        {1, 67, 5, 5},         {1, 3, 5, 8},
    {1, 128, 129, 4, kNone}};

std::string name(const Case& c) {
  return "batch " + std::to_string(c.batch) + " time " + std::to_string(c.time) + " channels " +
         std::to_string(c.channels) + " width " + std::to_string(c.width);
}

/// Operands and results on the host in double, and on the device as T.
template <typename T>
struct ConvRun {
  explicit ConvRun(const Case& c)
      : size(c),
        pitch(c.channels % 4 == 0 ? c.channels + 4 : c.channels + 3),
        x(noise<T>(c.batch * c.time * pitch, 1)),
        w(noise<float>(c.channels * c.width, 2)),
        b(noise<float>(c.channels, 3)),
        history(noise<T>(c.batch * (c.width - 1) * c.channels, 4)),
        dy(noise<T>(x.size(), 5)),
        dfinal(noise<T>(history.size(), 6)),
        y(x.size(), std::numeric_limits<double>::quiet_NaN()),
        dx(y),
        final(history.size()),
        dhistory(history.size()),
        dw(w.size()),
        db(b.size()),
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
        db_on(b.size()) {
    Random random(2);
    for (int64_t i = 0; i < c.batch * c.time; ++i) starts.push_back(random.integer(6) == 0);
    starts_on = std::make_unique<DeviceBuffer<uint8_t>>(starts);
  }

  template <typename Number, typename Buffer>
  View<Number, 3> signal(Buffer& data) const {
    return {data.data(), {size.batch, size.time, size.channels}, {size.time * pitch, pitch, 1}};
  }
  template <typename Number, typename Buffer>
  View<Number, 3> rows(Buffer& data) const {
    return {data.data(), {size.batch, size.width - 1, size.channels}};
  }
  template <typename Number, typename Buffer>
  View<Number, 3> optional_rows(Buffer& data) const {
    return size.optional ? rows<Number>(data) : View<Number, 3>();
  }
  View<const uint8_t, 2> optional_starts(const uint8_t* data) const {
    if (!size.optional) return {};
    return {data, {size.batch, size.time}};
  }

  void on_host() {
    const View<const double, 1> bias =
        size.optional ? View<const double, 1>(b.data(), {size.channels}) : View<const double, 1>();
    const uint8_t* begins = starts.data();
    causal_conv1d_ref<double>({.activation = size.activation,
                               .x = signal<const double>(x),
                               .w = {w.data(), {size.channels, size.width}},
                               .b = bias,
                               .history = optional_rows<const double>(history),
                               .starts = optional_starts(begins),
                               .y = signal<double>(y),
                               .final_history = rows<double>(final)});
    causal_conv1d_backward_ref<double>({.activation = size.activation,
                                        .x = signal<const double>(x),
                                        .w = {w.data(), {size.channels, size.width}},
                                        .b = bias,
                                        .history = optional_rows<const double>(history),
                                        .starts = optional_starts(begins),
                                        .dy = signal<const double>(dy),
                                        .dfinal = optional_rows<const double>(dfinal),
                                        .dx = signal<double>(dx),
                                        .dw = {dw.data(), {size.channels, size.width}},
                                        .db = {db.data(), {size.channels}},
                                        .dhistory = rows<double>(dhistory)});
  }

  void on_device() {
    const View<const float, 1> bias =
        size.optional ? View<const float, 1>(b_on.data(), {size.channels}) : View<const float, 1>();
    const uint8_t* begins = starts_on->data();
    causal_conv1d_cuda<T>({.activation = size.activation,
                           .x = signal<const T>(x_on),
                           .w = {w_on.data(), {size.channels, size.width}},
                           .b = bias,
                           .history = optional_rows<const T>(history_on),
                           .starts = optional_starts(begins),
                           .y = signal<T>(y_on),
                           .final_history = rows<T>(final_on)},
                          nullptr);
    const size_t bytes = causal_conv1d_cuda_backward_workspace_bytes(
        {size.batch, size.time, size.channels, size.width});
    DeviceBuffer<std::byte> workspace(static_cast<int64_t>(bytes));
    causal_conv1d_cuda_backward<T>({.activation = size.activation,
                                    .x = signal<const T>(x_on),
                                    .w = {w_on.data(), {size.channels, size.width}},
                                    .b = bias,
                                    .history = optional_rows<const T>(history_on),
                                    .starts = optional_starts(begins),
                                    .dy = signal<const T>(dy_on),
                                    .dfinal = optional_rows<const T>(dfinal_on),
                                    .dx = signal<T>(dx_on),
                                    .dw = {dw_on.data(), {size.channels, size.width}},
                                    .db = {db_on.data(), {size.channels}},
                                    .dhistory = rows<T>(dhistory_on)},
                                   {workspace.data(), bytes}, nullptr);
    testing::require_cuda(cudaDeviceSynchronize());
  }

  Case size;
  int64_t pitch;
  std::vector<double> x, w, b, history, dy, dfinal;
  std::vector<double> y, dx, final, dhistory, dw, db;
  std::vector<uint8_t> starts;
  DeviceBuffer<T> x_on, history_on, dy_on, dfinal_on, y_on, dx_on, final_on, dhistory_on;
  DeviceBuffer<float> w_on, b_on, dw_on, db_on;
  std::unique_ptr<DeviceBuffer<uint8_t>> starts_on;
};

// NaN of the padding between rows is where it was.
template <typename T>
void expect_close(const std::string& what, const std::vector<double>& expected,
                  const std::vector<double>& got, int64_t terms) {
  ASSERT_EQ(expected.size(), got.size()) << what;
  double largest = 1;
  for (const double x : expected) largest = std::max(largest, std::isnan(x) ? 0 : std::abs(x));
  Worst worst(what);
  bool any = false;
  for (size_t i = 0; i < got.size(); ++i) {
    if (std::isnan(expected[i])) continue;
    Tolerance bound = Tolerance::sum<float>(terms, largest);
    bound.bound += testing::rounding<T>(expected[i]);
    worst.compare(static_cast<int64_t>(i), expected[i], got[i], bound);
    any = true;
  }
  if (any) EXPECT_TRUE(worst.ok());
}

template <typename T>
class CausalConv1dCuda : public ::testing::Test {};
using Types = ::testing::Types<float, __half, __nv_bfloat16>;
TYPED_TEST_SUITE(CausalConv1dCuda, Types);

TYPED_TEST(CausalConv1dCuda, AgreesWithTheOracle) {
  for (const Case& size : kCases) {
    ConvRun<TypeParam> run(size);
    run.on_host();
    run.on_device();
    const int64_t terms = 8 * (size.width + 4), sums = terms + size.batch * size.time;
    expect_close<TypeParam>(name(size) + " y", run.y, run.y_on.wide(), terms);
    expect_close<TypeParam>(name(size) + " final", run.final, run.final_on.wide(), terms);
    expect_close<TypeParam>(name(size) + " dx", run.dx, run.dx_on.wide(), terms);
    expect_close<TypeParam>(name(size) + " dhistory", run.dhistory, run.dhistory_on.wide(), terms);
    expect_close<float>(name(size) + " dw", run.dw, run.dw_on.wide(), sums);
    expect_close<float>(name(size) + " db", run.db, run.db_on.wide(), sums);
  }
}

TYPED_TEST(CausalConv1dCuda, LongFiltersAreRefused) {
  ConvRun<TypeParam> run(Case{1, 5, 3, 9});
  EXPECT_THROW(run.on_device(), InvalidArgument);
}

}  // namespace
}  // namespace longwave::ops
