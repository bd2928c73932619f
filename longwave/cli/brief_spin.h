// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace longwave::cli {

/// Makes threads that wait for their next piece of work give up their core after a few tens of
/// microseconds instead of milliseconds.
///
/// Beside another program that computes on the same cores the default lets each wait out the
/// other's spinning at every step. The OpenMP runtime takes the setting from the environment before
/// main begins, so the program starts itself once more with it; where that fails it goes on as it
/// is. Whoever sets GOMP_SPINCOUNT or OMP_WAIT_POLICY is left alone.
void spin_briefly(char** arguments);

/// Takes back what `spin_briefly` set, for a program that this one becomes.
void spin_as_usual();

}  // namespace longwave::cli
