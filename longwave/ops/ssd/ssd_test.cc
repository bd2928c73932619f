// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/ssd/ssd.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <string>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/base/parallel.h"
#include "longwave/ops/ssd/testing/ssd_problem.h"

namespace longwave::ops {
namespace {

using testing::compare_sums;
using testing::ssd_bound;
using testing::SsdOptions;
using testing::SsdProblem;
using testing::step_magnitude;
using testing::Tolerance;
using testing::Worst;

struct Case {
  SsdSize size;
  SsdOptions options;
};

// Whole and partial vectors and tiles in every extent, lengths around the chunk, groups of one head
// and of all; extents of 0 and 1.
const std::array<Case, 16> kCases = {{
    {{1, 1, 1, 1, 1, 1}, {}},
    {{2, 1, 4, 5, 2, 7}, {.skips = 2, .starts = true}},
    {{2, 7, 3, 2, 1, 5}, {.skips = 0, .bias = false}},
    {{1, 64, 2, 16, 1, 16}, {}},
    {{2, 65, 4, 64, 2, 32}, {.skips = 2}},
    {{1, 63, 2, 33, 2, 17}, {.limits = true}},
    {{1, 300, 2, 64, 1, 128}, {}},
    {{2, 200, 6, 24, 3, 40}, {.skips = 2, .starts = true, .limits = true}},
    {{3, 129, 3, 8, 3, 1}, {.starts = true}},
    {{1, 192, 1, 1, 1, 64}, {.bias = false, .starts = true}},
    {{1, 513, 2, 3, 1, 9}, {.skips = 0, .starts = true}},
    {{0, 9, 4, 3, 2, 4}, {}},
    {{2, 0, 4, 3, 2, 4}, {.starts = true}},
    {{2, 9, 0, 3, 0, 4}, {}},
    {{2, 70, 4, 0, 2, 4}, {}},
    {{2, 70, 4, 3, 2, 0}, {}},
}};

std::string name(const Case& c) {
  const SsdSize& s = c.size;
  return fmt::format("batch {} time {} heads {} head_dim {} groups {} state {}", s.batch, s.time,
                     s.heads, s.head_dim, s.groups, s.state);
}

bool empty(const Case& c) { return c.size.batch * c.size.heads * c.size.head_dim == 0; }

TEST(Ssd, BackendsAgree) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(name(c));
    SsdProblem<float> kernel(c.size, c.options, 1);
    SsdProblem<double> oracle(c.size, c.options, 1), positive = oracle;
    positive.make_positive();
    kernel.forward();
    ssd_ref(oracle.args());
    ssd_ref(positive.args());
    Worst worst("y and h");
    compare_sums(worst, oracle.y, kernel.y, positive.y);
    compare_sums(worst, oracle.h, kernel.h, positive.h);
    EXPECT_TRUE(empty(c) || c.size.time * c.size.state == 0 || worst.ok());
  }
}

TEST(Ssd, GradientsOfBackendsAgree) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(name(c));
    SsdProblem<float> kernel(c.size, c.options, 2);
    SsdProblem<double> oracle(c.size, c.options, 2), positive = oracle;
    positive.make_positive();
    kernel.backward();
    ssd_backward_ref(oracle.grad_args());
    ssd_backward_ref(positive.grad_args());
    Worst worst("gradients");
    compare_sums(worst, oracle.dx, kernel.dx, positive.dx);
    compare_sums(worst, oracle.dB, kernel.dB, positive.dB);
    compare_sums(worst, oracle.dC, kernel.dC, positive.dC);
    compare_sums(worst, oracle.dD, kernel.dD, positive.dD);
    compare_sums(worst, oracle.dA, kernel.dA, positive.dA);
    compare_sums(worst, oracle.dh0, kernel.dh0, positive.dh0);
    const std::vector<double> steps = step_magnitude(positive);
    compare_sums(worst, oracle.ddt, kernel.ddt, steps);
    std::vector<double> bias(oracle.ddt_bias.size(), 0.0);
    for (size_t i = 0; i < steps.size() && !bias.empty(); ++i) bias[i % bias.size()] += steps[i];
    compare_sums(worst, oracle.ddt_bias, kernel.ddt_bias, bias);
    EXPECT_TRUE(empty(c) || worst.ok());
  }
}

}  // namespace
}  // namespace longwave::ops
