// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace longwave::ops {

/// The ceiling that benchmarks divide by: floating-point operations a second of one thread that
/// does nothing but float32 multiply-adds in registers, times the threads of `parallel_for`.
///
/// Numerics   the best of many short runs, so that others on the machine hardly matter; a little
///            high where threads slow each other down.
/// Cost       about 10 milliseconds.
double measured_fma_peak();

}  // namespace longwave::ops
