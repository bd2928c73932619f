// SPDX-License-Identifier: Apache-2.0
// Times the training form of a layer, one JSON request a line on stdin, one JSON answer a line on
// stdout, so that bench/layers.py can interleave it with other implementations:
//
//   {"family": "s4d", "batch": 8, "channels": 256, "state": 64, "length": 4096, "threads": 2}
//
// "layers": 4 puts four of them one after the other. With "check": "FOLDER" it writes the input,
// the output and the parameters there instead, as raw float32, for the other implementation to
// repeat.

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "longwave/base/parallel.h"
#include "longwave/base/parameter.h"
#include "longwave/mixers/mixer_torch.h"
#include "longwave/mixers/registry.h"

namespace longwave::mixers {
namespace {

using nlohmann::json;

/// A layer of the requested size with trainable parameters.
struct Layer {
  explicit Layer(const json& request) {
    const Family& of = family(request.at("family").get<std::string>());
    const int64_t channels = request.at("channels"), length = request.at("length");
    Options options(of.schema());
    options.set("state", request.at("state").get<int64_t>(), "request");
    if (options.has("length")) options.set("length", length, "request");
    const ParameterTable table = of.parameters(options, channels);
    const Weights weights = initialise(table, 1);
    for (const Parameter& parameter : table) {
      torch::Tensor tensor = torch::empty(parameter.shape);
      std::ranges::copy(weights.get(parameter.name, parameter.shape), tensor.data_ptr<float>());
      parameters[parameter.name] = tensor.requires_grad_();
    }
    mixer = make_torch_mixer(of.name, options, channels,
                             [this](const std::string& name) { return parameters.at(name); });
  }

  torch::Tensor forward(const torch::Tensor& u) const {
    return mixer->forward({.u = u, .state = {}, .final_state = false}).y;
  }

  std::map<std::string, torch::Tensor> parameters;
  std::unique_ptr<TorchMixer> mixer;
};

torch::Tensor make_input(const json& request) {
  const int64_t batch = request.at("batch"), length = request.at("length");
  return torch::randn({batch, length, request.at("channels").get<int64_t>()});
}

double peak_megabytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

double milliseconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
      .count();
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

json time_layer(const json& request) {
  std::vector<std::unique_ptr<Layer>> layers;
  for (int i = 0; i < request.value("layers", 1); ++i) {
    layers.push_back(std::make_unique<Layer>(request));
  }
  torch::Tensor u = make_input(request).requires_grad_();
  const torch::Tensor dy = torch::randn(u.sizes());
  std::vector<double> forward, backward;
  const int repeats = request.value("repeats", 3);
  for (int i = 0; i <= repeats; ++i) {
    auto start = std::chrono::steady_clock::now();
    torch::Tensor y = u;
    for (const auto& layer : layers) y = layer->forward(y);
    const double forward_ms = milliseconds_since(start);
    start = std::chrono::steady_clock::now();
    y.backward(dy);
    // The first round warms up.
    if (i > 0) forward.push_back(forward_ms), backward.push_back(milliseconds_since(start));
    u.mutable_grad() = torch::Tensor();
  }
  return {{"forward_ms", median(forward)},
          {"backward_ms", median(backward)},
          {"peak_mb", peak_megabytes()}};
}

void write(const std::filesystem::path& path, const torch::Tensor& tensor) {
  const torch::Tensor dense = tensor.detach().contiguous();
  std::ofstream(path, std::ios::binary)
      .write(static_cast<const char*>(dense.data_ptr()),
             static_cast<std::streamsize>(dense.nbytes()));
}

json write_check(const json& request) {
  const Layer layer(request);
  const std::filesystem::path folder = request.at("check").get<std::string>();
  const torch::Tensor u = make_input(request);
  write(folder / "u", u);
  write(folder / "y", layer.forward(u));
  for (const auto& [name, tensor] : layer.parameters) write(folder / name, tensor);
  return {{"parameters", layer.parameters.size()}};
}

int run() {
  std::string line;
  while (std::getline(std::cin, line)) {
    const json request = json::parse(line);
    const int threads = request.value("threads", 2);
    set_thread_count(threads);
    torch::set_num_threads(threads);
    std::cout << (request.contains("check") ? write_check(request) : time_layer(request))
              << std::endl;
  }
  return 0;
}

}  // namespace
}  // namespace longwave::mixers

int main() { return longwave::mixers::run(); }
