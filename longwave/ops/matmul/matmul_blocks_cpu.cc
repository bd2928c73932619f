// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "longwave/base/parallel.h"
#include "longwave/ops/matmul/block_activations.h"
#include "longwave/ops/matmul/matmul_kernels.h"
#include "longwave/ops/matmul/rounded_columns.h"
#include "longwave/ops/matmul/want_vnni.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "longwave/ops/matmul/matmul_blocks_cpu.cc"
#include <hwy/foreach_target.h>
// foreach_target.h first.
#include <hwy/highway.h>

#include "longwave/ops/matmul/block_simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace longwave::ops::HWY_NAMESPACE {

using Floats = BlockSimd::Floats;

/// What the numbers of a type are above the weights over their scale.
int32_t zero_of(DType dtype) {
  if (dtype == DType::kQ8_0) return BlockSimd::kZeroOfQ8_0;
  if (dtype == DType::kQ4_0) return 8;
  return dtype == DType::kQ6_K ? 32 : 0;
}

void round_row(const float* x, int64_t columns, DType dtype, const BlockActivations& to) {
  const int32_t zero = zero_of(dtype);
  for (int64_t i = 0; i < columns; i += 32) {
    float scale;
    int32_t sum[2];
    round_columns_cpu(x + i, 32, {to.q + i, &scale, sum});
    std::fill_n(to.scale + i / 4, 8, scale);
    for (int64_t j = i; j < i + 32; j += 4) {
      to.offset[j / 4] = -zero * (to.q[j] + to.q[j + 1] + to.q[j + 2] + to.q[j + 3]);
    }
    to.sums[i / 32] = scale * static_cast<float>(sum[0] + sum[1]);
  }
  if (columns % 64 == 0) return;
  std::fill_n(to.q + columns, 32, int8_t{0});
  std::fill_n(to.scale + columns / 4, 8, 0.0f);
  std::fill_n(to.offset + columns / 4, 8, 0);
  to.sums[columns / 32] = 0;
}

/// Asks for the bytes that lie `ahead` of a block, which need not be there. Short rows of odd
/// lengths are more than the processor foresees by itself.
template <typename Block>
HWY_INLINE void prefetch(const Block* block, size_t bytes, uintptr_t ahead) {
  const uintptr_t at = reinterpret_cast<uintptr_t>(block) + ahead;
  for (size_t i = 0; i < bytes; i += 64) {
    __builtin_prefetch(reinterpret_cast<const void*>(at + i), 0, 3);
  }
}

/// Rows of x as integers, and the part of the product that they are for.
struct BlockProduct {
  const MatmulArgs<float>& args;  // some rows, some columns
  ActivationStore& store;
  int64_t padded;
  uintptr_t ahead;  // bytes from a row to one that is due soon

  template <typename Block>
  const Block* blocks(int64_t output) const {
    return reinterpret_cast<const Block*>(args.W.row(output));
  }
};

/// What the numbers of a block are: 4 to 6 bits without a sign, or int8.
enum class Numbers : uint8_t { kUnsigned, kSigned };

template <Numbers Kind>
HWY_INLINE BlockSimd::Ints dot(const BlockSimd::Ints& offset, const BlockSimd::Ints& n,
                               const BlockSimd::Ints& q) {
  if constexpr (Kind == Numbers::kSigned) {
    return BlockSimd::dot_q8(offset, n, q);
  } else {
    return BlockSimd::dot(offset, n, q);
  }
}

/// Adds a step of up to `BlockSimd::kColumns` columns to each sum.
template <Numbers Kind, int Rows, int Outputs>
HWY_INLINE void add_step(const BlockActivations (&x)[Rows], int64_t column,
                         const BlockSimd::Ints (&n)[Outputs], const Floats (&scale)[Outputs],
                         Floats (&sums)[Rows][Outputs]) {
  for (int r = 0; r < Rows; ++r) {
    const auto q = BlockSimd::load_q(x[r].q + column);
    const auto offset = BlockSimd::load_offset(x[r].offset + column / 4);
    const Floats x_scale = BlockSimd::load(x[r].scale + column / 4);
    for (int o = 0; o < Outputs; ++o) {
      sums[r][o] = BlockSimd::mul_add(dot<Kind>(offset, n[o], q), BlockSimd::mul(scale[o], x_scale),
                                      sums[r][o]);
    }
  }
}

