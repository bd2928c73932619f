// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/norm/norm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/base/parallel.h"
#include "longwave/base/philox.h"
#include "longwave/base/testing/tolerance.h"
#include "longwave/ops/norm/norm_kernels.h"

namespace longwave::ops {
namespace {

using testing::Tolerance;
using testing::Worst;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

struct Extents {
  int64_t rows, channels;
};
constexpr Extents kExtents[] = {{1, 1}, {1, 7}, {3, 16}, {37, 33}, {100, 64}, {1027, 20}, {0, 5}};

template <typename T>
struct Matrix {
  std::vector<T> data;
  Extents extents;
  int64_t pitch;

  /// `gap` unused elements follow each row.
  Matrix(Extents e, int64_t gap, T fill) : data(e.rows * (e.channels + gap), fill), extents(e) {
    pitch = e.channels + gap;
  }
  View<T, 2> view() { return {data.data(), {extents.rows, extents.channels}, {pitch, 1}}; }
};

template <typename T>
Matrix<T> random_matrix(Extents extents, double mean, uint64_t seed) {
  Matrix<T> matrix(extents, 3, T(0));
  Random random(seed);
  for (T& x : matrix.data) x = static_cast<float>(mean + random.normal());
  return matrix;
}

template <typename From, typename To>
void compare(Worst& worst, View<From, 2> expected, View<To, 2> got, double magnitude) {
  const int64_t channels = expected.extent(1);
  for (int64_t r = 0; r < expected.extent(0); ++r) {
    for (int64_t c = 0; c < channels; ++c) {
      worst.compare(r * channels + c, expected(r, c), got(r, c),
                    Tolerance::sum<float>(channels + 8, magnitude));
    }
  }
}

std::vector<uint8_t> some_valid(int64_t rows, uint64_t seed) {
  std::vector<uint8_t> valid(rows);
  Random random(seed);
  for (uint8_t& v : valid) v = random.integer(4) != 0 ? 1 : 0;
  if (rows > 0) valid[0] = 1;
  return valid;
}

/// row_norm and its gradient in type T on the same random numbers whatever T.
template <typename T>
struct RowRun {
  Matrix<T> x, w, b, dy, y, moments, dx, dw, db;

