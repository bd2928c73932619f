// SPDX-License-Identifier: Apache-2.0
#include "longwave/data/loader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/base/parallel.h"
#include "longwave/data/permutation.h"

namespace longwave::data {
namespace {

using Order = LoaderOptions::Order;
using Last = LoaderOptions::Last;
using Input = TaskInfo::Input;
using Target = TaskInfo::Target;

/// Example i has 1 + i % 4 steps, and all its numbers say who it is.
class Counting : public Dataset {
 public:
  Counting(int64_t size, Input input, Target target) : size_(size) {
    info_.input = input;
    info_.input_size = 2;
    info_.target = target;
    info_.target_size = 3;
    info_.length = 4;
  }
  const TaskInfo& info() const override { return info_; }
  int64_t size() const override { return size_; }
  Example example(int64_t index) const override {
    const auto time = static_cast<size_t>(1 + index % 4);
    const bool per_step =
        info_.target == Target::kClassPerStep || info_.target == Target::kValuePerStep;
    const bool real = info_.target == Target::kValue || info_.target == Target::kValuePerStep;
    Example example;
    if (info_.input == Input::kReal) example.input.assign(2 * time, static_cast<float>(index));
    if (info_.input == Input::kTokens) example.tokens.assign(time, index);
    if (real) example.value.assign(3 * (per_step ? time : 1), static_cast<float>(index));
    if (!real) example.label.assign(per_step ? time : 1, index);
    return example;
  }

