// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/gated_rnn/gated_rnn.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/base/parallel.h"
#include "longwave/base/philox.h"
#include "longwave/base/testing/tolerance.h"

namespace longwave::ops {
namespace {

using testing::Tolerance;
using testing::Worst;

template <typename T>
double sigmoid(T x) {
  return 1 / (1 + std::exp(-static_cast<double>(x)));
}

/// Operands of both scans, in type T; the same numbers for a seed.
template <typename T>
struct Problem {
  int64_t batch, time, hidden;
  std::vector<T> p, W, b, h, c, y, gates;

  Problem(int64_t batch_count, int64_t steps, int64_t channels)
      : batch(batch_count), time(steps), hidden(channels) {
    const auto fill = [](std::vector<T>& out, int64_t size, uint64_t seed) {
      Random random(seed, stream_id("gated_rnn"));
      out.resize(size);
      for (T& value : out) value = static_cast<T>(static_cast<float>(random.uniform(-1, 1)));
    };
    fill(p, batch * time * 4 * hidden, 1);
    fill(W, 4 * hidden * hidden, 2);
    fill(b, hidden, 3);
    fill(h, batch * hidden, 4);
    fill(c, batch * hidden, 5);
    y.assign(batch * time * hidden, std::nan(""));
    gates.assign(batch * time * 4 * hidden, std::nan(""));
  }

  LstmScanArgs<T> lstm() {
    return {.p = {p.data(), {batch, time, 4 * hidden}},
            .W = {W.data(), {4 * hidden, hidden}},
            .starts = {},
            .h = {h.data(), {batch, hidden}},
            .c = {c.data(), {batch, hidden}},
            .y = {y.data(), {batch, time, hidden}},
            .gates = {gates.data(), {batch, time, 4 * hidden}},
            .cells = {}};
  }
  GruScanArgs<T> gru() {
    return {.p = {p.data(), {batch, time, 3 * hidden}},
            .W = {W.data(), {3 * hidden, hidden}},
            .b = {b.data(), {hidden}},
            .starts = {},
            .h = {h.data(), {batch, hidden}},
            .y = {y.data(), {batch, time, hidden}},
            .gates = {gates.data(), {batch, time, 4 * hidden}}};
  }
};

template <typename T, typename Matrix>
double product(const Matrix& W, int64_t row, const std::vector<T>& h, int64_t begin) {
  double sum = 0;
  for (int64_t i = 0; i < W.extent(1); ++i) sum += static_cast<double>(W(row, i)) * h[begin + i];
  return sum;
}

TEST(GatedRnn, LstmIsItsFormula) {
  Problem<double> one(1, 1, 3);
  const std::vector<double> h = one.h, c = one.c;
  const LstmScanArgs<double> args = one.lstm();
  lstm_scan(args);
  for (int64_t k = 0; k < 3; ++k) {
    const auto gate = [&](int64_t g) {
      return one.p[g * 3 + k] + product(args.W, g * 3 + k, h, 0);
    };
    const double cell = sigmoid(gate(1)) * c[k] + sigmoid(gate(0)) * std::tanh(gate(2));
    EXPECT_NEAR(one.c[k], cell, 1e-14);
    EXPECT_NEAR(one.y[k], sigmoid(gate(3)) * std::tanh(cell), 1e-14);
    EXPECT_EQ(one.h[k], one.y[k]);
  }
}

TEST(GatedRnn, GruIsItsFormula) {
  Problem<double> one(1, 1, 3);
  const std::vector<double> h = one.h;
  const GruScanArgs<double> args = one.gru();
  gru_scan(args);
  for (int64_t k = 0; k < 3; ++k) {
    const auto of_h = [&](int64_t g) { return product(args.W, g * 3 + k, h, 0); };
    const double r = sigmoid(one.p[k] + of_h(0)), z = sigmoid(one.p[3 + k] + of_h(1));
    const double n = std::tanh(one.p[6 + k] + r * (of_h(2) + one.b[k]));
    EXPECT_NEAR(one.y[k], (1 - z) * n + z * h[k], 1e-14);
  }
}

TEST(GatedRnn, FloatFollowsDouble) {
  for (int64_t hidden : {1, 5, 17, 64}) {
    for (int64_t batch : {1, 3, 33}) {
      constexpr int64_t kTime = 11;
      Problem<float> single(batch, kTime, hidden);
      Problem<double> exact(batch, kTime, hidden);
      for (const bool lstm : {true, false}) {
        if (lstm) {
          lstm_scan(single.lstm());
          lstm_scan(exact.lstm());
        } else {
          gru_scan(single.gru());
          gru_scan(exact.gru());
        }
        Worst worst("y");
        const Tolerance tolerance = Tolerance::sum<float>(kTime * (hidden + 8), 4.0);
        for (size_t i = 0; i < exact.y.size(); ++i) {
          worst.compare(static_cast<int64_t>(i), exact.y[i], single.y[i], tolerance);
        }
        EXPECT_TRUE(worst.ok()) << "hidden " << hidden << ", batch " << batch;
      }
    }
  }
}

TEST(GatedRnn, SameBitsForAnyNumberOfThreads) {
  const int threads = thread_count();
  std::vector<float> results[2];
  for (const int count : {1, 2}) {
    Problem<float> problem(37, 9, 16);
    set_thread_count(count);
    lstm_scan(problem.lstm());
    results[count - 1] = problem.y;
    gru_scan(problem.gru());
    set_thread_count(threads);
    results[count - 1].insert(results[count - 1].end(), problem.y.begin(), problem.y.end());
  }
  EXPECT_EQ(results[0], results[1]);
}

TEST(GatedRnn, NoStepsAndNoSequencesAreFine) {
  Problem<float> empty(2, 0, 3), nobody(0, 4, 3);
  const std::vector<float> h = empty.h;
  lstm_scan(empty.lstm());
  gru_scan(empty.gru());
  EXPECT_EQ(empty.h, h);
  EXPECT_NO_THROW(lstm_scan(nobody.lstm()));
  EXPECT_NO_THROW(gru_scan(nobody.gru()));
}

TEST(GatedRnn, RejectsBadShapes) {
  Problem<float> problem(2, 3, 4);
  LstmScanArgs<float> lstm = problem.lstm();
  lstm.W = lstm.W.slice(0, 0, 15);
  EXPECT_THROW(lstm_scan(lstm), InvalidArgument);
  lstm = problem.lstm();
  lstm.y = lstm.y.slice(1, 0, 2);
  EXPECT_THROW(lstm_scan(lstm), InvalidArgument);
  GruScanArgs<float> gru = problem.gru();
  gru.b = gru.b.slice(0, 0, 3);
  EXPECT_THROW(gru_scan(gru), InvalidArgument);
  gru = problem.gru();
  gru.h = gru.h.slice(0, 0, 1);
  EXPECT_THROW(gru_scan(gru), InvalidArgument);
}

}  // namespace
}  // namespace longwave::ops