  RowRun(Extents e, RowNorm kind)
      : x(random_matrix<T>(e, 3, 1)),
        w(random_matrix<T>({1, e.channels}, 1, 2)),
        b(random_matrix<T>({1, e.channels}, 0, 3)),
        dy(random_matrix<T>(e, 0, 4)),
        y(e, 1, T(kNan)),
        moments({e.rows, 2}, 0, T(kNan)),
        dx(e, 2, T(kNan)),
        dw({1, e.channels}, 0, T(kNan)),
        db({1, e.channels}, 0, T(kNan)) {
    // A little noise keeps single channels away from a variance of nothing but epsilon.
    const T epsilon = T(0.1);
    row_norm<T>({.kind = kind,
                 .epsilon = epsilon,
                 .x = x.view(),
                 .w = w.view()[0],
                 .b = b.view()[0],
                 .y = y.view(),
                 .moments = moments.view()});
    Workspace workspace(norm_workspace_bytes<T>(e.channels));
    row_norm_grad<T>({.kind = kind,
                      .x = x.view(),
                      .w = w.view()[0],
                      .moments = moments.view(),
                      .dy = dy.view(),
                      .dx = dx.view(),
                      .dw = dw.view()[0],
                      .db = db.view()[0]},
                     workspace);
  }
};

TEST(RowNorm, BackendsAgree) {
  for (RowNorm kind : {RowNorm::kLayer, RowNorm::kRms}) {
    for (Extents extents : kExtents) {
      RowRun<float> fast(extents, kind);
      RowRun<double> exact(extents, kind);
      Worst y("y"), dx("dx"), dw("dw"), db("db");
      // x / deviation reaches about 10; dw sums that over the rows.
      const double sum = 10 * std::sqrt(static_cast<double>(extents.rows));
      compare(y, exact.y.view(), fast.y.view(), 40);
      compare(dx, exact.dx.view(), fast.dx.view(), 100);
      compare(dw, exact.dw.view(), fast.dw.view(), 40 * sum);
      compare(db, exact.db.view(), fast.db.view(), 40 * sum);
      if (extents.rows > 0) {
        EXPECT_TRUE(y.ok());
        EXPECT_TRUE(dx.ok());
      }
      EXPECT_TRUE(dw.ok());
      EXPECT_TRUE(db.ok());
    }
  }
}

TEST(RowNorm, GradientMatchesFiniteDifference) {
  constexpr double kStep = 1e-6;
  const Extents extents{3, 5};
  for (RowNorm kind : {RowNorm::kLayer, RowNorm::kRms}) {
    RowRun<double> run(extents, kind);
    const auto loss = [&] {
      Matrix<double> y(extents, 0, 0.0);
      row_norm<double>({.kind = kind,
                        .epsilon = 0.1,
                        .x = run.x.view(),
                        .w = run.w.view()[0],
                        .b = run.b.view()[0],
                        .y = y.view(),
                        .moments = {}});
      double sum = 0;
      for (int64_t r = 0; r < extents.rows; ++r) {
        for (int64_t c = 0; c < extents.channels; ++c) sum += y.view()(r, c) * run.dy.view()(r, c);
      }
      return sum;
    };
    const auto check = [&](double& at, double got) {
      const double value = at;
      at = value + kStep;
      const double above = loss();
      at = value - kStep;
      const double below = loss();
      at = value;
      EXPECT_NEAR(got, (above - below) / (2 * kStep), 1e-14 * 100 / kStep + 100 * kStep * kStep);
    };
    for (int64_t c = 0; c < extents.channels; ++c) {
      check(run.w.view()(0, c), run.dw.view()(0, c));
      check(run.b.view()(0, c), run.db.view()(0, c));
      for (int64_t r = 0; r < extents.rows; ++r) check(run.x.view()(r, c), run.dx.view()(r, c));
    }
  }
}

/// Statistics, normalisation and gradients over the batch in type T.
template <typename T>
struct BatchRun {
  Matrix<T> x, w, b, dy, mean, var, y, dx, dw, db;
  std::vector<uint8_t> valid;

  BatchRun(Extents e, bool padded)
      : x(random_matrix<T>(e, 3, 1)),
        w(random_matrix<T>({1, e.channels}, 1, 2)),
        b(random_matrix<T>({1, e.channels}, 0, 3)),
        dy(random_matrix<T>(e, 0, 4)),
        mean({1, e.channels}, 0, T(kNan)),
        var(mean),
        y(e, 1, T(kNan)),
        dx(e, 2, T(kNan)),
        dw(mean),
        db(mean),
        valid(padded ? some_valid(e.rows, 5) : std::vector<uint8_t>()) {
    forward();
    Matrix<T> inverse(mean);
    for (T& v : inverse.data) v = 0;
    for (size_t c = 0; c < inverse.data.size(); ++c) inverse.data[c] = inverse_of(var.data[c]);
    Workspace workspace(norm_workspace_bytes<T>(e.channels));
    batch_norm_grad<T>({.x = x.view(),
                        .w = w.view()[0],
                        .mean = mean.view()[0],
                        .inverse = inverse.view()[0],
                        .dy = dy.view(),
                        .valid = valid,
                        .dx = dx.view(),
                        .dw = dw.view()[0],
                        .db = db.view()[0]},
                       workspace);
  }

  static T inverse_of(T var) { return T(1) / std::sqrt(var + T(0.1)); }

