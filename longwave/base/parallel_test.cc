// SPDX-License-Identifier: Apache-2.0
#include "longwave/base/parallel.h"

#include <gtest/gtest.h>

#include <atomic>
#include <vector>

#include "longwave/base/error.h"

namespace longwave {
namespace {

class ThreadCounts : public ::testing::TestWithParam<int> {
 protected:
  void SetUp() override { set_thread_count(GetParam()); }
  void TearDown() override { set_thread_count(before_); }

 private:
  int before_ = thread_count();
};

TEST_P(ThreadCounts, EveryItemIsVisitedOnce) {
  for (int64_t count : {0, 1, 2, 7, 64, 1001}) {
    for (int64_t grain : {0, 1, 3, 2000}) {
      std::vector<std::atomic<int>> visits(static_cast<size_t>(count));
      parallel_for(count, grain, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) ++visits[static_cast<size_t>(i)];
      });
      for (const auto& visit : visits) ASSERT_EQ(visit, 1) << count << " by " << grain;
    }
  }
}

TEST_P(ThreadCounts, ExceptionsReachTheCaller) {
  const auto fail_at_the_end = [](int64_t, int64_t end) {
    if (end == 100) throw DataError({.where = "item", .what = "bad", .got = {}, .fix = {}});
  };
  EXPECT_THROW(parallel_for(100, 1, fail_at_the_end), DataError);
}

TEST_P(ThreadCounts, NestingRunsSerially) {
  std::atomic<int64_t> sum = 0;
  parallel_for(4, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      parallel_for(10, 1, [&](int64_t from, int64_t to) { sum += to - from; });
    }
  });
  EXPECT_EQ(sum, 40);
}

INSTANTIATE_TEST_SUITE_P(Parallel, ThreadCounts, ::testing::Values(1, 2, 5));

TEST(Parallel, RejectsNoThreads) { EXPECT_THROW(set_thread_count(0), InvalidArgument); }

}  // namespace
}  // namespace longwave