 private:
  int64_t size_;
  TaskInfo info_;
};

std::shared_ptr<const Dataset> counting(int64_t size) {
  return std::make_shared<Counting>(size, Input::kReal, Target::kClass);
}

TEST(Permutation, VisitsEachEntryOnce) {
  for (const int64_t size : {1, 2, 3, 4, 5, 7, 16, 17, 63, 64, 65, 1000, 4097}) {
    const Permutation order(size, 42, 7);
    std::vector<int64_t> visited;
    for (int64_t i = 0; i < size; ++i) visited.push_back(order(i));
    std::ranges::sort(visited);
    for (int64_t i = 0; i < size; ++i) ASSERT_EQ(visited[i], i) << "of " << size;
  }
}

TEST(Permutation, LargeRangesStayInRange) {
  const int64_t size = (int64_t{1} << 55) + 3;
  const Permutation order(size, 42, 7);
  std::set<int64_t> seen;
  for (int64_t i = 0; i < 1000; ++i) {
    const int64_t entry = order(size - 1 - i * 1000003);
    EXPECT_GE(entry, 0);
    EXPECT_LT(entry, size);
    EXPECT_TRUE(seen.insert(entry).second);
  }
}

TEST(Permutation, EveryEntryIsEquallyLikelyEverywhere) {
  constexpr int64_t kSize = 13, kOrders = 13000;
  std::vector<int64_t> counts(kSize * kSize);
  for (int64_t seed = 0; seed < kOrders; ++seed) {
    const Permutation order(kSize, static_cast<uint64_t>(seed), 0);
    for (int64_t i = 0; i < kSize; ++i) ++counts[i * kSize + order(i)];
  }
  // Chi-square with 12 x 12 degrees of freedom: mean 144, deviation sqrt(288); six of them.
  const double expected = static_cast<double>(kOrders) / kSize;
  double chi_square = 0;
  for (int64_t count : counts) chi_square += std::pow(count - expected, 2) / expected;
  EXPECT_LT(chi_square, 144 + 6 * std::sqrt(288.0));
}

TEST(Permutation, SeedsAndStreamsDiffer) {
  const Permutation a(1000, 1, 0), b(1000, 2, 0), c(1000, 1, 1), again(1000, 1, 0);
  int64_t same_b = 0, same_c = 0;
  for (int64_t i = 0; i < 1000; ++i) {
    same_b += a(i) == b(i) ? 1 : 0;
    same_c += a(i) == c(i) ? 1 : 0;
    ASSERT_EQ(a(i), again(i));
  }
  // Fixed points of a random permutation: Poisson with mean 1.
  EXPECT_LT(same_b, 12);
  EXPECT_LT(same_c, 12);
}

TEST(Loader, EachExampleOncePerEpoch) {
  for (const int64_t size : {1, 2, 7, 32, 33, 100}) {
    for (const int64_t batch_size : {1, 3, 32, 200}) {
      Loader loader(counting(size), {.batch_size = batch_size, .seed = 3});
      for (int64_t epoch = 0; epoch < 3; ++epoch) {
        std::vector<int64_t> seen;
        for (int64_t i = 0; i < loader.batches_per_epoch(); ++i) {
          ASSERT_EQ(loader.position().epoch, epoch);
          const Batch batch = loader.next();
          ASSERT_LE(batch.batch, batch_size);
          seen.insert(seen.end(), batch.label.begin(), batch.label.end());
        }
        std::ranges::sort(seen);
        ASSERT_EQ(seen.size(), static_cast<size_t>(size));
        for (int64_t i = 0; i < size; ++i) ASSERT_EQ(seen[i], i);
      }
      EXPECT_EQ(loader.position(), (Loader::Position{3, 0}));
    }
  }
}

TEST(Loader, EpochsAndSeedsDifferInOrder) {
  Loader one(counting(100), {.batch_size = 100, .seed = 1});
  Loader two(counting(100), {.batch_size = 100, .seed = 2});
  const auto first = one.next().label;
  EXPECT_NE(first, one.next().label);
  EXPECT_NE(first, two.next().label);
  Loader again(counting(100), {.batch_size = 100, .seed = 1});
  EXPECT_EQ(first, again.next().label);
}

TEST(Loader, ResumeContinuesWithTheSameBatches) {
  for (const Last last : {Last::kKeep, Last::kDrop}) {
    const LoaderOptions options = {.batch_size = 7, .seed = 9, .last = last};
    Loader whole(counting(45), options);
    for (int64_t step = 0; step < 30; ++step) {
      Loader resumed(counting(45), options);
      resumed.seek(whole.position());
      EXPECT_EQ(resumed.peek(), whole.peek());
      EXPECT_EQ(resumed.next().input, whole.next().input) << "step " << step;
      EXPECT_EQ(resumed.position(), whole.position());
    }
  }
}

TEST(Loader, SeekFarAheadIsImmediate) {
  constexpr int64_t kHuge = int64_t{1} << 40;
  Loader loader(counting(kHuge), {.batch_size = 4, .seed = 9});
  loader.seek({.epoch = 1000000007, .index = kHuge - 6});
  EXPECT_EQ(loader.next().batch, 4);
  EXPECT_EQ(loader.next().batch, 2);
  EXPECT_EQ(loader.position(), (Loader::Position{1000000008, 0}));
}

TEST(Loader, DropsOrKeepsTheIncompleteBatch) {
  Loader keep(counting(10), {.batch_size = 4});
  Loader drop(counting(10), {.batch_size = 4, .last = Last::kDrop});
  EXPECT_EQ(keep.batches_per_epoch(), 3);
  EXPECT_EQ(drop.batches_per_epoch(), 2);
  for (int64_t i = 0; i < 7; ++i) EXPECT_EQ(drop.next().batch, 4);
  EXPECT_EQ(drop.position().epoch, 3);
}

TEST(Loader, SequentialKeepsTheStoredOrder) {
  Loader loader(counting(5), {.batch_size = 2, .order = Order::kSequential});
  EXPECT_EQ(loader.next().label, (std::vector<int64_t>{0, 1}));
  EXPECT_EQ(loader.next().label, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(loader.next().label, (std::vector<int64_t>{4}));
  EXPECT_EQ(loader.next().label, (std::vector<int64_t>{0, 1}));
}

TEST(Loader, PaddedEqualsUnpaddedThenPadding) {
  for (const Input input : {Input::kReal, Input::kTokens}) {
    for (const Target target :
         {Target::kClass, Target::kValue, Target::kClassPerStep, Target::kValuePerStep}) {
      const Counting dataset(8, input, target);
      const std::vector<int64_t> indices = {1, 6, 0};  // 2, 3 and 1 steps
      const Batch batch = make_batch(dataset, indices);
      ASSERT_EQ(batch.batch, 3);
      ASSERT_EQ(batch.time, 3);
      EXPECT_EQ(batch.lengths, (std::vector<int64_t>{2, 3, 1}));
      EXPECT_EQ(batch.input.size(), input == Input::kReal ? 3u * 3 * 2 : 0u);
      EXPECT_EQ(batch.tokens.size(), input == Input::kTokens ? 3u * 3 : 0u);
      for (int64_t b = 0; b < 3; ++b) {
        for (int64_t t = 0; t < 3; ++t) {
          const bool inside = t < batch.lengths[b];
          const int64_t expected = inside ? indices[b] : 0;
          if (input == Input::kReal) {
            EXPECT_EQ(batch.input[(b * 3 + t) * 2], static_cast<float>(expected));
            EXPECT_EQ(batch.input[(b * 3 + t) * 2 + 1], static_cast<float>(expected));
          } else {
            EXPECT_EQ(batch.tokens[b * 3 + t], expected);
          }
          if (target == Target::kClassPerStep) {
            EXPECT_EQ(batch.label[b * 3 + t], inside ? indices[b] : -1);
          }
          if (target == Target::kValuePerStep) {
            for (int64_t d = 0; d < 3; ++d) {
              const float got = batch.value[(b * 3 + t) * 3 + d];
              EXPECT_TRUE(inside ? got == static_cast<float>(indices[b]) : std::isnan(got));
            }
          }
        }
      }
      if (target == Target::kClass) {
        EXPECT_EQ(batch.label, indices);
      }
      if (target == Target::kValue) {
        EXPECT_EQ(batch.value.size(), 9u);
      }
    }
  }
}

TEST(Loader, ThreadCountChangesNothing) {
  const int before = thread_count();
  std::vector<Batch> batches;
  for (const int threads : {1, 2, 5}) {
    set_thread_count(threads);
    Loader loader(counting(100), {.batch_size = 64, .seed = 4});
    batches.push_back(loader.next());
    EXPECT_EQ(batches.front().input, batches.back().input);
    EXPECT_EQ(batches.front().label, batches.back().label);
  }
  set_thread_count(before);
}

class Misfit : public Counting {
 public:
  Misfit() : Counting(3, Input::kReal, Target::kClass) {}
  Example example(int64_t index) const override {
    Example example = Counting::example(index);
    if (index == 0) example.input.clear();
    if (index == 1) example.input.pop_back();
    if (index == 2) example.label.push_back(0);
    return example;
  }
};

TEST(Loader, RejectsWhatMakesNoSense) {
  EXPECT_THROW(Loader(counting(0), {}), DataError);
  EXPECT_THROW(Loader(counting(3), {.batch_size = 0}), InvalidArgument);
  EXPECT_THROW(Loader(counting(3), {.batch_size = 4, .last = Last::kDrop}), InvalidArgument);
  Loader loader(counting(3), {.batch_size = 2});
  for (const Loader::Position position : {Loader::Position{-1, 0}, {0, -1}, {0, 3}}) {
    EXPECT_THROW(loader.seek(position), InvalidArgument);
  }
  for (int64_t i = 0; i < 3; ++i) {
    EXPECT_THROW(static_cast<void>(make_batch(Misfit(), {&i, 1})), DataError);
  }
}

}  // namespace
}  // namespace longwave::data
