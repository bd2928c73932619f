// SPDX-License-Identifier: Apache-2.0
//
// Products with weights of every type: the answer is that of the numbers that the weights stand
// for, up to rounding of the sum and, with blocks and few rows, of x.
#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/base/parallel.h"
#include "longwave/base/philox.h"
#include "longwave/base/testing/tolerance.h"
#include "longwave/ops/matmul/matmul.h"
#include "longwave/ops/matmul/matmul_kernels.h"
#include "longwave/ops/quant/panels.h"
#include "longwave/ops/quant/quant.h"

namespace longwave::ops {
namespace {

using longwave::testing::Tolerance;
using longwave::testing::Worst;

/// A type of weights, and how their rows lie.
struct Kind {
  DType dtype;
  Layout layout = Layout::kRows;

  friend std::ostream& operator<<(std::ostream& out, const Kind& kind) {
    return out << name_of(kind.dtype) << (kind.layout == Layout::kPanels ? " in panels" : "");
  }
};

constexpr Kind kBlocks[] = {{DType::kQ8_0}, {DType::kQ8_0, Layout::kPanels},
                            {DType::kQ4_0}, {DType::kQ4_0, Layout::kPanels},
                            {DType::kQ4_K}, {DType::kQ4_K, Layout::kPanels},
                            {DType::kQ6_K}, {DType::kQ6_K, Layout::kPanels}};

constexpr Kind kTypes[] = {{DType::kFloat32}, {DType::kFloat16}, {DType::kBFloat16}, kBlocks[0],
                           kBlocks[1],        kBlocks[2],        kBlocks[3],         kBlocks[4],
                           kBlocks[5],        kBlocks[6],        kBlocks[7]};

struct Size {
  int64_t rows, blocks, out;
};

constexpr Size kSizes[] = {{1, 1, 1}, {1, 2, 9},  {1, 3, 4},  {2, 5, 7},  {3, 1, 6},
                           {8, 2, 9}, {9, 2, 40}, {17, 2, 3}, {1, 3, 50}, {45, 1, 64}};

/// The instruction sets of this machine, one after the other; all of them again at the end.
class EachTarget {
 public:
  ~EachTarget() { hwy::SetSupportedTargetsForTest(0); }

  template <typename Body>
  void run(const Body& body) {
    for (int64_t left = hwy::SupportedTargets(); left != 0; left &= left - 1) {
      const int64_t target = left & -left;
      hwy::SetSupportedTargetsForTest(target);
      hwy::GetChosenTarget().Update(target);
      SCOPED_TRACE(hwy::TargetName(target));
      body();
    }
    hwy::SetSupportedTargetsForTest(0);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  }
};

/// Operands whose rows have different magnitudes; y is poisoned.
struct Problem {
  Tensor W;
  std::vector<float> x, b, y;
  MatmulArgs<float> args;

  Problem(const Size& size, const Kind& kind, uint64_t seed, int64_t gap = 0) {
    const int64_t in = size.blocks * std::max<int64_t>(block_of(kind.dtype).elements, 32);
    Random random(seed);
    Tensor dense(DType::kFloat32, {size.out, in});
    for (float& w : dense.elements<float>()) w = static_cast<float>(random.normal());
    W = quantize(dense, kind.dtype);
    if (kind.layout == Layout::kPanels) W = in_panels(W);
    x.resize(static_cast<size_t>((in + gap) * size.rows));
    for (size_t i = 0; i < x.size(); ++i) {
      x[i] = static_cast<float>(random.normal() * std::exp(random.uniform(-3, 3)));
    }
    b.resize(static_cast<size_t>(size.out));
    for (float& value : b) value = static_cast<float>(random.normal());
    y.assign(static_cast<size_t>(size.out * size.rows), std::numeric_limits<float>::quiet_NaN());
    args.x = {x.data(), {size.rows, in}, {in + gap, 1}};
    args.W = {kind.dtype, size.out, in, W.raw()};
    args.W.layout = kind.layout;
    args.b = {b.data(), {size.out}};
    args.y = {y.data(), {size.rows, size.out}};
  }
};

/// The product in double, and the bound of the header for it.
struct Expected {
  double value = 0;
  double bound = 0;

