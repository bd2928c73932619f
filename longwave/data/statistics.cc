// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <vector>

#include "longwave/base/parallel.h"
#include "longwave/data/export.h"

namespace longwave::data {
namespace {

/// Count, mean and sum of squared distances from it, which add up exactly in form.
struct Moments {
  double count = 0, mean = 0, squares = 0;
  double least = std::numeric_limits<double>::infinity();
  double most = -std::numeric_limits<double>::infinity();

  void add(double x) {
    ++count;
    const double distance = x - mean;
    mean += distance / count;
    squares += distance * (x - mean);
    least = std::min(least, x);
    most = std::max(most, x);
  }

  /// Source     Chan, Golub & LeVeque 1979, parallel variance.
  void add(const Moments& other) {
    if (other.count == 0) return;
    const double total = count + other.count, distance = other.mean - mean;
    squares += other.squares + distance * distance * count * other.count / total;
    mean += distance * other.count / total;
    count = total;
    least = std::min(least, other.least);
    most = std::max(most, other.most);
  }

  Summary summary() const {
    if (count == 0) return {};
    return {.count = static_cast<int64_t>(count),
            .mean = mean,
            .deviation = std::sqrt(squares / count),
            .least = least,
            .most = most};
  }
};

/// What one example adds.
struct Part {
  Moments input, value;
  double length = 0;
  std::vector<int64_t> labels;
};

Part part_of(const TaskInfo& info, Example example) {
  Part part;
  const bool real = info.input == TaskInfo::Input::kReal;
  part.length =
      static_cast<double>(real ? example.input.size() / info.input_size : example.tokens.size());
  for (float x : example.input) part.input.add(x);
  for (float x : example.value) {
    if (!std::isnan(x)) part.value.add(x);
  }
  part.labels = std::move(example.label);
  return part;
}

}  // namespace

Statistics statistics_of(const Dataset& dataset, int64_t most_examples) {
  constexpr int64_t kBlock = 256;
  const TaskInfo& info = dataset.info();
  Statistics result;
  result.examples = dataset.size();
  result.looked_at = std::min(dataset.size(), most_examples);
  if (info.target == TaskInfo::Target::kClass || info.target == TaskInfo::Target::kClassPerStep) {
    result.labels.resize(static_cast<size_t>(info.target_size));
  }
  Moments length, input, value;
  std::vector<Part> parts(kBlock);
  for (int64_t first = 0; first < result.looked_at; first += kBlock) {
    const int64_t count = std::min(kBlock, result.looked_at - first);
    parallel_for(count, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) parts[i] = part_of(info, dataset.example(first + i));
    });
    for (int64_t i = 0; i < count; ++i) {
      length.add(parts[i].length);
      input.add(parts[i].input);
      value.add(parts[i].value);
      for (int64_t label : parts[i].labels) {
        if (label >= 0) ++result.labels.at(static_cast<size_t>(label));
      }
    }
  }
  result.length = length.summary();
  result.input = input.summary();
  result.value = value.summary();
  return result;
}

}  // namespace longwave::data
