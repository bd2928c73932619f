// SPDX-License-Identifier: Apache-2.0
#include "longwave/nn/dropout_torch.h"

#include <algorithm>

#include "longwave/base/parallel.h"
#include "longwave/base/philox.h"
#include "longwave/ops/tensor_view_torch.h"

namespace longwave::nn {

torch::Tensor dropout_mask(const Dropout& dropout, at::IntArrayRef shape,
                           const torch::Tensor& like) {
  constexpr int64_t kNumbers = 4;  // of 32 bits that one call of philox gives
  constexpr int64_t kGrain = 4096;
  const torch::Tensor mask = torch::empty(shape, torch::TensorOptions(like.scalar_type()));
  const int64_t count = mask.numel();
  const double least = dropout.rate * 4294967296.0;
  ops::with_precision_of(like, [&](auto number) {
    using T = decltype(number);
    T* out = mask.data_ptr<T>();
    const T keep = static_cast<T>(1 / (1 - dropout.rate));
    parallel_for((count + kNumbers - 1) / kNumbers, kGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const auto bits = philox(dropout.seed, static_cast<uint64_t>(i), dropout.stream);
        for (int64_t j = kNumbers * i; j < std::min(kNumbers * (i + 1), count); ++j) {
          out[j] = static_cast<double>(bits[j % kNumbers]) >= least ? keep : T(0);
        }
      }
    });
  });
  return mask.to(like.device());
}

}  // namespace longwave::nn
