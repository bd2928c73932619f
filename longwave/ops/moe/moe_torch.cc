// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/moe/moe_torch.h"

#include "longwave/ops/moe/moe_operations_torch.h"
#include "longwave/ops/operand_torch.h"
#include "longwave/ops/tensor_view_torch.h"

namespace longwave::ops {
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

void refuse_second_derivatives() {
  TORCH_CHECK(!torch::GradMode::is_enabled(), "moe: second derivatives are not offered");
}

class RouteFunction : public torch::autograd::Function<RouteFunction> {
 public:
  static variable_list forward(AutogradContext* context, const RouterSettings& settings,
                               const Tensor& logits) {
    const int64_t tokens = logits.size(0), experts = logits.size(1);
    const Tensor chosen = torch::empty({tokens, settings.k}, torch::kInt64);
    const Tensor counts = torch::empty({experts}, torch::kInt64);
    const Tensor weights = torch::empty({tokens, settings.k}, logits.options());
    const Tensor p = torch::empty({tokens, experts}, logits.options());
    const Tensor balance = torch::empty({}, logits.options());
    with_precision_of(logits, [&](auto number) {
      using T = decltype(number);
      route(RouteArgs<T>{.kind = settings.kind,
                         .logits = view_of<const T, 2>(logits.detach()),
                         .chosen = view_of<int64_t, 2>(chosen),
                         .weights = view_of<T, 2>(weights),
                         .counts = view_of<int64_t, 1>(counts),
                         .p = view_of<T, 2>(p),
                         .balance = balance.data_ptr<T>()});
    });
    context->mark_non_differentiable({chosen, counts});
    context->set_materialize_grads(false);
    context->saved_data["kind"] = static_cast<int64_t>(settings.kind);
    context->saved_data["p"] = p;
    context->save_for_backward({weights, chosen, counts});
    return {weights, balance, chosen, counts};
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    refuse_second_derivatives();
    const variable_list saved = context->get_saved_variables();
    const auto kind = static_cast<RouterWeights>(context->saved_data["kind"].toInt());
    const Tensor p = context->saved_data["p"].toTensor();
    const Tensor dlogits = torch::empty_like(p), dweights = grads[0];
    with_precision_of(p, [&](auto number) {
      using T = decltype(number);
      route_backward(RouteGradArgs<T>{.kind = kind,
                                      .p = view_of<const T, 2>(p),
                                      .chosen = view_of<const int64_t, 2>(saved[1]),
                                      .weights = view_of<const T, 2>(saved[0]),
                                      .counts = view_of<const int64_t, 1>(saved[2]),
                                      .dweights = view_of<const T, 2>(dweights),
                                      .dbalance = grads[1].defined() ? grads[1].item<T>() : T(0),
                                      .dlogits = view_of<T, 2>(dlogits)});
    });
    return {Tensor(), dlogits};
  }
};

/// What autograd does not look at.
struct Places {
  Tensor order, place;
};

// Sum of each token's rows; weights may be undefined for 1.
Tensor combined(const Tensor& rows, const Tensor& weights, const Tensor& place) {
  if (rows.is_cuda()) return combine_of_operations(rows, weights, place);
  const Tensor y = torch::empty({place.size(0), rows.size(1)}, rows.options());
  with_precision_of(rows, [&](auto number) {
    using T = decltype(number);
    combine(CombineArgs<T>{.rows = view_of<const T, 2>(rows),
                           .weights = view_of<const T, 2>(weights),
                           .place = view_of<const int64_t, 2>(place),
                           .y = view_of<T, 2>(y)});
  });
  return y;
}

class GatherFunction : public torch::autograd::Function<GatherFunction> {
 public:
  static Tensor forward(AutogradContext* context, const Places& places, const Tensor& x) {
    context->saved_data["place"] = places.place;
    if (x.is_cuda()) return gather_of_operations(x, places.order);
    const Tensor rows = torch::empty({places.order.size(0), x.size(1)}, x.options());
    with_precision_of(x, [&](auto number) {
      using T = decltype(number);
      gather(GatherArgs<T>{.x = view_of<const T, 2>(x.detach()),
                           .order = view_of<const int64_t, 1>(places.order),
                           .rows = view_of<T, 2>(rows)});
    });
    return rows;
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    refuse_second_derivatives();
    return {Tensor(),
            combined(with_rows(grads[0]), Tensor(), context->saved_data["place"].toTensor())};
  }
};

class CombineFunction : public torch::autograd::Function<CombineFunction> {
 public:
  static Tensor forward(AutogradContext* context, const Places& places, const Tensor& rows,
                        const Tensor& weights) {
    context->saved_data["place"] = places.place;
    context->save_for_backward({rows, weights});
    return combined(with_rows(rows), weights.detach(), places.place);
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    refuse_second_derivatives();
    const variable_list saved = context->get_saved_variables();
    const Tensor rows = with_rows(saved[0]), weights = saved[1], dy = with_rows(grads[0]);
    const Tensor place = context->saved_data["place"].toTensor();
    if (rows.is_cuda()) {
      const auto found = combine_gradients_of_operations(rows, weights, place, dy);
      return {Tensor(), found.drows, found.dweights};
    }
    const Tensor drows = torch::empty(rows.sizes(), rows.options());
    const Tensor dweights = torch::empty(weights.sizes(), weights.options());
    with_precision_of(rows, [&](auto number) {
      using T = decltype(number);
      combine_backward(CombineGradArgs<T>{.rows = view_of<const T, 2>(rows),
                                          .weights = view_of<const T, 2>(weights),
                                          .place = view_of<const int64_t, 2>(place),
                                          .dy = view_of<const T, 2>(dy),
                                          .drows = view_of<T, 2>(drows),
                                          .dweights = view_of<T, 2>(dweights)});
    });
    return {Tensor(), drows, dweights};
  }
};

}  // namespace

Routing route(const RouterSettings& settings, const Tensor& logits) {
  require(logits.dim() == 2, "route", "logits must be (tokens, experts)");
  require(settings.k >= 1 && settings.k <= logits.size(1), "route",
          "k must be at least 1 and at most the experts");
  if (logits.is_cuda()) return route_of_operations(settings, logits);
  const variable_list out = RouteFunction::apply(settings, logits);
  Routing routing{.weights = out[0],
                  .balance = out[1],
                  .chosen = out[2],
                  .counts = out[3],
                  .order = torch::empty({out[2].numel()}, torch::kInt64),
                  .place = torch::empty(out[2].sizes(), torch::kInt64),
                  .first = torch::empty({logits.size(1) + 1}, torch::kInt64)};
  dispatch({.chosen = view_of<const int64_t, 2>(routing.chosen),
            .counts = view_of<const int64_t, 1>(routing.counts),
            .order = view_of<int64_t, 1>(routing.order),
            .place = view_of<int64_t, 2>(routing.place),
            .first = view_of<int64_t, 1>(routing.first)});
  return routing;
}

Tensor gather(const Routing& routing, const Tensor& x) {
  require(x.dim() == 2, "gather", "x must be (tokens, channels)");
  return GatherFunction::apply(Places{routing.order, routing.place}, x);
}

Tensor combine(const Routing& routing, const Tensor& rows) {
  require(rows.dim() == 2, "combine", "rows must be (tokens k, channels)");
  return CombineFunction::apply(Places{routing.order, routing.place}, rows, routing.weights);
}

}  // namespace longwave::ops
