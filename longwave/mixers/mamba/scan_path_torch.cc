// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/mamba/scan_path_torch.h"

#include "longwave/mixers/rows_torch.h"
#include "longwave/nn/linear_torch.h"
#include "longwave/ops/causal_conv1d/causal_conv1d_torch.h"
#include "longwave/ops/operand_torch.h"
#include "longwave/ops/product_torch.h"
#include "longwave/ops/selective_scan/selective_scan_torch.h"

namespace longwave::mixers::mamba {
namespace {

using ops::CausalConv1dInput;
using ops::SelectiveScanTensors;
using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using OptionalTensor = c10::optional<Tensor>;

/// What the layer computes on the way; or the gradients of that.
struct Stations {
  Tensor c;           // (batch, time, inner)
  Tensor selections;  // (batch, time, dt_rank + 2 state)
  Tensor dt;          // (batch, time, inner)

  Tensor step_sizes(int64_t rank) const { return selections.slice(2, 0, rank); }
};

/// The convolution's operands; of gradients, the convolution's gradients.
CausalConv1dInput convolution(const ScanPath& path) {
  return {.activation = ops::ConvActivation::kSilu,
          .x = path.xz.slice(2, 0, path.xz.size(2) / 2),
          .w = path.conv_w,
          .b = path.conv_b,
          .history = path.history,
          .starts = path.starts};
}

/// The scan's operands; of gradients, the scan's gradients.
SelectiveScanTensors scan(const ScanPath& path, const Stations& at) {
  const int64_t state = path.A.size(1), rank = at.selections.size(2) - 2 * state;
  return {.u = at.c,
          .dt = at.dt,
          .A = path.A,
          .B = at.selections.slice(2, rank, rank + state).unsqueeze(2),
          .C = at.selections.slice(2, rank + state).unsqueeze(2),
          .D = path.D,
          .dt_bias = path.dt_bias,
          .z = path.xz.slice(2, path.xz.size(2) / 2),
          .h0 = path.h0,
          .starts = path.starts};
}

/// Of tensors that enter the function; `starts` is the last.
constexpr size_t kOperands = 11;

/// The order in which tensors enter the function and gradients leave it.
ScanPath path_of(const variable_list& all) {
  return {.xz = all[0],
          .conv_w = all[1],
          .conv_b = all[2],
          .x_proj = all[3],
          .dt_proj = all[4],
          .dt_bias = all[5],
          .A = all[6],
          .D = all[7],
          .history = all[8],
          .h0 = all[9],
          .starts = all[10]};
}

class ScanPathFunction : public torch::autograd::Function<ScanPathFunction> {
 public:
  static variable_list forward(AutogradContext* context, const Tensor& xz, const Tensor& conv_w,
                               const Tensor& conv_b, const Tensor& x_proj, const Tensor& dt_proj,
                               const Tensor& dt_bias, const Tensor& A, const Tensor& D,
                               const Tensor& history, const Tensor& h0,
                               const OptionalTensor& starts, bool differentiable) {
    variable_list kept{
        xz, conv_w, conv_b, x_proj, dt_proj, dt_bias, A, D, history, h0, starts.value_or(Tensor())};
    const ScanPath path = path_of(kept);
    const int64_t batch = xz.size(0), time = xz.size(1), inner = A.size(0), state = A.size(1);
    Stations at{.c = torch::empty({batch, time, inner}, xz.options()), .selections = {}, .dt = {}};
    const ops::CausalConv1dOutput conv{at.c, ops::empty_as(history)};
    ops::causal_conv1d_into(convolution(path), conv);
    at.selections = nn::linear(at.c, x_proj, {});
    at.dt = nn::linear(at.step_sizes(dt_proj.size(1)), dt_proj, {});
    const ops::SelectiveScanOutput out{ops::empty_as(at.c),
                                       h0.clone(torch::MemoryFormat::Contiguous)};
    Tensor states;
    if (differentiable) {
      states =
          torch::empty({batch, ops::selective_scan_chunks(time, state), state, inner}, A.options());
      kept.insert(kept.end(), {states, at.selections});
      // A GPU has less time to compute them again than memory to keep them.
      if (xz.is_cuda()) kept.insert(kept.end(), {at.c, at.dt});
      context->save_for_backward(std::move(kept));
      context->set_materialize_grads(false);
    }
    ops::selective_scan_into(scan(path, at), out, states);
    return {out.y, conv.history, out.h};
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    TORCH_CHECK(!torch::GradMode::is_enabled(), "mamba: second derivatives are not offered");
    const variable_list kept = context->get_saved_variables();
    const ScanPath path = path_of(kept);
    variable_list result;
    for (size_t i = 0; i + 1 < kOperands; ++i) result.push_back(ops::empty_as(kept[i]));
    // Of starts, and whether there is a gradient.
    result.resize(kOperands + 1);
    const ScanPath d = path_of(result);
    Stations at = stations(kept, path, convolution(d).x);
    const int64_t rank = path.dt_proj.size(1);
    const auto narrowed = [&](const Tensor& W) { return W.to(path.xz.scalar_type()); };

    // The gradient of the step sizes takes their room, unless that was kept.
    const bool kept_dt = kept.size() > kOperands + 2;
    Stations dat{ops::empty_as(at.dt), ops::empty_as(at.selections),
                 kept_dt ? ops::empty_as(at.dt) : at.dt};
    const Tensor dy = grads[0].defined() ? grads[0] : torch::zeros_like(at.dt);
    ops::selective_scan_gradients(scan(path, at), kept[kOperands], {dy, grads[2]}, scan(d, dat));
    at.dt.reset();
    ops::multiply_into(d.dt_proj, rows_of(dat.dt).t(), rows_of(at.step_sizes(rank)));
    ops::multiply_into(rows_of(dat.step_sizes(rank)), rows_of(dat.dt), narrowed(path.dt_proj));
    dat.dt.reset();
    ops::multiply_into(d.x_proj, rows_of(dat.selections).t(), rows_of(at.c));
    ops::add_product(rows_of(dat.c), rows_of(dat.selections), narrowed(path.x_proj));
    ops::causal_conv1d_gradients(convolution(path), {dat.c, grads[1]}, convolution(d));
    return result;
  }

