// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/mamba2/scan_path_torch.h"

#include <utility>

#include "longwave/mixers/rows_torch.h"
#include "longwave/nn/linear_torch.h"
#include "longwave/ops/causal_conv1d/causal_conv1d_torch.h"
#include "longwave/ops/gated_norm/gated_norm_torch.h"
#include "longwave/ops/operand_torch.h"
#include "longwave/ops/product_torch.h"
#include "longwave/ops/ssd/ssd_torch.h"

namespace longwave::mixers::mamba2 {
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using OptionalTensor = c10::optional<Tensor>;

/// What of Settings the shapes of the operands do not tell.
struct Semantics {
  ops::GateOrder order;
  double dt_least, dt_most;
};

/// The convolution's operands; of gradients, the convolution's gradients.
ops::CausalConv1dInput convolution(const ScanPath& path) {
  const int64_t inner = path.out_proj_w.size(1);
  return {.activation = ops::ConvActivation::kSilu,
          .x = path.projected.slice(2, inner, inner + path.conv_w.size(0)),
          .w = path.conv_w,
          .b = path.conv_b,
          .history = path.history,
          .starts = path.starts};
}

/// The scan's operands; of gradients, the scan's gradients. xBC is what the convolution gave.
ops::SsdInput scan(const Semantics& semantics, const ScanPath& path, const Tensor& xBC) {
  const int64_t heads = path.A.size(0), state = path.h0.size(3), inner = path.out_proj_w.size(1);
  const int64_t shared = (xBC.size(2) - inner) / 2;
  const auto part = [&](int64_t begin, int64_t channels, int64_t size) {
    return xBC.slice(2, begin, begin + channels)
        .view({xBC.size(0), xBC.size(1), channels / size, size});
  };
  return {.x = part(0, inner, inner / heads),
          .dt = path.projected.slice(2, path.projected.size(2) - heads),
          .A = path.A,
          .B = part(inner, shared, state),
          .C = part(inner + shared, shared, state),
          .D = path.D,
          .dt_bias = path.dt_bias,
          .h0 = path.h0,
          .starts = path.starts,
          .dt_min = semantics.dt_least,
          .dt_max = semantics.dt_most};
}

/// The norm's operands; of gradients, the norm's gradients. y is what the scan gave.
ops::GatedNormInput norm(const Semantics& semantics, const ScanPath& path, const Tensor& y) {
  return {.order = semantics.order,
          .x = y.flatten(2),
          .z = path.projected.slice(2, 0, path.out_proj_w.size(1)),
          .w = path.norm_w};
}

/// Of tensors that enter the function; `starts` is the last.
constexpr size_t kOperands = 12;

/// The order in which tensors enter the function and gradients leave it.
ScanPath path_of(const variable_list& all) {
  return {.projected = all[0],
          .conv_w = all[1],
          .conv_b = all[2],
          .A = all[3],
          .D = all[4],
          .dt_bias = all[5],
          .norm_w = all[6],
          .out_proj_w = all[7],
          .out_proj_b = all[8],
          .history = all[9],
          .h0 = all[10],
          .starts = all[11]};
}

class ScanPathFunction : public torch::autograd::Function<ScanPathFunction> {
 public:
  static variable_list forward(AutogradContext* context, const Semantics& semantics,
                               int64_t norm_groups, const Tensor& projected, const Tensor& conv_w,
                               const Tensor& conv_b, const Tensor& A, const Tensor& D,
                               const Tensor& dt_bias, const Tensor& norm_w,
                               const Tensor& out_proj_w, const OptionalTensor& out_proj_b,
                               const Tensor& history, const Tensor& h0,
                               const OptionalTensor& starts) {
    variable_list kept{projected, conv_w,     conv_b,
                       A,         D,          dt_bias,
                       norm_w,    out_proj_w, out_proj_b.value_or(Tensor()),
                       history,   h0,         starts.value_or(Tensor())};
    const ScanPath path = path_of(kept);
    const Tensor xBC = ops::empty_as(convolution(path).x);
    const ops::CausalConv1dOutput conv{xBC, ops::empty_as(history)};
    ops::causal_conv1d_into(convolution(path), conv);
    const ops::SsdInput in = scan(semantics, path, xBC);
    const ops::SsdOutput out{ops::empty_as(in.x), h0.clone(torch::MemoryFormat::Contiguous)};
    ops::ssd_into(in, out);
    ops::GatedNormInput gate = norm(semantics, path, out.y);
    gate.groups = norm_groups;
    const Tensor normed = ops::empty_as(gate.x);
    const Tensor inverse = torch::empty({rows_of(gate.x).size(0), norm_groups}, norm_w.options());
    ops::gated_norm_into(gate, normed, inverse);
    kept.insert(kept.end(), {out.y, inverse});
    // A GPU has less time to compute them again than memory to keep them.
    if (projected.is_cuda()) kept.insert(kept.end(), {xBC, normed});
    context->save_for_backward(std::move(kept));
    context->set_materialize_grads(false);
    context->saved_data["order"] = static_cast<int64_t>(semantics.order);
    context->saved_data["dt_least"] = semantics.dt_least;
    context->saved_data["dt_most"] = semantics.dt_most;
    return {nn::linear(normed, out_proj_w, path.out_proj_b), conv.history, out.h};
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    TORCH_CHECK(!torch::GradMode::is_enabled(), "mamba2: second derivatives are not offered");
    const Semantics semantics{static_cast<ops::GateOrder>(context->saved_data["order"].toInt()),
                              context->saved_data["dt_least"].toDouble(),
                              context->saved_data["dt_most"].toDouble()};
    const variable_list kept = context->get_saved_variables();
    const ScanPath path = path_of(kept);
    variable_list all;
    for (size_t i = 0; i + 1 < kOperands; ++i) all.push_back(ops::empty_as(kept[i]));
    all.emplace_back();
    const ScanPath d = path_of(all);
    const Tensor &y = kept[kOperands], &inverse = kept[kOperands + 1];
    const bool recompute = kept.size() == kOperands + 2;

    const Tensor dy = ops::empty_as(y);
    through_norm(semantics, path, {y, inverse, recompute ? Tensor() : kept[kOperands + 3]},
                 grads[0], d, dy);
    // The room of the convolution's last gradient is free until then.
    const Tensor xBC = recompute ? convolution(d).x : kept[kOperands + 2];
    const Tensor dxBC = torch::empty(xBC.sizes(), xBC.options());
    if (recompute) ops::causal_conv1d_into(convolution(path), {xBC, ops::empty_as(path.history)});
    ops::ssd_gradients(scan(semantics, path, xBC), {dy, grads[2]}, scan(semantics, d, dxBC));
    ops::causal_conv1d_gradients(convolution(path), {dxBC, grads[1]}, convolution(d));
    // Of the semantics and the number of groups.
    all.insert(all.begin(), 2, Tensor());
    return all;
  }

