// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <string>
#include <string_view>

namespace longwave::train {

/// What the progress line says.
struct Progress {
  int64_t step = 0;
  int64_t steps = 0;
  double loss = std::numeric_limits<double>::quiet_NaN();
  double ema = std::numeric_limits<double>::quiet_NaN();
  double gradient_norm = std::numeric_limits<double>::quiet_NaN();
  double lr = 0;
  double rate = 0;         ///< time steps a second
  std::string_view unit;   ///< what a time step is called: "tok" or "samples"
  double utilisation = 0;  ///< of the speed that a large product of matrices has
  int64_t memory = 0;      ///< resident bytes of the process
  double eta = 0;          ///< seconds
  int64_t dropped = 0;     ///< batches whose update was dropped; said if there are any
};

/// "step  1200/20000  6.0%  loss 3.412  ema 3.431  gnorm 0.82  lr 2.97e-04  412k tok/s  mfu 38%
/// mem 21.4G  eta 1h12m", on one line, then "  dropped 3" if so. A loss that is no number is
/// written as it is.
std::string progress_line(const Progress& progress);

/// "412k", "21.4G", "7": at most three significant digits.
std::string short_count(double value);

/// "1h12m", "4m08s", "9s".
std::string short_time(double seconds);

/// Where a run talks: a stream for people and log.txt for later.
///
/// On a terminal the progress line is overwritten in place and gone at the end; elsewhere, and in
/// log.txt, a plain line appears each `interval` seconds.
///
/// Threads    one owner at a time.
class Talk {
 public:
  enum class Screen : uint8_t { kTerminal, kPlain, kSilent };
  using Write = std::function<void(std::string_view)>;

  /// `write` receives finished text; `log` may be empty for no file, else it is appended to.
  Talk(Write write, Screen screen, double interval, const std::filesystem::path& log);
  ~Talk();
  Talk(const Talk&) = delete;
  Talk& operator=(const Talk&) = delete;

  /// A line that stays.
  void say(std::string_view line);

  /// The line of the moment; cheap enough for every step.
  void progress(const Progress& progress);

 private:
  using Clock = std::chrono::steady_clock;

  void clear();

  Write write_;
  Screen screen_;
  std::chrono::duration<double> interval_;
  std::ofstream log_;
  Clock::time_point last_line_;
  Clock::time_point last_draw_;
  bool drawn_ = false;
};

}  // namespace longwave::train
