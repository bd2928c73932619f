// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "longwave/data/builtin.h"
#include "longwave/data/generated.h"

namespace longwave::data {
namespace {

constexpr int64_t kStepsPerSample = 10;

Schema mackey_glass_schema() {
  return generated_schema(1024,
                          {{.key = "length",
                            .value = int64_t{5000},
                            .help = "samples of a sequence, one a unit of time",
                            .least = 1,
                            .most = 1e8},
                           {.key = "tau",
                            .value = int64_t{17},
                            .help = "delay of the equation in units of time; chaotic from about 17",
                            .least = 1,
                            .most = 1e6},
                           {.key = "predict",
                            .value = int64_t{15},
                            .help = "samples to look ahead",
                            .least = 0,
                            .most = 1e6}});
}

/// Explicit Euler on x' = 0.2 x(t - tau) / (1 + x(t - tau)^10) - 0.1 x(t) in steps of 0.1, from a
/// history of 1.2 with uniform noise of +-0.1; every tenth value.
std::vector<double> solve(int64_t samples, int64_t tau, Random& random) {
  constexpr double kGrowth = 0.2, kDecay = 0.1, kPower = 10, kStep = 1.0 / kStepsPerSample;
  constexpr double kStart = 1.2, kNoise = 0.1;
  std::vector<double> past(static_cast<size_t>(tau * kStepsPerSample));
  for (double& value : past) value = kStart + random.uniform(-kNoise, kNoise);
  std::vector<double> result(static_cast<size_t>(samples));
  double x = past.back();
  size_t oldest = 0;
  for (double& sample : result) {
    for (int64_t step = 0; step < kStepsPerSample; ++step) {
      const double delayed = past[oldest];
      x += kStep * (kGrowth * delayed / (1 + std::pow(delayed, kPower)) - kDecay * x);
      past[oldest] = x;
      oldest = oldest + 1 == past.size() ? 0 : oldest + 1;
    }
    sample = x;
  }
  return result;
}

std::unique_ptr<Dataset> open_mackey_glass(const Options& options, Split split, uint64_t seed) {
  const int64_t length = options.integer("length"), predict = options.integer("predict");
  const int64_t tau = options.integer("tau");
  const TaskInfo info = {.target = TaskInfo::Target::kValuePerStep, .length = length};
  const auto make = [length, predict, tau](Random& random) {
    const std::vector<double> series = solve(length + predict, tau, random);
    Example example;
    for (int64_t t = 0; t < length; ++t) {
      example.input.push_back(static_cast<float>(std::tanh(series[t] - 1)));
      example.value.push_back(static_cast<float>(std::tanh(series[t + predict] - 1)));
    }
    return example;
  };
  return std::make_unique<Generated>(Generated::Parts{"mackey_glass", info, make}, options, split,
                                     seed);
}

}  // namespace

const Source kMackeyGlass = {"mackey_glass",
                             "a chaotic series, to be predicted some samples ahead (value a step)",
                             mackey_glass_schema, open_mackey_glass};

}  // namespace longwave::data
