// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <csignal>
#include <cstdint>

#include "longwave/base/interrupt.h"

namespace longwave::train {

/// What the outside world asked of a running training.
enum class Request : uint8_t { kNone, kSave, kLeave };

/// While it lives, SIGINT and SIGTERM ask to save and leave, SIGUSR1 to save and go on. A second
/// SIGINT or SIGTERM ends the program at once. Earlier handlers come back at the end.
///
/// Threads    at most one exists at a time; signals may arrive on any thread.
class Signals {
 public:
  Signals();
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  /// What was asked since the last call; kLeave stays.
  static Request take();

 private:
  Interrupt leave_;
  struct sigaction earlier_ {};  // of SIGUSR1
};

}  // namespace longwave::train
