// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/torch.h>

namespace longwave::ops {

/// `lstm_scan` as a differentiable function of p, W, h and c.
///
/// Shapes     p (batch, time, 4 hidden), W (4 hidden, hidden), h and c (batch, hidden), starts
///            (batch, time) uint8 or undefined; y (batch, time, hidden).
/// Cost       keeps 6 hidden numbers a step.
struct LstmScanTorch {
  torch::Tensor y, h, c;
};
LstmScanTorch lstm_scan(const torch::Tensor& p, const torch::Tensor& W, const torch::Tensor& h,
                        const torch::Tensor& c, const torch::Tensor& starts);

/// `gru_scan` as a differentiable function of p, W, b and h.
struct GruScanTorch {
  torch::Tensor y, h;
};
GruScanTorch gru_scan(const torch::Tensor& p, const torch::Tensor& W, const torch::Tensor& b,
                      const torch::Tensor& h, const torch::Tensor& starts);

}  // namespace longwave::ops
