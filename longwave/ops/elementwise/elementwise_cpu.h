// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "longwave/ops/elementwise/elementwise.h"

/// SIMD kernels on dense rows of float32, chosen for the processor at run time; one thread.
namespace longwave::ops::cpu {

void activate_row(Activation f, int64_t count, const float* x, float* y);
void activate_grad_row(Activation f, int64_t count, const float* x, const float* dy, float* dx);

struct GateRow {
  const float* value;
  const float* gate;
  float* y;
};
void gate_row(Activation f, int64_t count, const GateRow& row);

struct GateGradRow {
  const float* value;
  const float* gate;
  const float* dy;
  float* dvalue;
  float* dgate;
};
void gate_grad_row(Activation f, int64_t count, const GateGradRow& row);

struct ResidualRow {
  const float* x;  // or nullptr for 0
  const float* m;  // or nullptr for 1
  const float* h;
  float* y;
};
void residual_row(int64_t count, const ResidualRow& row);

}  // namespace longwave::ops::cpu
