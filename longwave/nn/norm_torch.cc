// SPDX-License-Identifier: Apache-2.0
#include "longwave/nn/norm_torch.h"

#include <cmath>
#include <span>

#include "longwave/nn/norm_device_torch.h"
#include "longwave/nn/norm_rows_torch.h"
#include "longwave/ops/autocast_torch.h"
#include "longwave/ops/operand_torch.h"
#include "longwave/ops/tensor_view_torch.h"

namespace longwave::nn {
namespace {

using ops::view_of;
using ops::with_precision_of;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using OptionalTensor = c10::optional<torch::Tensor>;

std::span<const uint8_t> valid_rows(const torch::Tensor& valid) {
  if (!valid.defined()) return {};
  return {valid.data_ptr<uint8_t>(), static_cast<size_t>(valid.numel())};
}

void normalise_rows(const RowNormOnDevice& call) {
  if (call.x.is_cuda()) return row_norm_on_device(call);
  with_precision_of(call.x, [&](auto number) {
    using T = decltype(number);
    ops::row_norm<T>({.kind = call.kind,
                      .epsilon = T(kNormEpsilon),
                      .x = view_of<const T, 2>(call.x),
                      .w = view_of<const T, 1>(call.w),
                      .b = view_of<const T, 1>(call.b),
                      .y = view_of<T, 2>(call.y),
                      .moments = view_of<T, 2>(call.moments)});
  });
}

void normalise_rows_back(const RowNormGradOnDevice& call) {
  if (call.x.is_cuda()) return row_norm_backward_on_device(call);
  with_precision_of(call.x, [&](auto number) {
    using T = decltype(number);
    Workspace workspace(ops::norm_workspace_bytes<T>(call.x.size(1)));
    ops::row_norm_grad<T>({.kind = call.kind,
                           .x = view_of<const T, 2>(call.x),
                           .w = view_of<const T, 1>(call.w),
                           .moments = view_of<const T, 2>(call.moments),
                           .dy = view_of<const T, 2>(call.dy),
                           .dx = view_of<T, 2>(call.dx),
                           .dw = view_of<T, 1>(call.dw),
                           .db = view_of<T, 1>(call.db)},
                          workspace);
  });
}

class RowNormFunction : public torch::autograd::Function<RowNormFunction> {
 public:
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& x,
                               const torch::Tensor& w, const OptionalTensor& b, ops::RowNorm kind,
                               Precision precision) {
    const torch::Tensor rows = rows_of(x);
    torch::Tensor y = torch::empty_like(rows);
    const torch::Tensor moments = torch::empty({rows.size(0), 2}, rows.options());
    if (x.is_cuda() && precision == Precision::kBfloat16) {
      y = torch::empty_like(rows, torch::kBFloat16);
    }
    normalise_rows({kind, rows, w, b.value_or(torch::Tensor()), y, moments});
    context->save_for_backward({rows, w, moments});
    context->saved_data["kind"] = static_cast<int64_t>(kind);
    context->saved_data["bias"] = b.has_value();
    return rounded(precision, y).view(x.sizes());
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const torch::Tensor &x = saved[0], &w = saved[1], &moments = saved[2];
    const torch::Tensor given = rows_of(gradients[0]);
    const torch::Tensor dy = x.is_cuda() ? given : given.to(x.scalar_type());
    const torch::Tensor dx = torch::empty_like(x), dw = torch::empty_like(w);
    const torch::Tensor db =
        context->saved_data["bias"].toBool() ? torch::empty_like(w) : torch::Tensor();
    const auto kind = static_cast<ops::RowNorm>(context->saved_data["kind"].toInt());
    normalise_rows_back({kind, x, w, moments, dy, dx, dw, db});
    return {dx.view(gradients[0].sizes()), dw, db, torch::Tensor(), torch::Tensor()};
  }
};

class NormLinearFunction : public torch::autograd::Function<NormLinearFunction> {
 public:
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& x,
                               const torch::Tensor& w, const OptionalTensor& shift,
                               const torch::Tensor& W, const OptionalTensor& b, ops::RowNorm kind) {
    const torch::Tensor rows = rows_of(x), normed = torch::empty_like(rows);
    const torch::Tensor moments = torch::empty({rows.size(0), 2}, rows.options());
    normalise_rows({kind, rows, w, shift.value_or(torch::Tensor()), normed, moments});
    context->save_for_backward({rows, w, shift.value_or(torch::Tensor()), moments, W});
    context->saved_data["kind"] = static_cast<int64_t>(kind);
    context->saved_data["bias"] = b.has_value();
    return linear(normed.view(x.sizes()), W, b.value_or(torch::Tensor()));
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    TORCH_CHECK(!torch::GradMode::is_enabled(), "norm_linear: second derivatives are not offered");
    const variable_list saved = context->get_saved_variables();
    const torch::Tensor &x = saved[0], &w = saved[1], &shift = saved[2], &W = saved[4];
    const auto kind = static_cast<ops::RowNorm>(context->saved_data["kind"].toInt());
    const torch::Tensor dy = rows_of(gradients[0]);
    torch::Tensor normed = torch::empty_like(x);
    normalise_rows({kind, x, w, shift, normed, {}});
    const torch::Tensor dW = torch::mm(dy.t(), normed);
    const torch::Tensor db = context->saved_data["bias"].toBool() ? dy.sum(0) : torch::Tensor();
    // What was normalised makes room for its gradient, and that for the gradient of x.
    const torch::Tensor dx = torch::mm_out(normed, dy, W);
    const torch::Tensor dw = torch::empty_like(w);
    const torch::Tensor dshift = shift.defined() ? torch::empty_like(w) : torch::Tensor();
    normalise_rows_back({kind, x, w, saved[3], dx, dx, dw, dshift});
    std::vector<int64_t> sizes = gradients[0].sizes().vec();
    sizes.back() = x.size(1);
    return {dx.view(sizes), dw, dshift, dW, db, torch::Tensor()};
  }
};

