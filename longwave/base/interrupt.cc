// SPDX-License-Identifier: Apache-2.0
#include "longwave/base/interrupt.h"

#include <array>
#include <csignal>
#include <cstddef>

namespace longwave {
namespace {

// A signal handler can reach nothing but objects of static storage.
volatile std::sig_atomic_t end_asked = 0;

constexpr std::array<int, 2> kSignals = {SIGINT, SIGTERM};
std::array<struct sigaction, 2> earlier;

void handle(int signal) {
  end_asked = 1;
  // The next one of its kind does what it does to any program.
  std::signal(signal, SIG_DFL);
}

}  // namespace

Interrupt::Interrupt() {
  end_asked = 0;
  struct sigaction action {};
  action.sa_handler = handle;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  for (size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &action, &earlier[i]);
}

Interrupt::~Interrupt() {
  for (size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &earlier[i], nullptr);
}

bool Interrupt::asked() { return end_asked != 0; }

}  // namespace longwave
