// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/torch.h>

namespace longwave::ops {

/// The arguments of `lstm_scan` as tensors of one device and type, with its shapes; `starts` may be
/// undefined. Last extents are adjacent.
struct LstmScanTensors {
  torch::Tensor p, W, starts;
  torch::Tensor h, c;             // in: before, out: after
  torch::Tensor y, gates, cells;  // out
};

/// `lstm_scan` as operations of torch, one step after the other, outside its graph: the form on a
/// GPU; right on any device.
///
/// Cost       nine operations a step.
void lstm_scan_of_operations(const LstmScanTensors& args);

/// The arguments of `lstm_scan_grad` likewise, with W for its transpose.
struct LstmScanGradTensors {
  torch::Tensor gates, cells, c0, W, starts, dy;
  torch::Tensor dh, dc;  // in: of what is after, out: of what was before
  torch::Tensor dp;      // out
};
void lstm_scan_grad_of_operations(const LstmScanGradTensors& args);

/// Those of `gru_scan`, and of its gradient with W for its transpose.
struct GruScanTensors {
  torch::Tensor p, W, b, starts;
  torch::Tensor h;         // in: before, out: after
  torch::Tensor y, gates;  // out
};
void gru_scan_of_operations(const GruScanTensors& args);

struct GruScanGradTensors {
  torch::Tensor gates, y, h0, W, starts, dy;
  torch::Tensor dh;  // in: of what is after, out: of what was before
  torch::Tensor d;   // out
};
void gru_scan_grad_of_operations(const GruScanGradTensors& args);

}  // namespace longwave::ops