/// Mean and variance of a batch, as computed by the forward pass.
struct BatchMoments {
  torch::Tensor mean, var;  // (channels)
};

BatchMoments batch_moments(const torch::Tensor& rows, const torch::Tensor& valid) {
  BatchMoments moments{torch::empty({rows.size(1)}, rows.options()),
                       torch::empty({rows.size(1)}, rows.options())};
  with_precision_of(rows, [&](auto number) {
    using T = decltype(number);
    Workspace workspace(ops::norm_workspace_bytes<T>(rows.size(1)));
    ops::channel_moments<T>({.x = view_of<const T, 2>(rows),
                             .valid = valid_rows(valid),
                             .mean = view_of<T, 1>(moments.mean),
                             .var = view_of<T, 1>(moments.var)},
                            workspace);
  });
  return moments;
}

torch::Tensor affine(const torch::Tensor& rows, const torch::Tensor& scale,
                     const torch::Tensor& shift) {
  const torch::Tensor y = torch::empty_like(rows);
  with_precision_of(rows, [&](auto number) {
    using T = decltype(number);
    ops::channel_affine<T>({.x = view_of<const T, 2>(rows),
                            .scale = view_of<const T, 1>(scale),
                            .shift = view_of<const T, 1>(shift),
                            .y = view_of<T, 2>(y)});
  });
  return y;
}