/// Blocks of 32: `count` of them, or one, a step.
template <typename Block, int Rows, int Outputs>
HWY_INLINE void add_blocks(const BlockActivations (&x)[Rows], const Block* const (&w)[Outputs],
                           int64_t block, int count, uintptr_t ahead,
                           Floats (&sums)[Rows][Outputs]) {
  BlockSimd::Ints n[Outputs];
  Floats scale[Outputs];
  for (int o = 0; o < Outputs; ++o) {
    prefetch(w[o] + block, sizeof(Block) * static_cast<size_t>(count), ahead);
    n[o] = BlockSimd::numbers(w[o] + block, count);
    scale[o] = BlockSimd::scales(w[o] + block, count);
  }
  constexpr Numbers kKind =
      std::is_same_v<Block, BlockQ8_0> ? Numbers::kSigned : Numbers::kUnsigned;
  add_step<kKind, Rows, Outputs>(x, block * 32, n, scale, sums);
}

/// A row of small blocks.
template <typename Block, int Rows, int Outputs>
HWY_INLINE void add_row(const BlockActivations (&x)[Rows], const Block* const (&w)[Outputs],
                        int64_t columns, uintptr_t ahead, Floats (&sums)[Rows][Outputs]) {
  constexpr int kStep = BlockSimd::kColumns / 32;
  const int64_t count = columns / 32;
  int64_t block = 0;
  for (; block + kStep <= count; block += kStep) {
    add_blocks<Block, Rows, Outputs>(x, w, block, kStep, ahead, sums);
  }
  for (; block < count; ++block) add_blocks<Block, Rows, Outputs>(x, w, block, 1, ahead, sums);
}

/// A row of super-blocks.
template <typename Block, int Rows, int Outputs>
HWY_INLINE void add_super_row(const BlockActivations (&x)[Rows], const Block* const (&w)[Outputs],
                              int64_t columns, uintptr_t ahead, Floats (&sums)[Rows][Outputs]) {
  constexpr int kSteps = 256 / BlockSimd::kColumns;
  for (int64_t b = 0; b < columns / 256; ++b) {
    BlockSimd::SubScale sub[Outputs];
    for (int o = 0; o < Outputs; ++o) {
      prefetch(w[o] + b, sizeof(Block), ahead);
      sub[o] = BlockSimd::open(w[o][b]);
      if constexpr (std::is_same_v<Block, BlockQ4_K>) {
        for (int r = 0; r < Rows; ++r) {
          sums[r][o] = BlockSimd::take_offsets(sub[o], x[r].sums + 8 * b, sums[r][o]);
        }
      }
    }
    for (int step = 0; step < kSteps; ++step) {
      BlockSimd::Ints n[Outputs];
      Floats scale[Outputs];
      for (int o = 0; o < Outputs; ++o) {
        n[o] = BlockSimd::numbers(w[o][b], step);
        scale[o] = BlockSimd::at_step(w[o][b], sub[o], step);
      }
      add_step<Numbers::kUnsigned, Rows, Outputs>(x, 256 * b + step * BlockSimd::kColumns, n, scale,
                                                  sums);
    }
  }
}

/// Products of `Rows` rows of x with `Outputs` rows of W. Each has its own partial sums, filled in
/// the same order whatever the tile, so that a row alone equals the row in a batch.
template <typename Block, int Rows, int Outputs>
void tile(const BlockProduct& product, int64_t row, int64_t output) {
  const MatmulArgs<float>& args = product.args;
  BlockActivations x[Rows];
  const Block* w[Outputs];
  for (int r = 0; r < Rows; ++r) x[r] = product.store.row(row + r, product.padded);
  for (int o = 0; o < Outputs; ++o) w[o] = product.blocks<Block>(output + o);
  Floats sums[Rows][Outputs];
  for (auto& line : sums) {
    for (auto& sum : line) sum = BlockSimd::zero();
  }
  if constexpr (sizeof(Block) <= 34) {
    add_row<Block, Rows, Outputs>(x, w, args.x.extent(1), product.ahead, sums);
  } else {
    add_super_row<Block, Rows, Outputs>(x, w, args.x.extent(1), product.ahead, sums);
  }
  for (int r = 0; r < Rows; ++r) {
    for (int o = 0; o < Outputs; ++o) {
      float sum = BlockSimd::sum(sums[r][o]);
      if (!args.b.absent()) sum += args.b(output + o);
      float& y = args.y(row + r, output + o);
      y = args.accumulate == Accumulate::kAdd ? y + sum : sum;
    }
  }
}

