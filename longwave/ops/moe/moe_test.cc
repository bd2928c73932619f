// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/moe/moe.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/base/parallel.h"
#include "longwave/base/philox.h"
#include "longwave/base/testing/tolerance.h"
#include "longwave/ops/moe/moe_ref.h"

namespace longwave::ops {
namespace {

using testing::Tolerance;
using testing::Worst;

struct Case {
  int64_t tokens, experts, k, channels;
};
constexpr Case kCases[] = {{1, 1, 1, 1},  {7, 5, 2, 19},    {0, 4, 2, 8},
                           {40, 8, 8, 3}, {300, 16, 2, 33}, {33, 3, 1, 64}};

template <typename T>
std::vector<T> noise(int64_t count, uint64_t stream) {
  Random random(5, stream);
  std::vector<T> numbers(count);
  for (T& number : numbers) number = static_cast<float>(random.normal());
  return numbers;
}

/// A routed mixture in type T whose experts are the identity, the same random numbers whatever T.
template <typename T>
struct Mixture {
  Case size;
  std::vector<T> logits, x, dy, dweights, weights, p, rows, y, drows, own_dweights, dlogits;
  std::vector<int64_t> chosen, counts, order, place, first;
  T balance = std::numeric_limits<T>::quiet_NaN();

  explicit Mixture(const Case& c, RouterWeights kind = RouterWeights::kOfChosen) : size(c) {
    const T nan = std::numeric_limits<T>::quiet_NaN();
    const int64_t slots = c.tokens * c.k;
    logits = noise<T>(c.tokens * c.experts, 1);
    x = noise<T>(c.tokens * c.channels, 2);
    dy = noise<T>(c.tokens * c.channels, 3);
    dweights = noise<T>(slots, 4);
    weights.assign(slots, nan);
    own_dweights = weights;
    p.assign(logits.size(), nan);
    dlogits = p;
    rows.assign(slots * c.channels, nan);
    drows = rows;
    y.assign(x.size(), nan);
    chosen.assign(slots, -1);
    order = place = chosen;
    counts.assign(c.experts, -1);
    first.assign(c.experts + 1, -1);
    run(kind);
  }

  template <typename Element>
  View<Element, 2> slots(std::vector<Element>& data) {
    return {data.data(), {size.tokens, size.k}};
  }
  View<T, 2> all_experts(std::vector<T>& data) {
    return {data.data(), {size.tokens, size.experts}};
  }
  View<T, 2> tokens(std::vector<T>& data) { return {data.data(), {size.tokens, size.channels}}; }
  View<T, 2> expert_rows(std::vector<T>& data) {
    return {data.data(), {size.tokens * size.k, size.channels}};
  }
  View<int64_t, 1> per_expert() { return {counts.data(), {size.experts}}; }

  RouteArgs<T> route_args(RouterWeights kind) {
    return {.kind = kind,
            .logits = all_experts(logits),
            .chosen = slots(chosen),
            .weights = slots(weights),
            .counts = per_expert(),
            .p = all_experts(p),
            .balance = &balance};
  }

