// SPDX-License-Identifier: Apache-2.0
#include "longwave/nn/residual_torch.h"

#include "longwave/nn/norm_device_torch.h"
#include "longwave/nn/norm_rows_torch.h"

namespace longwave::nn {
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using OptionalTensor = c10::optional<Tensor>;

class NormedSumFunction : public torch::autograd::Function<NormedSumFunction> {
 public:
  static variable_list forward(AutogradContext* context, const Tensor& x, const Tensor& branch,
                               const Tensor& w, const OptionalTensor& b, ops::RowNorm kind) {
    const Tensor rows = rows_of(x), added = rows_of(branch);
    const Tensor sum = torch::empty_like(rows), y = torch::empty_like(added);
    const Tensor moments = torch::empty({rows.size(0), 2}, rows.options());
    row_norm_on_device({.kind = kind,
                        .x = rows,
                        .w = w,
                        .b = b.value_or(Tensor()),
                        .y = y,
                        .moments = moments,
                        .branch = added,
                        .sum = sum});
    context->save_for_backward({sum, w, moments});
    context->set_materialize_grads(false);
    context->saved_data["kind"] = static_cast<int64_t>(kind);
    context->saved_data["bias"] = b.has_value();
    return {sum.view(x.sizes()), y.view(x.sizes())};
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    TORCH_CHECK(!torch::GradMode::is_enabled(), "normed_sum: second derivatives are not offered");
    const variable_list saved = context->get_saved_variables();
    const Tensor &sum = saved[0], &w = saved[1];
    const Tensor dsum = gradients[0].defined() ? rows_of(gradients[0]) : Tensor();
    const Tensor dy =
        gradients[1].defined() ? rows_of(gradients[1]) : torch::zeros_like(sum, torch::kBFloat16);
    const Tensor dx = torch::empty_like(sum), dbranch = torch::empty_like(dy);
    const Tensor dw = torch::empty_like(w);
    const Tensor db = context->saved_data["bias"].toBool() ? torch::empty_like(w) : Tensor();
    row_norm_backward_on_device(
        {.kind = static_cast<ops::RowNorm>(context->saved_data["kind"].toInt()),
         .x = sum,
         .w = w,
         .moments = saved[2],
         .dy = dy,
         .dx = dx,
         .dw = dw,
         .db = db,
         .dsum = dsum,
         .dbranch = dbranch});
    const auto sizes = (gradients[0].defined() ? gradients[0] : gradients[1]).sizes();
    return {dx.view(sizes), dbranch.view(sizes), dw, db, Tensor()};
  }
};

}  // namespace

bool joins(NormKind kind, const Residual& stream, Precision precision) {
  return kind != NormKind::kBatch && precision == Precision::kBfloat16 && stream.branch.defined() &&
         stream.x.is_cuda() && stream.x.scalar_type() == torch::kFloat32 &&
         stream.branch.scalar_type() == torch::kBFloat16;
}

NormedSum normed_sum(NormKind kind, const Residual& stream, const ParameterLookup& parameters) {
  const variable_list out = NormedSumFunction::apply(stream.x, stream.branch, parameters("weight"),
                                                     shift_of(kind, parameters), row_norm_of(kind));
  return {out[0], out[1]};
}

}  // namespace longwave::nn
