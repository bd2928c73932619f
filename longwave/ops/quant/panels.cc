// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/quant/panels.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>

#include "longwave/base/assert.h"
#include "longwave/base/parallel.h"
#include "longwave/ops/quant/block_layout.h"

namespace longwave::ops {
namespace {

/// Bytes of a block to the words of its row, or back; `flips` is turned over on the way.
template <size_t kWords, typename Byte>
void put_words(const Byte (&from)[4 * kWords], int64_t row, uint32_t flips,
               uint8_t (&to)[kWords][kPanelRows][4]) {
  for (size_t j = 0; j < kWords; ++j) {
    uint32_t four;
    std::memcpy(&four, from + 4 * j, 4);
    four ^= flips;
    std::memcpy(to[j][row], &four, 4);
  }
}

template <size_t kWords, typename Byte>
void get_words(const uint8_t (&from)[kWords][kPanelRows][4], int64_t row, uint32_t flips,
               Byte (&to)[4 * kWords]) {
  for (size_t j = 0; j < kWords; ++j) {
    uint32_t four;
    std::memcpy(&four, from[j][row], 4);
    four ^= flips;
    std::memcpy(to + 4 * j, &four, 4);
  }
}

constexpr uint32_t kUpperBits = 0x80808080;

void put_block(const BlockQ8_0& block, int64_t row, PanelQ8_0& panel) {
  panel.d[row] = block.d;
  put_words(block.q, row, kUpperBits, panel.q);
}

void get_block(const PanelQ8_0& panel, int64_t row, BlockQ8_0& block) {
  block.d = panel.d[row];
  get_words(panel.q, row, kUpperBits, block.q);
}

void put_block(const BlockQ4_0& block, int64_t row, PanelQ4_0& panel) {
  panel.d[row] = block.d;
  put_words(block.q, row, 0, panel.q);
}

void get_block(const PanelQ4_0& panel, int64_t row, BlockQ4_0& block) {
  block.d = panel.d[row];
  get_words(panel.q, row, 0, block.q);
}

void put_block(const BlockQ4_K& block, int64_t row, PanelQ4_K& panel) {
  panel.d[row] = block.d;
  panel.dmin[row] = block.dmin;
  for (size_t k = 0; k < std::size(block.scales); ++k) panel.scales[k][row] = block.scales[k];
  put_words(block.q, row, 0, panel.q);
}

void get_block(const PanelQ4_K& panel, int64_t row, BlockQ4_K& block) {
  block.d = panel.d[row];
  block.dmin = panel.dmin[row];
  for (size_t k = 0; k < std::size(block.scales); ++k) block.scales[k] = panel.scales[k][row];
  get_words(panel.q, row, 0, block.q);
}

void put_block(const BlockQ6_K& block, int64_t row, PanelQ6_K& panel) {
  panel.d[row] = block.d;
  for (size_t k = 0; k < std::size(block.scale); ++k) panel.scale[k][row] = block.scale[k];
  put_words(block.low, row, 0, panel.low);
  put_words(block.high, row, 0, panel.high);
}

void get_block(const PanelQ6_K& panel, int64_t row, BlockQ6_K& block) {
  block.d = panel.d[row];
  for (size_t k = 0; k < std::size(block.scale); ++k) block.scale[k] = panel.scale[k][row];
  get_words(panel.low, row, 0, block.low);
  get_words(panel.high, row, 0, block.high);
}

/// Panels [begin, end) of `blocks` blocks a row.
template <typename Panel, typename Block>
void make_panels(const std::byte* from, int64_t begin, int64_t end, int64_t blocks, std::byte* to) {
  for (int64_t i = begin; i < end; ++i) {
    const auto* rows = reinterpret_cast<const Block*>(from) + i * kPanelRows * blocks;
    Panel* const panels = reinterpret_cast<Panel*>(to) + i * blocks;
    for (int64_t block = 0; block < blocks; ++block) {
      for (int64_t row = 0; row < kPanelRows; ++row) {
        put_block(rows[row * blocks + block], row, panels[block]);
      }
    }
  }
}

template <typename Panel, typename Block>
void copy_blocks(const std::byte* panels, int64_t row, int64_t count, std::byte* to) {
  for (int64_t i = 0; i < count; ++i) {
    Block block;
    get_block(reinterpret_cast<const Panel*>(panels)[i], row, block);
    std::memcpy(to + static_cast<size_t>(i) * sizeof(Block), &block, sizeof(Block));
  }
}

/// What is done with each type that has panels.
struct PanelForm {
  DType dtype;
  void (*make)(const std::byte* from, int64_t begin, int64_t end, int64_t blocks, std::byte* to);
  void (*copy)(const std::byte* panels, int64_t row, int64_t count, std::byte* to);
};
constexpr PanelForm kForms[] = {
    {DType::kQ8_0, make_panels<PanelQ8_0, BlockQ8_0>, copy_blocks<PanelQ8_0, BlockQ8_0>},
    {DType::kQ4_0, make_panels<PanelQ4_0, BlockQ4_0>, copy_blocks<PanelQ4_0, BlockQ4_0>},
    {DType::kQ4_K, make_panels<PanelQ4_K, BlockQ4_K>, copy_blocks<PanelQ4_K, BlockQ4_K>},
    {DType::kQ6_K, make_panels<PanelQ6_K, BlockQ6_K>, copy_blocks<PanelQ6_K, BlockQ6_K>}};

const PanelForm* form_of(DType dtype) {
  const auto* found = std::ranges::find(kForms, dtype, &PanelForm::dtype);
  return found == std::end(kForms) ? nullptr : found;
}

}  // namespace

bool has_panels(DType dtype) { return form_of(dtype) != nullptr; }

Tensor in_panels(const Tensor& tensor, std::shared_ptr<LargePages> pages) {
  const Shape& shape = tensor.shape();
  Tensor result =
      pages ? Tensor(tensor.dtype(), shape, std::move(pages)) : Tensor(tensor.dtype(), shape);
  const bool stacked = shape.size() > 2;
  const bool makes_panels = has_panels(tensor.dtype()) && tensor.layout() == Layout::kRows &&
                            shape.size() >= 2 && tensor.size() > 0 &&
                            (!stacked || shape[shape.size() - 2] % kPanelRows == 0);
  if (!makes_panels) {
    if (tensor.size() > 0) std::memcpy(result.raw(), tensor.raw(), tensor.bytes());
    result.set_layout(tensor.layout());
    return result;
  }
  const int64_t panels = tensor.size() / shape.back() / kPanelRows;
  const int64_t blocks = shape.back() / block_of(tensor.dtype()).elements;
  // Blocks that make a piece of work worth a thread.
  constexpr int64_t kGrain = 4096;
  parallel_for(panels, 1 + kGrain / (kPanelRows * blocks), [&](int64_t begin, int64_t end) {
    form_of(tensor.dtype())->make(tensor.raw(), begin, end, blocks, result.raw());
  });
  // The rows that are left over.
  const size_t whole = bytes_of(tensor.dtype(), panels * kPanelRows * shape.back());
  std::memcpy(result.raw() + whole, tensor.raw() + whole, tensor.bytes() - whole);
  result.set_layout(Layout::kPanels);
  return result;
}

void copy_row_of_panels(const Matrix& W, int64_t row, int64_t column, int64_t columns,
                        std::byte* blocks) {
  const int64_t first = row / kPanelRows * kPanelRows, block = block_of(W.dtype).elements;
  if (first + kPanelRows > W.rows) {
    std::memcpy(blocks, W.row(row) + bytes_of(W.dtype, column), bytes_of(W.dtype, columns));
    return;
  }
  const auto* form = form_of(W.dtype);
  LONGWAVE_ASSERT(form != nullptr, "this type does not lie in panels");
  const std::byte* panels = W.row(first) + kPanelRows * bytes_of(W.dtype, column);
  form->copy(panels, row - first, columns / block, blocks);
}

}  // namespace longwave::ops
