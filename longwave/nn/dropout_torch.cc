// SPDX-License-Identifier: Apache-2.0
#include "longwave/nn/dropout_torch.h"

#include <algorithm>
#include <bit>

#include "longwave/base/parallel.h"
#include "longwave/base/philox.h"
#include "longwave/nn/dropout_device_torch.h"
#include "longwave/ops/tensor_view_torch.h"

namespace longwave::nn {
namespace {

void draw_on_cpu(const Dropout& dropout, const torch::Tensor& mask) {
  constexpr int64_t kNumbers = 4;  // of 32 bits that one call of philox gives
  constexpr int64_t kGrain = 4096;
  const int64_t count = mask.numel();
  const double least = dropout.rate * 4294967296.0;
  const auto seed = std::bit_cast<uint64_t>(dropout.seed.item<int64_t>());
  ops::with_precision_of(mask, [&](auto number) {
    using T = decltype(number);
    T* out = mask.data_ptr<T>();
    const T keep = static_cast<T>(1 / (1 - dropout.rate));
    parallel_for((count + kNumbers - 1) / kNumbers, kGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const auto bits = philox(seed, static_cast<uint64_t>(i), dropout.stream);
        for (int64_t j = kNumbers * i; j < std::min(kNumbers * (i + 1), count); ++j) {
          out[j] = static_cast<double>(bits[j % kNumbers]) >= least ? keep : T(0);
        }
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
