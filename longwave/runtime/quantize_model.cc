// SPDX-License-Identifier: Apache-2.0
#include "longwave/runtime/quantize_model.h"

#include <cmath>
#include <utility>

#include "longwave/ops/quant/quant.h"

namespace longwave::runtime {
namespace {

bool is_four_bits(DType dtype) { return dtype == DType::kQ4_0 || dtype == DType::kQ4_K; }

bool every_token_reads(const std::string& name) {
  return name == "encoder.weight" || name == "decoder.weight";
}

double relative_error(const Tensor& before, const Tensor& after) {
  const Tensor decoded = ops::dequantize(after);
  const auto from = before.elements<float>(), to = decoded.elements<float>();
  double error = 0, power = 0;
  for (size_t i = 0; i < from.size(); ++i) {
    const double difference = static_cast<double>(from[i]) - to[i];
    error += difference * difference;
    power += static_cast<double>(from[i]) * from[i];
  }
  return power > 0 ? std::sqrt(error / power) : 0;
}

}  // namespace

DType quantized_type(const Parameter& parameter, DType to) {
  if (parameter.storage != Storage::kMatrix) return DType::kFloat32;
  if (is_four_bits(to) && every_token_reads(parameter.name)) to = DType::kQ6_K;
  for (const DType dtype : {to, DType::kQ8_0}) {
    if (fits(dtype, parameter.shape)) return dtype;
  }
  return DType::kBFloat16;
}

std::pair<Tensor, QuantizedTensor> quantize_tensor(const Parameter& parameter, const Tensor& tensor,
                                                   DType to) {
  const Tensor plain = ops::dequantize(tensor);
  Tensor small = ops::quantize(plain, quantized_type(parameter, to));
  QuantizedTensor report = {.name = parameter.name,
                            .shape = parameter.shape,
                            .from = tensor.dtype(),
                            .to = small.dtype(),
                            .fits = fits(to, parameter.shape),
                            .bytes_before = tensor.bytes(),
                            .bytes_after = small.bytes(),
                            .error = relative_error(plain, small)};
  return {std::move(small), std::move(report)};
}

std::vector<QuantizedTensor> quantize_model(const models::Config& config, Weights& weights,
                                            DType to) {
  std::vector<QuantizedTensor> report;
  for (const Parameter& parameter : models::parameters(config)) {
    if (parameter.storage != Storage::kMatrix) continue;
    auto [small, became] = quantize_tensor(parameter, weights.of(parameter), to);
    weights.put(parameter.name, std::move(small));
    report.push_back(std::move(became));
  }
  return report;
}

}  // namespace longwave::runtime
