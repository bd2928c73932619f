// SPDX-License-Identifier: Apache-2.0
#include "longwave/train/progress.h"

#include <fmt/chrono.h>
#include <fmt/core.h>

#include <array>
#include <cmath>
#include <ctime>
#include <utility>

namespace longwave::train {
namespace {

/// Redrawing more often than this only costs time.
constexpr std::chrono::milliseconds kRedraw{100};

/// The line as it stands in a log: behind the local date and time.
std::string stamped(std::string_view line) {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  return fmt::format("{:%Y-%m-%d %H:%M:%S}  {}\n", local, line);
}

}  // namespace

std::string short_count(double value) {
  constexpr std::array<std::string_view, 5> kUnits = {"", "k", "M", "G", "T"};
  size_t unit = 0;
  while (std::abs(value) >= 999.5 && unit + 1 < kUnits.size()) {
    value /= 1000;
    ++unit;
  }
  const int digits = unit == 0 || std::abs(value) >= 99.95 ? 0 : 1;
  return fmt::format("{:.{}f}{}", value, digits, kUnits[unit]);
}

std::string short_time(double seconds) {
  if (!std::isfinite(seconds)) return "?";
  const auto whole = static_cast<int64_t>(std::llround(std::max(seconds, 0.0)));
  if (whole >= 3600) return fmt::format("{}h{:02}m", whole / 3600, whole / 60 % 60);
  if (whole >= 60) return fmt::format("{}m{:02}s", whole / 60, whole % 60);
  return fmt::format("{}s", whole);
}

std::string progress_line(const Progress& progress) {
  const std::string total = std::to_string(progress.steps);
  const double percent = 100.0 * static_cast<double>(progress.step) /
                         static_cast<double>(std::max<int64_t>(progress.steps, 1));
  const std::string dropped =
      progress.dropped > 0 ? fmt::format("  dropped {}", progress.dropped) : std::string();
  return fmt::format(
      "step {:>{}}/{} {:5.1f}%  loss {:.4g}  ema {:.4g}  gnorm {:.3g}  lr {:.2e}  {} {}/s  "
      "mfu {:.0f}%  mem {}  eta {}{}",
      progress.step, total.size(), total, percent, progress.loss, progress.ema,
      progress.gradient_norm, progress.lr, short_count(progress.rate), progress.unit,
      100 * progress.utilisation, short_count(static_cast<double>(progress.memory)),
      short_time(progress.eta), dropped);
}

Talk::Talk(Write write, Screen screen, double interval, const std::filesystem::path& log)
    : write_(std::move(write)), screen_(screen), interval_(interval), last_line_(Clock::now()) {
  if (!log.empty()) log_.open(log, std::ios::app);
}

Talk::~Talk() { clear(); }

void Talk::clear() {
  if (drawn_) write_("\r\x1b[K");
  drawn_ = false;
}

void Talk::say(std::string_view line) {
  clear();
  if (screen_ != Screen::kSilent) write_(fmt::format("{}\n", line));
  if (log_.is_open()) {
    log_ << stamped(line) << std::flush;
  }
}

void Talk::progress(const Progress& progress) {
  const Clock::time_point now = Clock::now();
  const bool line_is_due = now - last_line_ >= interval_;
  if (line_is_due) {
    last_line_ = now;
    const std::string line = progress_line(progress);
    if (screen_ == Screen::kPlain) write_(fmt::format("{}\n", line));
    if (log_.is_open()) {
      log_ << stamped(line) << std::flush;
    }
  }
  if (screen_ == Screen::kTerminal && now - last_draw_ >= kRedraw) {
    last_draw_ = now;
    write_(fmt::format("\r{}\x1b[K", progress_line(progress)));
    drawn_ = true;
  }
}

}  // namespace longwave::train