  Expected(const MatmulArgs<float>& args, int64_t r, int64_t o) {
    const int64_t in = args.x.extent(1);
    double magnitude = 1;
    if (!args.b.absent()) value = args.b(o);
    for (int64_t begin = 0; begin < in; begin += 32) {
      double most = 0, weights = 0;
      for (int64_t i = begin; i < begin + 32; ++i) {
        const double w = dequantize_ref(args.W, o, i), x = args.x(r, i);
        value += x * w;
        most = std::max(most, std::abs(x));
        weights += std::abs(w);
      }
      magnitude = std::max(magnitude, most * weights);
      if (is_blocked(args.W.dtype)) bound += most / 254 * (1 + 1e-5) * weights;
    }
    // Offsets of a super-block are as large as what they are taken from, or larger.
    bound += Tolerance::sum<float>(in + 2, 4 * magnitude).bound;
  }
};

void expect_product(const MatmulArgs<float>& args, double before = 0) {
  Worst worst("y");
  for (int64_t r = 0; r < args.y.extent(0); ++r) {
    for (int64_t o = 0; o < args.y.extent(1); ++o) {
      const Expected expected(args, r, o);
      worst.compare(r * args.y.extent(1) + o, before + expected.value, args.y(r, o),
                    {expected.bound});
    }
  }
  EXPECT_TRUE(worst.ok());
}

TEST(MatmulTypes, KernelsEqualTheFormulaOnEveryTarget) {
  EachTarget targets;
  targets.run([] {
    uint64_t seed = 0;
    for (const Kind& kind : kTypes) {
      for (const Size& size : kSizes) {
        SCOPED_TRACE(::testing::Message() << kind << ", " << size.rows << " rows, " << size.blocks
                                          << " blocks, " << size.out << " outputs");
        Problem problem(size, kind, ++seed, size.rows % 3);
        matmul(problem.args);
        expect_product(problem.args);
        problem.args.b = {};
        std::ranges::fill(problem.y, 0.5f);
        problem.args.accumulate = Accumulate::kAdd;
        matmul(problem.args);
        expect_product(problem.args, 0.5);
      }
    }
  });
}

TEST(MatmulTypes, ExtremeNumbersOfTheFormatsAreExact) {
  EachTarget targets;
  targets.run([] {
    for (const int8_t weight : {int8_t{-128}, int8_t{127}}) {
      constexpr int64_t kOutputs = kPanelRows + 1;
      Tensor W(DType::kQ8_0, {kOutputs, 32});
      for (std::byte* block = W.raw(); block < W.raw() + W.bytes(); block += 34) {
        block[1] = std::byte{0x3c};
        std::fill_n(block + 2, 32, static_cast<std::byte>(weight));
      }
      W = in_panels(W);
      const std::vector<float> x(32, -127.0f);
      std::vector<float> y(kOutputs);
      MatmulArgs<float> args = {.x = {x.data(), {1, 32}},
                                .W = {DType::kQ8_0, kOutputs, 32, W.raw()},
                                .b = {},
                                .y = {y.data(), {1, kOutputs}}};
      args.W.layout = Layout::kPanels;
      matmul(args);
      for (const float sum : y) EXPECT_EQ(sum, 32.0f * -127 * weight);
    }
  });
}

TEST(MatmulTypes, ARowAloneEqualsTheRowAmongFew) {
  for (const Kind& kind : kTypes) {
    Problem many({kMatmulFewRows, 5, 37}, kind, 3);
    matmul(many.args);
    for (int64_t r = 0; r < kMatmulFewRows; ++r) {
      std::vector<float> y(37, std::numeric_limits<float>::quiet_NaN());
      MatmulArgs<float> one = many.args;
      one.x = many.args.x.slice(0, r, 1);
      one.y = {y.data(), {1, 37}};
      matmul(one);
      for (int64_t o = 0; o < 37; ++o) EXPECT_EQ(y[static_cast<size_t>(o)], many.args.y(r, o));
    }
  }
}

TEST(MatmulTypes, ARowAloneEqualsTheRowAmongManyWithBlocks) {
  for (const Kind& kind : kBlocks) {
    Problem many({43, 9, 39}, kind, 3);
    matmul(many.args);
    for (int64_t r = 0; r < 43; ++r) {
      std::vector<float> y(39, std::numeric_limits<float>::quiet_NaN());
      MatmulArgs<float> one = many.args;
      one.x = many.args.x.slice(0, r, 1);
      one.y = {y.data(), {1, 39}};
      matmul(one);
      for (int64_t o = 0; o < 39; ++o) EXPECT_EQ(y[static_cast<size_t>(o)], many.args.y(r, o));
    }
  }
}

TEST(MatmulTypes, SameBitsForAnyNumberOfThreads) {
  const int threads = thread_count();
  for (const Kind& kind : kTypes) {
    for (const Size& size : {Size{1, 8, 2000}, Size{3, 4, 900}, Size{600, 5, 300}}) {
      Problem one(size, kind, 5), many(size, kind, 5);
      set_thread_count(1);
      matmul(one.args);
      set_thread_count(3);
      matmul(many.args);
      EXPECT_EQ(one.y, many.y) << kind;
    }
  }
  set_thread_count(threads);
}

TEST(MatmulTypes, RowsWiderThanTheStoreAreDoneInPieces) {
  for (const Kind& kind : {kBlocks[0], kBlocks[1]}) {
    Problem problem({2, 40000 / 32, 19}, kind, 7);
    matmul(problem.args);
    expect_product(problem.args);
  }
}

TEST(MatmulTypes, WhatIsNotFiniteStaysSo) {
  EachTarget targets;
  targets.run([] {
    for (const Kind& kind : kTypes) {
      for (const float bad :
           {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
        Problem problem({2, 2, 3}, kind, 8);
        problem.x[5] = bad;
        matmul(problem.args);
        for (int64_t o = 0; o < 3; ++o) {
          EXPECT_FALSE(std::isfinite(problem.args.y(0, o)));
          EXPECT_TRUE(std::isfinite(problem.args.y(1, o)));
        }
      }
    }
  });
}

TEST(MatmulTypes, TinyActivationsAreNoTrouble) {
  for (const Kind& kind : kTypes) {
    Problem problem({1, 2, 3}, kind, 9);
    std::ranges::fill(problem.x, 1e-42f);
    matmul(problem.args);
    for (int64_t o = 0; o < 3; ++o) {
      EXPECT_NEAR(problem.args.y(0, o), problem.args.b(o), 1e-30);
    }
  }
}

TEST(MatmulTypes, RejectsOtherTypes) {
  Problem problem({1, 1, 1}, {DType::kFloat32}, 1);
  problem.args.W.dtype = DType::kInt32;
  EXPECT_THROW(matmul(problem.args), InvalidArgument);
}

}  // namespace
}  // namespace longwave::ops
