// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/quant/panels.h"

#include <cstring>
#include <utility>

#include "longwave/base/assert.h"
#include "longwave/base/parallel.h"
#include "longwave/ops/quant/block_layout.h"

namespace longwave::ops {
namespace {

/// What turns the bytes of a block into those of a panel, and back.
constexpr uint32_t flips(const PanelQ8_0&) { return 0x80808080; }
constexpr uint32_t flips(const PanelQ4_0&) { return 0; }

template <typename Panel, typename Block>
void put_block(const Block& block, int64_t row, Panel& panel) {
  panel.d[row] = block.d;
  for (size_t j = 0; j < sizeof(block.q) / 4; ++j) {
    uint32_t four;
    std::memcpy(&four, block.q + 4 * j, 4);
    four ^= flips(panel);
    std::memcpy(panel.q[j][row], &four, 4);
  }
}

template <typename Panel, typename Block>
void get_block(const Panel& panel, int64_t row, Block& block) {
  block.d = panel.d[row];
  for (size_t j = 0; j < sizeof(block.q) / 4; ++j) {
    uint32_t four;
    std::memcpy(&four, panel.q[j][row], 4);
    four ^= flips(panel);
    std::memcpy(block.q + 4 * j, &four, 4);
  }
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

}  // namespace

bool has_panels(DType dtype) { return dtype == DType::kQ8_0 || dtype == DType::kQ4_0; }

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
  const auto make = tensor.dtype() == DType::kQ8_0 ? make_panels<PanelQ8_0, BlockQ8_0>
                                                   : make_panels<PanelQ4_0, BlockQ4_0>;
  // Blocks that make a piece of work worth a thread.
  constexpr int64_t kGrain = 4096;
  parallel_for(panels, 1 + kGrain / (kPanelRows * blocks), [&](int64_t begin, int64_t end) {
    make(tensor.raw(), begin, end, blocks, result.raw());
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
  const std::byte* panels = W.row(first) + kPanelRows * bytes_of(W.dtype, column);
  if (W.dtype == DType::kQ8_0) {
    copy_blocks<PanelQ8_0, BlockQ8_0>(panels, row - first, columns / block, blocks);
  } else {
    LONGWAVE_ASSERT(W.dtype == DType::kQ4_0, "no panels of this type");
    copy_blocks<PanelQ4_0, BlockQ4_0>(panels, row - first, columns / block, blocks);
  }
}

}  // namespace longwave::ops
