// SPDX-License-Identifier: Apache-2.0
#include "longwave/train/signals.h"

namespace longwave::train {
namespace {

// A signal handler can reach nothing but objects of static storage.
volatile std::sig_atomic_t save_asked = 0;

void handle(int) { save_asked = 1; }

}  // namespace

Signals::Signals() {
  save_asked = 0;
  struct sigaction action {};
  action.sa_handler = handle;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  sigaction(SIGUSR1, &action, &earlier_);
}

Signals::~Signals() { sigaction(SIGUSR1, &earlier_, nullptr); }

Request Signals::take() {
  if (Interrupt::asked()) return Request::kLeave;
  if (save_asked == 0) return Request::kNone;
  save_asked = 0;
  return Request::kSave;
}

}  // namespace longwave::train