/// `Outputs` rows of W with every row of x, while they are in the nearest cache.
template <typename Block, int Outputs>
void outputs(const BlockProduct& product, int64_t output) {
  const int64_t rows = product.args.x.extent(0);
  int64_t r = 0;
  for (; r + 4 <= rows; r += 4) tile<Block, 4, Outputs>(product, r, output);
  for (; r < rows; ++r) tile<Block, 1, Outputs>(product, r, output);
}

template <typename Block>
void rows_of(const BlockProduct& product, int64_t begin, int64_t end) {
  int64_t o = begin;
  for (; o + 4 <= end; o += 4) outputs<Block, 4>(product, o);
  for (; o < end; ++o) outputs<Block, 1>(product, o);
}

/// Outputs [begin, end) of the product's rows.
void block_rows(const BlockProduct& product, int64_t begin, int64_t end) {
  switch (product.args.W.dtype) {
    case DType::kQ8_0:
      return rows_of<BlockQ8_0>(product, begin, end);
    case DType::kQ4_0:
      return rows_of<BlockQ4_0>(product, begin, end);
    case DType::kQ4_K:
      return rows_of<BlockQ4_K>(product, begin, end);
    default:
      return rows_of<BlockQ6_K>(product, begin, end);
  }
}

/// The product of all rows and columns of `args`, which fit in the store.
void block_product(const MatmulArgs<float>& args) {
  ActivationStore store;
  const int64_t columns = args.x.extent(1);
  // Far enough for memory to answer in time, the start of a tile of rows.
  constexpr size_t kAhead = 8192;
  const size_t tile_bytes = 4 * std::max<size_t>(args.W.row_bytes, 1);
  const BlockProduct product{args, store, (columns + 63) / 64 * 64,
                             (kAhead + tile_bytes - 1) / tile_bytes * tile_bytes};
  for (int64_t r = 0; r < args.x.extent(0); ++r) {
    round_row(args.x.data() + r * args.x.stride(0), columns, args.W.dtype,
              store.row(r, product.padded));
  }
  // Below this many multiply-adds, waking a second thread costs more than it saves.
  constexpr int64_t kGrain = 1 << 18;
  const int64_t work = std::max<int64_t>(args.x.extent(0) * columns, 1);
  const auto body = [&](int64_t begin, int64_t end) { block_rows(product, begin, end); };
  parallel_for(args.W.rows, std::max<int64_t>(kGrain / work, 8), body);
}

}  // namespace longwave::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace longwave::ops {

HWY_EXPORT(block_product);

void matmul_blocks_cpu(const MatmulArgs<float>& args) {
  const int64_t rows = args.x.extent(0), columns = args.x.extent(1);
  const int64_t at_once = std::min(columns, kActivationColumns);
  const int64_t rows_at_once = kActivationColumns / ((at_once + 63) / 64 * 64);
  for (int64_t row = 0; row < rows; row += rows_at_once) {
    for (int64_t column = 0; column < columns; column += at_once) {
      const int64_t r = std::min(rows_at_once, rows - row), c = std::min(at_once, columns - column);
      MatmulArgs<float> part = args;
      part.x = args.x.slice(0, row, r).slice(1, column, c);
      part.W.columns = c;
      part.W.data += bytes_of(args.W.dtype, column);
      part.y = args.y.slice(0, row, r);
      if (column > 0) {
        part.b = {};
        part.accumulate = Accumulate::kAdd;
      }
      HWY_DYNAMIC_DISPATCH(block_product)(part);
    }
  }
}

}  // namespace longwave::ops
#endif
