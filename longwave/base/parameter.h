// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "longwave/base/matrix.h"
#include "longwave/base/philox.h"
#include "longwave/base/tensor.h"

namespace longwave {

/// How the optimiser treats a parameter.
enum class ParameterGroup : uint8_t {
  kMain,     ///< global learning rate and weight decay
  kSsm,      ///< learning rate of the state space parameters, no weight decay
  kNoDecay,  ///< global learning rate, no weight decay (norms, biases)
  kBuffer,   ///< not trained: running statistics, frozen values
};

/// In which types a parameter may be stored where a model only runs.
enum class Storage : uint8_t {
  kFloat32,  ///< float32 alone
  kMatrix,   ///< any type that a Matrix has: its layer asks for `Weights::matrix`
};

class Weights;

/// One parameter of a layer: declared once, read by training, runtime and documentation.
struct Parameter {
  std::string name;  ///< the checkpoint key within its layer, such as "A_re"
  Shape shape;       ///< float32; complex values end in an extent of 2 (re, im)
  ParameterGroup group = ParameterGroup::kMain;
  std::function<void(std::span<float>, Random&)> init;  ///< fills the elements in row-major order
  Storage storage = Storage::kFloat32;

  /// Changes the elements once all parameters of the model are filled; sees those of its own layer
  /// by their names in the layer's table. Absent for most.
  std::function<void(std::span<float>, const Weights&)> adjust = {};
};

using ParameterTable = std::vector<Parameter>;

/// The table with "prefix." before each name.
ParameterTable with_prefix(const std::string& prefix, ParameterTable table);

/// Appends `more` to `table`.
void append(ParameterTable& table, ParameterTable more);

/// Common initialisers.
std::function<void(std::span<float>, Random&)> constant_init(float value);
std::function<void(std::span<float>, Random&)> uniform_init(double low, double high);
std::function<void(std::span<float>, Random&)> normal_init(double mean, double deviation);

/// Named tensors: the weights of a model, or of a part of it. All are float32 but matrices, which
/// may be stored in any type that a Matrix has.
///
/// `scope("layers.0.mixer")` is the same storage seen from there; copies share it.
///
/// Errors     `get`, `view`, `matrix` and `of` throw DataError naming the tensor if it is missing
/// or
///            has another shape or type.
/// Threads    const use is safe from many threads; nothing may be added meanwhile.
class Weights {
 public:
  Weights() : tensors_(std::make_shared<std::map<std::string, Tensor>>()) {}

  void put(const std::string& name, Tensor tensor);
  bool has(const std::string& name) const;

  /// Moves a tensor out of the storage, which must have it.
  Tensor take(const std::string& name);

  /// The tensor's elements seen with `shape`, which must be its own.
  std::span<const float> get(const std::string& name, const Shape& shape) const;

  template <int Rank>
  View<const float, Rank> view(const std::string& name,
                               const std::array<int64_t, Rank>& shape) const {
    return {get(name, Shape(shape.begin(), shape.end())).data(), shape};
  }

  /// A tensor of two extents or more; all but the last are rows. It may be float32, float16,
  /// bfloat16 or blocks.
  Matrix matrix(const std::string& name, const Shape& shape) const;

  /// The tensor of a parameter, in a type that its storage allows.
  const Tensor& of(const Parameter& parameter) const;

  Weights scope(const std::string& name) const;

  /// The name of the scope: "" at the top, else "layers.0.mixer".
  std::string path() const;

  /// All tensors of the storage by full name, whatever the scope.
  const std::map<std::string, Tensor>& all() const { return *tensors_; }

 private:
  const Tensor& find(const std::string& name) const;

  std::shared_ptr<std::map<std::string, Tensor>> tensors_;
  std::string prefix_;
};

/// Fresh weights for a table: each parameter draws from its own stream, named after it, so that
/// adding one changes no other.
Weights initialise(const ParameterTable& table, uint64_t seed);

}  // namespace longwave