class BatchNormFunction : public torch::autograd::Function<BatchNormFunction> {
 public:
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& x,
                               const torch::Tensor& w, const torch::Tensor& b,
                               const OptionalTensor& valid, const torch::Tensor& running_mean,
                               const torch::Tensor& running_var) {
    const torch::Tensor rows = rows_of(x);
    const torch::Tensor mask = valid.value_or(torch::Tensor());
    const BatchMoments moments = batch_moments(rows, mask);
    const torch::Tensor inverse = (moments.var + kNormEpsilon).rsqrt();
    const torch::Tensor scale = w * inverse;
    const torch::Tensor y = affine(rows, scale, b - moments.mean * scale);
    const double count = mask.defined() ? mask.sum().item<double>() : rows.size(0);
    running_mean.mul_(1 - kNormMomentum).add_(moments.mean, kNormMomentum);
    running_var.mul_(1 - kNormMomentum)
        .add_(moments.var, kNormMomentum * count / std::max(count - 1, 1.0));
    context->save_for_backward({rows, w, moments.mean, inverse, mask});
    return y.view(x.sizes());
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const torch::Tensor &x = saved[0], &w = saved[1], &valid = saved[4];
    const torch::Tensor dy = rows_of(gradients[0]), dx = torch::empty_like(x);
    const torch::Tensor dw = torch::empty_like(w), db = torch::empty_like(w);
    with_precision_of(x, [&](auto number) {
      using T = decltype(number);
      Workspace workspace(ops::norm_workspace_bytes<T>(x.size(1)));
      ops::batch_norm_grad<T>({.x = view_of<const T, 2>(x),
                               .w = view_of<const T, 1>(w),
                               .mean = view_of<const T, 1>(saved[2]),
                               .inverse = view_of<const T, 1>(saved[3]),
                               .dy = view_of<const T, 2>(dy),
                               .valid = valid_rows(valid),
                               .dx = view_of<T, 2>(dx),
                               .dw = view_of<T, 1>(dw),
                               .db = view_of<T, 1>(db)},
                              workspace);
    });
    return {
        dx.view(gradients[0].sizes()), dw, db, torch::Tensor(), torch::Tensor(), torch::Tensor()};
  }
};

/// Batch normalisation as operations of torch, which differentiates it: the form on a GPU.
torch::Tensor batch_norm_of_operations(const torch::Tensor& x, const torch::Tensor& w,
                                       const torch::Tensor& b, const torch::Tensor& valid,
                                       const torch::Tensor& running_mean,
                                       const torch::Tensor& running_var) {
  const torch::Tensor rows = x.reshape({-1, x.size(-1)});
  torch::Tensor share = torch::full({rows.size(0), 1}, 1.0, rows.options().requires_grad(false));
  if (valid.defined()) share = valid.reshape({-1, 1}).to(rows.scalar_type());
  const torch::Tensor count = share.sum();
  const torch::Tensor mean = (rows * share).sum(0) / count;
  const torch::Tensor var = ((rows - mean).square() * share).sum(0) / count;
  {
    const torch::NoGradGuard no_grad;
    const torch::Tensor unbiased = var * (count / (count - 1).clamp_min(1));
    running_mean.mul_(1 - kNormMomentum).add_(mean, kNormMomentum);
    running_var.mul_(1 - kNormMomentum).add_(unbiased, kNormMomentum);
  }
  return ((rows - mean) * (var + kNormEpsilon).rsqrt() * w + b).view(x.sizes());
}

torch::Tensor batch_norm(const torch::Tensor& x, const torch::Tensor& valid, Phase phase,
                         const ParameterLookup& parameters) {
  const torch::Tensor weight = parameters("weight"), bias = parameters("bias");
  const torch::Tensor mean = parameters("running_mean"), var = parameters("running_var");
  if (phase == Phase::kTraining && x.is_cuda()) {
    return batch_norm_of_operations(x, weight, bias, valid, mean, var);
  }
  if (phase == Phase::kTraining) {
    const torch::Tensor mask = valid.defined() ? valid.contiguous() : valid;
    return BatchNormFunction::apply(x, weight, bias, ops::optional(mask), mean, var);
  }
  const torch::Tensor scale = weight / (var + kNormEpsilon).sqrt();
  return x * scale + (bias - mean * scale);
}

}  // namespace

torch::Tensor norm(NormKind kind, const torch::Tensor& x, const torch::Tensor& valid, Phase phase,
                   const ParameterLookup& parameters, Precision precision) {
  if (kind == NormKind::kBatch) return rounded(precision, batch_norm(x, valid, phase, parameters));
  return RowNormFunction::apply(x, parameters("weight"), shift_of(kind, parameters),
                                row_norm_of(kind), precision);
}

torch::Tensor norm_linear(const NormLinear& call, const ParameterLookup& parameters) {
  const ops::WithoutAutocast as_given;
  if (call.kind == NormKind::kBatch || !call.x.is_cpu()) {
    return linear(norm(call.kind, call.x, torch::Tensor(), call.phase, parameters), call.W, call.b);
  }
  return NormLinearFunction::apply(call.x, parameters("weight"), shift_of(call.kind, parameters),
                                   call.W, ops::optional(call.b), row_norm_of(call.kind));
}

}  // namespace longwave::nn
