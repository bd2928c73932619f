// SPDX-License-Identifier: Apache-2.0
#include "longwave/models/families/tensor_map.h"

#include <utility>

namespace longwave::models {

int64_t columns_of(const Shape& shape) { return shape.size() < 2 ? 1 : shape.back(); }

int64_t rows_of(const Shape& shape) {
  int64_t rows = shape.empty() ? 1 : shape.front();
  for (size_t i = 1; i + 1 < shape.size(); ++i) rows *= shape[i];
  return rows;
}

TensorMap::TensorMap(const Config& config, InFile in_file)
    : config_(config), in_file_(std::move(in_file)) {
  for (Parameter& parameter : parameters(config)) {
    // Published forms have no standardisation of outputs.
    if (parameter.name == "decoder.shift" || parameter.name == "decoder.scale") continue;
    order_.push_back(parameter.name);
    shapes_.emplace(std::move(parameter.name), std::move(parameter.shape));
  }
}

void TensorMap::place(Placement piece) {
  if (!has(piece.ours)) return;
  piece.our_shape = shape(piece.ours);
  pieces_[piece.ours].push_back(std::move(piece));
}

void TensorMap::whole(const std::string& ours, const std::string& theirs, double factor) {
  if (!has(ours)) return;
  place({.ours = ours,
         .our_shape = {},
         .theirs = theirs,
         .their_shape = shape(ours),
         .rows = rows_of(shape(ours)),
         .factor = factor});
}

void TensorMap::reshaped(const std::string& ours, const std::string& theirs, Shape their_shape,
                         Placement::Change change) {
  if (!has(ours)) return;
  place({.ours = ours,
         .our_shape = {},
         .theirs = theirs,
         .their_shape = std::move(their_shape),
         .rows = rows_of(shape(ours)),
         .change = change});
}

void TensorMap::below(const std::string& ours, const std::string& theirs) {
  for (const std::string& name : order_) {
    if (name.starts_with(ours) && !pieces_.contains(name)) {
      whole(name, theirs + name.substr(ours.size()));
    }
  }
}

void TensorMap::stack(const std::string& ours, const std::vector<Part>& parts) {
  if (!has(ours)) return;
  int64_t row = 0;
  for (const Part& part : parts) {
    Shape their_shape = shape(ours);
    their_shape.front() = part.rows;
    const int64_t rows = rows_of(their_shape);
    place({.ours = ours,
           .our_shape = {},
           .our_row = row,
           .theirs = part.theirs,
           .their_shape = their_shape,
           .rows = rows,
           .factor = part.factor});
    row += rows;
  }
}

std::vector<Placement> TensorMap::finish() const {
  std::vector<Placement> all;
  for (const std::string& name : order_) {
    const auto found = pieces_.find(name);
    LONGWAVE_ASSERT(found != pieces_.end(), "a tensor of the model has no published place");
    int64_t rows = 0;
    for (const Placement& piece : found->second) {
      rows += piece.rows;
      all.push_back(piece);
    }
    LONGWAVE_ASSERT(rows == rows_of(shapes_.at(name)), "published pieces do not cover a tensor");
  }
  return all;
}

}  // namespace longwave::models
