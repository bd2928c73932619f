// SPDX-License-Identifier: Apache-2.0
#include "longwave/runtime/quantize_model.h"

#include <cmath>
#include <utility>

#include "longwave/ops/quant/quant.h"

namespace longwave::runtime {
namespace {

bool fits(DType dtype, const Shape& shape) { return shape.back() % block_of(dtype).elements == 0; }

bool is_four_bits(DType dtype) { return dtype == DType::kQ4_0 || dtype == DType::kQ4_K; }

bool every_token_reads(const std::string& name) {
  return name == "encoder.weight" || name == "decoder.weight";
}

DType type_for(const Parameter& parameter, DType wanted) {
  if (is_four_bits(wanted) && every_token_reads(parameter.name)) wanted = DType::kQ6_K;
  for (const DType dtype : {wanted, DType::kQ8_0}) {
    if (fits(dtype, parameter.shape)) return dtype;
  }
  return DType::kBFloat16;
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

std::vector<QuantizedTensor> quantize_model(const models::Config& config, Weights& weights,
                                            DType to) {
  std::vector<QuantizedTensor> report;
  for (const Parameter& parameter : models::parameters(config)) {
    if (parameter.storage != Storage::kMatrix) continue;
    const Tensor& given = weights.of(parameter);
    const Tensor plain = ops::dequantize(given);
    Tensor small = ops::quantize(plain, type_for(parameter, to));
    report.push_back({.name = parameter.name,
                      .shape = parameter.shape,
                      .from = given.dtype(),
                      .to = small.dtype(),
                      .fits = fits(to, parameter.shape),
                      .bytes_before = given.bytes(),
                      .bytes_after = small.bytes(),
                      .error = relative_error(plain, small)});
    weights.put(parameter.name, std::move(small));
  }
  return report;
}

}  // namespace longwave::runtime