 private:
  /// What the forward pass computed on the way: kept, or computed again into `room`, which lasts
  /// until the convolution's own gradient is written.
  static Stations stations(const variable_list& kept, const ScanPath& path, const Tensor& room) {
    const Tensor& selections = kept[kOperands + 1];
    if (kept.size() > kOperands + 2) return {kept[kOperands + 2], selections, kept[kOperands + 3]};
    Stations at{.c = room, .selections = selections, .dt = {}};
    ops::causal_conv1d_into(convolution(path), {at.c, ops::empty_as(path.history)});
    at.dt = nn::linear(at.step_sizes(path.dt_proj.size(1)), path.dt_proj, {});
    return at;
  }
};

}  // namespace

ScanPathOutput scan_path(const ScanPath& in) {
  if (!ops::causal_conv1d_has_kernel(in.xz, in.conv_w.size(1)) ||
      !ops::selective_scan_has_kernel(in.xz, in.A.size(1))) {
    return scan_path_of_operations(in);
  }
  const int64_t batch = in.xz.size(0), inner = in.A.size(0);
  const variable_list out = ScanPathFunction::apply(
      in.xz, in.conv_w, ops::or_zeros(in.conv_b, {inner}, in.conv_w), in.x_proj, in.dt_proj,
      in.dt_bias, in.A, in.D,
      ops::or_zeros(in.history, {batch, in.conv_w.size(1) - 1, inner}, in.xz),
      ops::or_zeros(in.h0, {batch, inner, in.A.size(1)}, in.A), ops::optional(in.starts),
      torch::GradMode::is_enabled());
  return {out[0], out[1], out[2]};
}

ScanPathOutput scan_path_of_operations(const ScanPath& in) {
  const int64_t inner = in.A.size(0), state = in.A.size(1), rank = in.dt_proj.size(1);
  // One node for both halves, so that their gradients are joined once.
  const auto halves = in.xz.split_with_sizes({inner, inner}, 2);
  const ops::CausalConv1dOutput conv = ops::causal_conv1d({.activation = ops::ConvActivation::kSilu,
                                                           .x = halves[0],
                                                           .w = in.conv_w,
                                                           .b = in.conv_b,
                                                           .history = in.history,
                                                           .starts = in.starts});
  const auto parts = nn::linear(conv.y, in.x_proj, {}).split_with_sizes({rank, state, state}, 2);
  const ops::SelectiveScanOutput scanned =
      ops::selective_scan({.u = conv.y,
                           .dt = nn::linear(parts[0], in.dt_proj, {}),
                           .A = in.A,
                           .B = parts[1].unsqueeze(2),
                           .C = parts[2].unsqueeze(2),
                           .D = in.D,
                           .dt_bias = in.dt_bias,
                           .z = halves[1],
                           .h0 = in.h0,
                           .starts = in.starts});
  return {scanned.y, conv.history, scanned.h};
}

}  // namespace longwave::mixers::mamba
