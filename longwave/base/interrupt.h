// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace longwave {

/// While it lives, the first SIGINT or SIGTERM asks the program to end what it is doing; a second
/// one ends the program at once. Earlier handlers come back at the end.
///
/// Threads    at most one exists at a time; signals may arrive on any thread.
class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  static bool asked();
};

}  // namespace longwave
