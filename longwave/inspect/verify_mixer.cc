// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

#include "longwave/base/error.h"
#include "longwave/base/parallel.h"
#include "longwave/base/philox.h"
#include "longwave/inspect/error_bound.h"
#include "longwave/inspect/verify.h"
#include "longwave/theory/simulate.h"
#include "longwave/theory/spectrum.h"

namespace longwave::inspect {
namespace {

using Eigen::MatrixXd;

// Impulse responses of a system with many outputs are compared for this many of them.
constexpr int64_t kConvolvedOutputs = 8;

/// The exact outputs of all channels and the bounds around them; for the convolution, those of the
/// chosen outputs.
struct Judge {
  MatrixXd y, bound;                              // (time, channels), bound of float32 views
  MatrixXd chosen_y, convolved, convolved_bound;  // (time, chosen), bound in double precision
  std::vector<int64_t> chosen;                    // the channels that were convolved
};

/// The rows of a system that produce the chosen outputs.
theory::DiscreteSystem with_outputs(const theory::DiscreteSystem& system,
                                    std::span<const int64_t> outputs) {
  const auto count = static_cast<Eigen::Index>(outputs.size());
  theory::DiscreteSystem part = {.A = system.A,
                                 .B = system.B,
                                 .C = Eigen::MatrixXcd(count, system.C.cols()),
                                 .D = MatrixXd(count, system.D.cols())};
  for (Eigen::Index i = 0; i < count; ++i) {
    part.C.row(i) = system.C.row(outputs[static_cast<size_t>(i)]);
    part.D.row(i) = system.D.row(outputs[static_cast<size_t>(i)]);
  }
  return part;
}

/// The bound of a convolution in double precision: recurrences of A^j, and sums of `time` products.
MatrixXd convolution_bound(const theory::DiscreteSystem& system, const MatrixXd& u) {
  const double terms = static_cast<double>(u.rows() + system.A.rows());
  return terms * rounding_bound(system, u, {.epsilon = std::numeric_limits<double>::epsilon()});
}

/// Fills the columns of system `index` of `mixer`.
void judge_system(const mixers::Mixer& mixer, int64_t index, const MatrixXd& u, Judge& judge) {
  const theory::DiscreteSystem system = mixer.system(index);
  const Eigen::Index outputs = system.C.rows(), inputs = system.B.cols();
  const MatrixXd fed = u.middleCols(index * inputs, inputs);
  judge.y.middleCols(index * outputs, outputs) = theory::simulate(system, fed).y;
  judge.bound.middleCols(index * outputs, outputs) =
      rounding_bound(system, fed, {.epsilon = std::numeric_limits<float>::epsilon()});

  const Eigen::Index count = static_cast<Eigen::Index>(judge.chosen.size()) / mixer.system_count();
  std::vector<int64_t> rows;
  for (Eigen::Index i = 0; i < count; ++i) {
    rows.push_back(i * outputs / count);
    judge.chosen[static_cast<size_t>(index * count + i)] = index * outputs + rows.back();
    judge.chosen_y.col(index * count + i) = judge.y.col(index * outputs + rows.back());
  }
  const theory::DiscreteSystem part = with_outputs(system, rows);
  judge.convolved.middleCols(index * count, count) =
      theory::convolve(theory::impulse_response(part, fed.rows()), fed);
  judge.convolved_bound.middleCols(index * count, count) = convolution_bound(part, fed);
}

Judge judge_mixer(const mixers::Mixer& mixer, const MatrixXd& u) {
  const int64_t systems = mixer.system_count();
  const int64_t chosen = systems * std::min(mixer.channels() / systems, kConvolvedOutputs);
  const MatrixXd all(u.rows(), u.cols()), some(u.rows(), chosen);
  Judge judge{.y = all,
              .bound = all,
              .chosen_y = some,
              .convolved = some,
              .convolved_bound = some,
              .chosen = std::vector<int64_t>(static_cast<size_t>(chosen))};
  parallel_for(systems, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) judge_system(mixer, i, u, judge);
  });
  return judge;
}