  void run(RouterWeights kind) {
    route(route_args(kind));
    dispatch({.chosen = slots(chosen),
              .counts = per_expert(),
              .order = {order.data(), {size.tokens * size.k}},
              .place = slots(place),
              .first = {first.data(), {size.experts + 1}}});
    gather<T>({.x = tokens(x),
               .order = {order.data(), {size.tokens * size.k}},
               .rows = expert_rows(rows)});
    combine<T>({.rows = expert_rows(rows),
                .weights = slots(weights),
                .place = slots(place),
                .y = tokens(y)});
    combine_backward<T>({.rows = expert_rows(rows),
                         .weights = slots(weights),
                         .place = slots(place),
                         .dy = tokens(dy),
                         .drows = expert_rows(drows),
                         .dweights = slots(own_dweights)});
    route_backward<T>({.kind = kind,
                       .p = all_experts(p),
                       .chosen = slots(chosen),
                       .weights = slots(weights),
                       .counts = per_expert(),
                       .dweights = slots(dweights),
                       .dbalance = T(0.5),
                       .dlogits = all_experts(dlogits)});
  }
};

void compare(const char* what, const std::vector<double>& expected, const std::vector<float>& got,
             Tolerance bound) {
  Worst worst(what);
  for (size_t i = 0; i < got.size(); ++i) {
    worst.compare(static_cast<int64_t>(i), expected[i], got[i], bound);
  }
  if (!got.empty()) {
    EXPECT_TRUE(worst.ok());
  }
}

TEST(Moe, BackendsAgree) {
  for (const RouterWeights kind : {RouterWeights::kOfAll, RouterWeights::kOfChosen}) {
    for (const Case& c : kCases) {
      const Mixture<float> fast(c, kind);
      const Mixture<double> exact(c, kind);
      EXPECT_EQ(exact.chosen, fast.chosen);
      EXPECT_EQ(exact.place, fast.place);
      compare("weights", exact.weights, fast.weights, Tolerance::sum<float>(c.experts, 2));
      compare("p", exact.p, fast.p, Tolerance::sum<float>(c.experts, 2));
      compare("y", exact.y, fast.y, Tolerance::sum<float>(c.experts + c.k, 6));
      compare("drows", exact.drows, fast.drows, Tolerance::sum<float>(c.experts, 6));
      compare("dweights", exact.own_dweights, fast.own_dweights,
              Tolerance::sum<float>(c.channels, 25));
      compare("dlogits", exact.dlogits, fast.dlogits, Tolerance::sum<float>(c.experts, 20));
      compare("balance", {exact.balance}, {fast.balance}, Tolerance::sum<float>(c.experts, 5));
    }
  }
}

TEST(Moe, ExpertsThatDoNothingGiveTheTokenBack) {
  for (const Case& c : kCases) {
    const Mixture<double> mixture(c, RouterWeights::kOfChosen);
    compare("y", mixture.x, std::vector<float>(mixture.y.begin(), mixture.y.end()),
            Tolerance::sum<float>(c.k, 5));
  }
}

TEST(Moe, ChoiceIsTheLargestLogitsInOrder) {
  const Mixture<float> mixture({50, 9, 4, 2});
  for (int64_t t = 0; t < 50; ++t) {
    const float* logits = mixture.logits.data() + t * 9;
    std::array<int64_t, 9> order{0, 1, 2, 3, 4, 5, 6, 7, 8};
    std::ranges::stable_sort(order, [&](int64_t a, int64_t b) { return logits[a] > logits[b]; });
    EXPECT_TRUE(std::equal(order.begin(), order.begin() + 4, mixture.chosen.begin() + t * 4));
  }
}

TEST(Moe, TiesGoToTheLowerIndexAndNansComeLast) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::array<std::array<float, 4>, 3> logits{{{1, 2, 2, 1}, {nan, 1, nan, 3}, {0, 0, 0, 0}}};
  const std::array<std::array<int64_t, 3>, 3> expected{{{1, 2, 0}, {3, 1, 0}, {0, 1, 2}}};
  for (int64_t i = 0; i < 3; ++i) {
    std::array<int64_t, 3> chosen{};
    choose(View<const float, 1>(logits[i].data(), {4}), View<int64_t, 1>(chosen.data(), {3}));
    EXPECT_EQ(chosen, expected[i]) << i;
  }
}

TEST(Moe, DispatchIsAPermutationSortedByExpertAndStable) {
  for (const Case& c : kCases) {
    const Mixture<float> mixture(c);
    for (int64_t e = 0; e < c.experts; ++e) {
      EXPECT_EQ(mixture.first[e + 1] - mixture.first[e], mixture.counts[e]);
      for (int64_t row = mixture.first[e]; row < mixture.first[e + 1]; ++row) {
        const int64_t slot = mixture.order[row];
        EXPECT_EQ(mixture.chosen[slot], e);
        EXPECT_EQ(mixture.place[slot], row);
        if (row > mixture.first[e]) {
          EXPECT_LT(mixture.order[row - 1], slot);
        }
      }
    }
    EXPECT_EQ(mixture.first[c.experts], c.tokens * c.k);
  }
}

TEST(Moe, WeightsOfAllScaledToOneAreWeightsOfChosen) {
  const Case c{60, 7, 3, 2};
  const Mixture<double> all(c, RouterWeights::kOfAll), chosen(c, RouterWeights::kOfChosen);
  for (int64_t t = 0; t < c.tokens; ++t) {
    double sum = 0, ones = 0;
    for (int64_t j = 0; j < 3; ++j) {
      sum += all.weights[t * 3 + j];
      ones += chosen.weights[t * 3 + j];
      EXPECT_NEAR(all.weights[t * 3 + j], all.p[t * 7 + all.chosen[t * 3 + j]], 1e-15);
    }
    EXPECT_NEAR(ones, 1, 1e-15);
    for (int64_t j = 0; j < 3; ++j) {
      EXPECT_NEAR(all.weights[t * 3 + j] / sum, chosen.weights[t * 3 + j], 1e-15);
    }
  }
}

TEST(Moe, BalanceIsOneWhenAllExpertsAreUsedAlikeAndExpertsWhenOneIs) {
  Mixture<double> mixture({8, 4, 1, 2});
  for (int64_t t = 0; t < 8; ++t) {
    for (int64_t e = 0; e < 4; ++e) mixture.logits[t * 4 + e] = e == t % 4 ? 3 : 0;
  }
  mixture.run(RouterWeights::kOfAll);
  EXPECT_NEAR(mixture.balance, 1, 1e-15);
  for (int64_t t = 0; t < 8; ++t) {
    for (int64_t e = 0; e < 4; ++e) mixture.logits[t * 4 + e] = e == 2 ? 800 : 0;
  }
  mixture.run(RouterWeights::kOfAll);
  EXPECT_NEAR(mixture.balance, 4, 1e-15);
}

TEST(Moe, ThreadsDoNotChangeTheResult) {
  const int before = thread_count();
  std::vector<std::vector<float>> results;
  for (int threads : {1, 2, 3}) {
    set_thread_count(threads);
    const Mixture<float> mixture({2000, 12, 2, 40});
    std::vector<float> all = mixture.y;
    all.insert(all.end(), mixture.dlogits.begin(), mixture.dlogits.end());
    all.push_back(mixture.balance);
    results.push_back(all);
  }
  set_thread_count(before);
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
}

TEST(Moe, RejectsBadShapes) {
  Mixture<float> mixture({6, 4, 2, 3});
  RouteArgs<float> bad = mixture.route_args(RouterWeights::kOfAll);
  bad.logits = bad.logits.slice(1, 0, 1);
  EXPECT_THROW(route(bad), InvalidArgument);
  bad = mixture.route_args(RouterWeights::kOfAll);
  bad.p = {};
  EXPECT_THROW(route(bad), InvalidArgument);
  mixture.counts[0] += 1;
  EXPECT_THROW(dispatch({.chosen = mixture.slots(mixture.chosen),
                         .counts = mixture.per_expert(),
                         .order = {mixture.order.data(), {12}},
                         .place = mixture.slots(mixture.place),
                         .first = {mixture.first.data(), {5}}}),
               InvalidArgument);
}

}  // namespace
}  // namespace longwave::ops
