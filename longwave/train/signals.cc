// SPDX-License-Identifier: Apache-2.0
#include "longwave/train/signals.h"

#include <array>
#include <csignal>

namespace longwave::train {
namespace {

// A signal handler can reach nothing but objects of static storage.
volatile std::sig_atomic_t leave_asked = 0;
volatile std::sig_atomic_t save_asked = 0;

constexpr std::array<int, 3> kSignals = {SIGINT, SIGTERM, SIGUSR1};
std::array<struct sigaction, 3> earlier;

void handle(int signal) {
  if (signal == SIGUSR1) {
    save_asked = 1;
    return;
  }
  leave_asked = 1;
  // The next one of its kind does what it does to any program.
  std::signal(signal, SIG_DFL);
}

}  // namespace

Signals::Signals() {
  leave_asked = 0;
  save_asked = 0;
  struct sigaction action {};
  action.sa_handler = handle;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  for (size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &action, &earlier[i]);
}

Signals::~Signals() {
  for (size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &earlier[i], nullptr);
}

Request Signals::take() {
  if (leave_asked != 0) return Request::kLeave;
  if (save_asked == 0) return Request::kNone;
  save_asked = 0;
  return Request::kSave;
}

}  // namespace longwave::train