 private:
  struct Scanned {
    Tensor y, inverse;
    Tensor normed;  // or undefined, if it has to be computed again
  };
  /// From the gradient of the outcome, or undefined for 0, to that of what the scan gave.
  static void through_norm(const Semantics& semantics, const ScanPath& path, const Scanned& scanned,
                           const Tensor& dout, const ScanPath& d, const Tensor& dy) {
    ops::GatedNormInput gate = norm(semantics, path, scanned.y);
    gate.groups = scanned.inverse.size(1);
    const Tensor rows =
        dout.defined()
            ? rows_of(dout)
            : torch::zeros({rows_of(gate.x).size(0), path.out_proj_w.size(0)}, gate.x.options());
    Tensor normed = scanned.normed;
    if (!normed.defined()) {
      normed = ops::empty_as(gate.x);
      ops::gated_norm_into(gate, normed, {});
    }
    ops::multiply_into(d.out_proj_w, rows.t(), rows_of(normed));
    Tensor db = d.out_proj_b;
    if (db.defined()) torch::sum_out(db, rows, {0}, false, db.scalar_type());
    // Where it was computed again, its room is that of its gradient.
    const Tensor dnormed = scanned.normed.defined() ? ops::empty_as(gate.x) : normed;
    ops::multiply_into(rows_of(dnormed), rows, path.out_proj_w.to(rows.scalar_type()));
    ops::gated_norm_gradients(gate, scanned.inverse, dnormed, norm(semantics, d, dy));
  }
};

Tensor gated(const Settings& settings, const Tensor& y, const Tensor& z, const Tensor& w) {
  if (!settings.has_norm) return y * torch::silu(z);
  return ops::gated_norm(
      {.order = settings.order, .groups = settings.norm_groups, .x = y, .z = z, .w = w});
}

/// Whether every operation of the function runs where the signal is, in its type.
bool has_kernels(const Settings& settings, const Tensor& signal) {
  return settings.has_norm && ops::causal_conv1d_has_kernel(signal, settings.width) &&
         ops::ssd_has_kernel(signal, settings.state) && ops::gated_norm_has_kernel(signal);
}

}  // namespace

