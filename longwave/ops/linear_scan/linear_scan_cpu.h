// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace longwave::ops {

/// What the numbers of a row are: floats, or pairs (re, im) of floats.
enum class Field : uint8_t { kReal, kComplex };

/// Adjacent columns of one sequence: what the float kernels of linear_scan work on.
///
/// Pointers are at the first step; `*_step` is the distance of two steps in floats, 0 for an `a`
/// that serves all steps. `width` counts numbers, real or complex.
struct ScanColumns {
  Field field = Field::kReal;
  int64_t width = 0;
  int64_t time = 0;
  const float* a = nullptr;
  int64_t a_step = 0;
  const float* b = nullptr;
  int64_t b_step = 0;
  const float* h0 = nullptr;  // or null for zero
  float* h = nullptr;
  int64_t h_step = 0;
  float* final = nullptr;
};
void scan_columns(const ScanColumns& columns);

/// What becomes of the gradient of a.
enum class FactorGradient : uint8_t {
  kNone,   ///< not wanted
  kStore,  ///< written, one a step
  kAdd,    ///< added to what is there, one a step
  kSum,    ///< summed over the steps into `da_sum`
};

/// The same for the backward pass.
struct ScanGradColumns {
  Field field = Field::kReal;
  FactorGradient factor = FactorGradient::kNone;
  int64_t width = 0;
  int64_t time = 0;
  const float* a = nullptr;
  int64_t a_step = 0;
  const float* h = nullptr;
  int64_t h_step = 0;
  const float* h0 = nullptr;  // or null for zero
  const float* dh = nullptr;
  int64_t dh_step = 0;
  const float* dfinal = nullptr;  // or null for zero
  float* da = nullptr;            // kStore, kAdd
  int64_t da_step = 0;
  double* da_sum = nullptr;  // (width) += if kSum; pairs if complex
  float* db = nullptr;
  int64_t db_step = 0;
  float* dh0 = nullptr;
};
void scan_grad_columns(const ScanGradColumns& columns);

}  // namespace longwave::ops
