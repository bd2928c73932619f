// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace longwave::ops {

/// Floating-point operations a second that all threads of `parallel_for` reach together on nothing
/// but float32 multiply-adds in registers: the ceiling that benchmarks divide by.
///
/// Numerics   the best of several short runs: others on the machine only make it smaller.
/// Cost       about 50 milliseconds.
double measured_fma_peak();

}  // namespace longwave::ops