  void forward() {
    Workspace workspace(norm_workspace_bytes<T>(x.extents.channels));
    channel_moments<T>(
        {.x = x.view(), .valid = valid, .mean = mean.view()[0], .var = var.view()[0]}, workspace);
    Matrix<T> scale(mean), shift(mean);
    for (size_t c = 0; c < scale.data.size(); ++c) {
      scale.data[c] = w.data[c] * inverse_of(var.data[c]);
      shift.data[c] = b.data[c] - mean.data[c] * scale.data[c];
    }
    channel_affine<T>({x.view(), scale.view()[0], shift.view()[0], y.view()});
  }
};

TEST(BatchNorm, BackendsAgree) {
  for (bool padded : {false, true}) {
    for (Extents extents : kExtents) {
      if (extents.rows == 0) continue;
      BatchRun<float> fast(extents, padded);
      BatchRun<double> exact(extents, padded);
      Worst mean("mean"), var("var"), y("y"), dx("dx"), dw("dw"), db("db");
      const double sum = 20 * std::sqrt(static_cast<double>(extents.rows));
      compare(mean, exact.mean.view(), fast.mean.view(), 10);
      compare(var, exact.var.view(), fast.var.view(), 20);
      compare(y, exact.y.view(), fast.y.view(), 100);
      compare(dx, exact.dx.view(), fast.dx.view(), 200);
      compare(dw, exact.dw.view(), fast.dw.view(), 40 * sum);
      compare(db, exact.db.view(), fast.db.view(), 40 * sum);
      for (const Worst* worst : {&mean, &var, &y, &dx, &dw, &db}) EXPECT_TRUE(worst->ok());
    }
  }
}

TEST(BatchNorm, GradientMatchesFiniteDifference) {
  constexpr double kStep = 1e-6;
  const Extents extents{7, 3};
  for (bool padded : {false, true}) {
    BatchRun<double> run(extents, padded);
    const auto loss = [&] {
      run.forward();
      double sum = 0;
      for (int64_t r = 0; r < extents.rows; ++r) {
        for (int64_t c = 0; c < extents.channels; ++c) {
          sum += run.y.view()(r, c) * run.dy.view()(r, c);
        }
      }
      return sum;
    };
    const auto check = [&](double& at, double got) {
      const double value = at;
      at = value + kStep;
      const double above = loss();
      at = value - kStep;
      const double below = loss();
      at = value;
      EXPECT_NEAR(got, (above - below) / (2 * kStep), 1e-14 * 100 / kStep + 100 * kStep * kStep);
    };
    for (int64_t c = 0; c < extents.channels; ++c) {
      check(run.w.view()(0, c), run.dw.view()(0, c));
      check(run.b.view()(0, c), run.db.view()(0, c));
      for (int64_t r = 0; r < extents.rows; ++r) check(run.x.view()(r, c), run.dx.view()(r, c));
    }
  }
}

TEST(Norm, ThreadsDoNotChangeTheResult) {
  const int before = thread_count();
  std::vector<std::vector<float>> results;
  for (int threads : {1, 2, 3}) {
    set_thread_count(threads);
    RowRun<float> row({3001, 24}, RowNorm::kLayer);
    BatchRun<float> batch({3001, 24}, true);
    std::vector<float> all = row.dw.data;
    for (const auto* part : {&row.dx.data, &batch.dw.data, &batch.var.data}) {
      all.insert(all.end(), part->begin(), part->end());
    }
    std::erase_if(all, [](float x) { return std::isnan(x); });
    results.push_back(all);
  }
  set_thread_count(before);
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
}

TEST(Norm, RejectsBadShapes) {
  Matrix<float> x({4, 3}, 0, 0), w({1, 2}, 0, 0);
  Workspace workspace(norm_workspace_bytes<float>(3));
  EXPECT_THROW(
      row_norm<float>({.x = x.view(), .w = w.view()[0], .b = {}, .y = x.view(), .moments = {}}),
      InvalidArgument);
  const std::vector<uint8_t> none(4, 0);
  Matrix<float> mean({1, 3}, 0, 0);
  EXPECT_THROW(
      channel_moments<float>(
          {.x = x.view(), .valid = none, .mean = mean.view()[0], .var = mean.view()[0]}, workspace),
      InvalidArgument);
}

}  // namespace
}  // namespace longwave::ops
