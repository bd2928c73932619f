// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace longwave::train {

/// Lets torch take the memory of CPU tensors from now on in blocks that serve again.
///
/// torch asks glibc for aligned blocks, for which glibc (before 2.38) looks for one that is larger
/// than what it then keeps: a block that was freed is too small for the next request of its size,
/// and the memory of a training step crumbles to twice of what its tensors need. Here blocks are
/// requested larger and aligned within, so that all requests of one size are equal.
///
/// Threads    safe; tensors that exist already keep their memory.
void use_reusable_blocks();

}  // namespace longwave::train