ScanPathOutput scan_path(const Settings& settings, const ScanPath& in) {
  if (!has_kernels(settings, in.projected)) return scan_path_of_operations(settings, in);
  const int64_t batch = in.projected.size(0);
  const variable_list out = ScanPathFunction::apply(
      Semantics{settings.order, settings.dt_least, settings.dt_most}, settings.norm_groups,
      in.projected, in.conv_w, ops::or_zeros(in.conv_b, {settings.convolved()}, in.conv_w), in.A,
      in.D, in.dt_bias, in.norm_w, in.out_proj_w, ops::optional(in.out_proj_b),
      ops::or_zeros(in.history, {batch, settings.width - 1, settings.convolved()}, in.projected),
      ops::or_zeros(in.h0, {batch, settings.heads, settings.head_dim, settings.state}, in.A),
      ops::optional(in.starts));
  return {out[0], out[1], out[2]};
}

ScanPathOutput scan_path_of_operations(const Settings& settings, const ScanPath& in) {
  const int64_t batch = in.projected.size(0), time = in.projected.size(1);
  const int64_t inner = settings.inner, shared = settings.groups * settings.state;
  // One node for all parts, so that their gradients are joined once.
  const auto parts =
      in.projected.split_with_sizes({inner, settings.convolved(), settings.heads}, 2);
  const ops::CausalConv1dOutput conv = ops::causal_conv1d({.activation = ops::ConvActivation::kSilu,
                                                           .x = parts[1],
                                                           .w = in.conv_w,
                                                           .b = in.conv_b,
                                                           .history = in.history,
                                                           .starts = in.starts});
  const auto signals = conv.y.split_with_sizes({inner, shared, shared}, 2);
  const auto split = [&](const Tensor& x, int64_t count) {
    return x.view({batch, time, count, x.size(2) / count});
  };
  const ops::SsdOutput scanned = ops::ssd({.x = split(signals[0], settings.heads),
                                           .dt = parts[2],
                                           .A = in.A,
                                           .B = split(signals[1], settings.groups),
                                           .C = split(signals[2], settings.groups),
                                           .D = in.D,
                                           .dt_bias = in.dt_bias,
                                           .h0 = in.h0,
                                           .starts = in.starts,
                                           .dt_min = settings.dt_least,
                                           .dt_max = settings.dt_most});
  const Tensor normed =
      gated(settings, scanned.y.reshape({batch, time, inner}), parts[0], in.norm_w);
  return {nn::linear(normed, in.out_proj_w, in.out_proj_b), conv.history, scanned.h};
}

}  // namespace longwave::mixers::mamba2