/// One mixer fed with one sequence, in whatever portions.
class MixerRun {
 public:
  MixerRun(const mixers::Mixer& mixer, const std::vector<float>& u)
      : mixer_(mixer),
        u_(u),
        time_(static_cast<int64_t>(u.size()) / mixer.channels()),
        workspace_(mixer.workspace_bytes(1, std::max<int64_t>(time_, 1))) {}

  std::vector<float> in_pieces(std::span<const int64_t> pieces) {
    std::vector<float> state(static_cast<size_t>(mixer_.state_size())), y = poisoned();
    const int64_t channels = mixer_.channels();
    int64_t begin = 0;
    for (const int64_t count : pieces) {
      const Workspace::Scope scope(workspace_);
      mixer_.prefill({.u = {u_.data() + begin * channels, {1, count, channels}},
                      .state = {state.data(), {1, mixer_.state_size()}},
                      .y = {y.data() + begin * channels, {1, count, channels}}},
                     workspace_);
      begin += count;
    }
    return y;
  }

  std::vector<float> step_by_step() {
    std::vector<float> state(static_cast<size_t>(mixer_.state_size())), y = poisoned();
    const int64_t channels = mixer_.channels();
    for (int64_t t = 0; t < time_; ++t) {
      const Workspace::Scope scope(workspace_);
      mixer_.step({.u = {u_.data() + t * channels, {1, channels}},
                   .state = {state.data(), {1, mixer_.state_size()}},
                   .y = {y.data() + t * channels, {1, channels}}},
                  workspace_);
    }
    return y;
  }

 private:
  std::vector<float> poisoned() const {
    return std::vector<float>(u_.size(), std::numeric_limits<float>::quiet_NaN());
  }

  const mixers::Mixer& mixer_;
  const std::vector<float>& u_;
  int64_t time_;
  Workspace workspace_;
};

}  // namespace

std::vector<int64_t> random_pieces(int64_t time, Random& random) {
  std::vector<int64_t> pieces = {1};
  for (int64_t left = time - 1; left > 0; left -= pieces.back()) {
    pieces.push_back(std::min(left, random.integer(std::max<int64_t>(time / 4, 2))));
  }
  return pieces;
}

std::vector<ViewCheck> verify_mixer(const mixers::Mixer& mixer, const std::string& subject,
                                    const VerifySettings& settings, const LayerForm& training) {
  if (mixer.system_count() == 0) return {};
  const int64_t time = settings.length, channels = mixer.channels();
  Random random(settings.seed, stream_id(subject));
  std::vector<float> u(static_cast<size_t>(time * channels));
  for (float& value : u) value = static_cast<float>(random.normal());
  using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const Judge judge =
      judge_mixer(mixer, Eigen::Map<const RowMajor>(u.data(), time, channels).cast<double>());

  const auto matrix = [](const MatrixXd& values) -> View<const double, 2> {
    return {values.data(), {values.rows(), values.cols()}, {1, values.rows()}};
  };
  std::vector<ViewCheck> checks;
  const auto check = [&](const std::string& view, const std::vector<float>& got) {
    require(got.size() == u.size(), "verify", "a view gave another number of outputs");
    const std::vector<double> wide(got.begin(), got.end());
    checks.push_back(compare({.subject = subject,
                              .view = view,
                              .against = "simulation in double precision",
                              .got = {wide.data(), {time, channels}},
                              .expected = matrix(judge.y),
                              .bound = matrix(judge.bound)}));
  };
  MixerRun run(mixer, u);
  check("recurrent", run.step_by_step());
  for (int64_t split = 0; split < settings.splits; ++split) {
    check("chunked", run.in_pieces(random_pieces(time, random)));
    // Of all cuts the worst is kept.
    if (split > 0) {
      const ViewCheck last = checks.back();
      checks.pop_back();
      if (last.ratio > checks.back().ratio) checks.back() = last;
    }
  }
  check("prefill", run.in_pieces(std::vector<int64_t>{time}));
  checks.push_back(compare({.subject = subject,
                            .view = "convolution",
                            .against = "simulation in double precision",
                            .got = matrix(judge.convolved),
                            .expected = matrix(judge.chosen_y),
                            .bound = matrix(judge.convolved_bound)}));
  checks.back().channel = judge.chosen[static_cast<size_t>(checks.back().channel)];
  if (training) check("training", training(u, time));
  return checks;
}

}  // namespace longwave::inspect
