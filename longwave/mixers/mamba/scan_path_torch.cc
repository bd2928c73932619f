// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/mamba/scan_path_torch.h"

#include "longwave/mixers/rows_torch.h"
#include "longwave/nn/linear_torch.h"
#include "longwave/ops/causal_conv1d/causal_conv1d_torch.h"
#include "longwave/ops/operand_torch.h"
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

/// out = a b; out may be a slice.
void multiply(Tensor out, const Tensor& a, const Tensor& b) { torch::mm_out(out, a, b); }

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
      states = torch::empty({batch, ops::selective_scan_chunks(time, state), state, inner},
                            xz.options());
      kept.push_back(at.selections);
      kept.push_back(states);
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
    for (size_t i = 0; i + 3 < kept.size(); ++i) result.push_back(ops::empty_as(kept[i]));
    // Of starts, and whether there is a gradient.
    result.resize(result.size() + 2);
    const ScanPath d = path_of(result);

    // The room of the convolution's last gradient is free until then.
    Stations at{.c = convolution(d).x, .selections = kept[kept.size() - 2], .dt = {}};
    ops::causal_conv1d_into(convolution(path), {at.c, ops::empty_as(path.history)});
    const int64_t rank = path.dt_proj.size(1);
    const Tensor step_sizes = rows_of(at.step_sizes(rank));
    at.dt = nn::linear(at.step_sizes(rank), path.dt_proj, {});

    // The gradient of the step sizes takes their room.
    Stations dat{ops::empty_as(at.dt), ops::empty_as(at.selections), at.dt};
    const Tensor dy = grads[0].defined() ? grads[0] : torch::zeros_like(at.dt);
    ops::selective_scan_gradients(scan(path, at), kept.back(), {dy, grads[2]}, scan(d, dat));
    at.dt.reset();
    multiply(d.dt_proj, rows_of(dat.dt).t(), step_sizes);
    multiply(rows_of(dat.step_sizes(rank)), rows_of(dat.dt), path.dt_proj);
    dat.dt.reset();
    multiply(d.x_proj, rows_of(dat.selections).t(), rows_of(at.c));
    rows_of(dat.c).addmm_(rows_of(dat.selections), path.x_proj);
    ops::causal_conv1d_gradients(convolution(path), {dat.c, grads[1]}, convolution(d));
    return result;
  }
};

}  // namespace

ScanPathOutput scan_path(const ScanPath& in) {
  if (!in.xz.is_cpu() || ops::is_narrow(in.xz)) return scan_path_of_operations(in);
  const int64_t batch = in.xz.size(0), inner = in.A.size(0);
  const auto or_zeros = [&](const Tensor& tensor, at::IntArrayRef shape) {
    return tensor.defined() ? tensor : torch::zeros(shape, in.xz.options().requires_grad(false));
  };
  const variable_list out = ScanPathFunction::apply(
      in.xz, in.conv_w, or_zeros(in.conv_b, {inner}), in.x_proj, in.dt_proj, in.dt_bias, in.A, in.D,
      or_zeros(in.history, {batch, in.conv_w.size(1) - 1, inner}),
      or_zeros(in.h0, {batch, inner, in.A.size(1)}),
      in.starts.defined() ? OptionalTensor(in.starts) : OptionalTensor(),
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
