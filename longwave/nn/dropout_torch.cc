// SPDX-License-Identifier: Apache-2.0
#include "longwave/nn/dropout_torch.h"

#include <algorithm>
#include <bit>

#include "longwave/base/parallel.h"
#include "longwave/nn/dropout_device_torch.h"
#include "longwave/ops/dropout/dropout_rule.h"
#include "longwave/ops/tensor_view_torch.h"

namespace longwave::nn {
namespace {

void draw_on_cpu(const Dropout& dropout, const torch::Tensor& mask) {
  constexpr int64_t kNumbers = ops::kDropoutBlock;
  constexpr int64_t kGrain = 4096;
  const int64_t count = mask.numel();
  const auto seed = std::bit_cast<uint64_t>(dropout.seed.item<int64_t>());
  ops::with_precision_of(mask, [&](auto number) {
    using T = decltype(number);
    T* out = mask.data_ptr<T>();
    const ops::DropoutRule<T> rule(dropout.rate);
    parallel_for((count + kNumbers - 1) / kNumbers, kGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const auto numbers = rule.block(seed, i, dropout.stream);
        std::copy_n(numbers.begin(), std::min(kNumbers, count - kNumbers * i), out + kNumbers * i);
      }
    });
  });
}

}  // namespace

torch::Tensor dropout_seed(uint64_t seed) {
  return torch::full({1}, std::bit_cast<int64_t>(seed), torch::kInt64);
}

torch::Tensor dropout_mask(const Dropout& dropout, at::IntArrayRef shape,
                           const torch::Tensor& like) {
  Dropout drawn = dropout;
  drawn.seed = dropout.seed.defined() ? dropout.seed.to(like.device())
                                      : torch::zeros({1}, like.options().dtype(torch::kInt64));
  const torch::Tensor mask = torch::empty(shape, like.options().requires_grad(false));
  if (like.is_cuda()) {
    dropout_mask_on_device(drawn, mask);
  } else {
    draw_on_cpu(drawn, mask);
  }
  return mask;
}

}  // namespace longwave::nn
