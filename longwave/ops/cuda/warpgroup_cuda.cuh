// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "longwave/ops/cuda/async_proxy_cuda.cuh"
#include "longwave/ops/cuda/fragments_cuda.cuh"
#include "longwave/ops/cuda/shared_address_cuda.cuh"

namespace longwave::ops::gpu {

// Matrix products of a warpgroup, four warps from a multiple of four on, on Hopper's tensor cores.
// Only files named *_hopper_cuda.cu can use them: no other GPU has these instructions.
//
// Factors in shared memory are tiles of rows of 64 numbers of 16 bits, 128 bytes, from a multiple
// of 1024 bytes on. The 16-byte pieces of a row are permuted, so that the same piece of eight rows
// lies in different banks. A left factor in registers, and a sum of 64 x 64, are spread over lanes
// as fragments_cuda.cuh says, with 16 rows a warp.

/// Threads of a warpgroup, and bytes of a row and of a tile of 64 rows.
inline constexpr int kWarpgroup = 128;
inline constexpr int kTileRowBytes = 128;
inline constexpr int kTileBytes = 64 * kTileRowBytes;

/// Where a piece of a row lies in a tile, in bytes.
__device__ inline int place_in_tile(int row, int piece) {
  return row * kTileRowBytes + ((piece ^ row % 8) * 16);
}

/// Whether the numbers of a tile's row follow the sum of the product, or are its rows or columns.
enum class TileOrder { kAlongSum, kAcrossSum };

/// Sixteen terms of a product's sum as tensor cores find them in a tile: with kAlongSum columns 16
/// `part` on, with kAcrossSum rows 16 `part` on.
template <TileOrder kOrder>
__device__ uint64_t shared_factor(const void* tile, int part) {
  const uint32_t address = shared_address(tile);
  constexpr int kStep = kOrder == TileOrder::kAlongSum ? 32 : 16 * kTileRowBytes;
  // In units of 16 bytes, and eight rows apart; 128 bytes are permuted.
  const uint32_t low = (address & 0x3ffff) / 16 + part * (kStep / 16) + (1u << 16);
  constexpr uint32_t kHigh = 1u << 30 | 8 * kTileRowBytes / 16;
  return uint64_t{kHigh} << 32 | low;
}

/// Sixteen terms of a factor that lies in pieces of 8 columns, or rows, and 8 terms, 128 bytes
/// each: columns of 16 bytes, one after the other. The next 8 terms lie `along` bytes further, the
/// next 8 columns `across` bytes.
__device__ inline uint64_t plain_factor(const void* pieces, int along, int across) {
  const uint32_t low =
      (shared_address(pieces) & 0x3ffff) / 16 + (static_cast<uint32_t>(along) << 12);
  return uint64_t{static_cast<uint32_t>(across)} / 16 << 32 | low;
}

/// A factor so many bytes, a multiple of 16, further.
__device__ inline uint64_t further(uint64_t factor, int bytes) {
  const auto low = static_cast<uint32_t>(factor) + static_cast<uint32_t>(bytes) / 16;
  return (factor & 0xffffffff00000000u) | low;
}

/// Orders what was done with registers before products that use them.
__device__ inline void begin_products() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }

/// Closes the group of the products begun so far.
__device__ inline void close_products() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}

/// Keeps uses of a sum behind what was done before.
template <int kTiles>
__device__ void settle(float (&sum)[kTiles][4]) {
#pragma unroll
  for (int tile = 0; tile < kTiles; ++tile) {
#pragma unroll
    for (int i = 0; i < 4; ++i) asm volatile("" : "+f"(sum[tile][i])::"memory");
  }
}

/// Waits for all groups of products but the last kLeft, which give these sums.
template <int kLeft, int... kTiles>
__device__ void await_products(float (&... sums)[kTiles][4]) {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kLeft) : "memory");
  (settle(sums), ...);
}

/// Waits for all products, which give these sums.
template <int kParts, int kTiles>
__device__ void await_products(float (&sums)[kParts][kTiles][4]) {
  asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
#pragma unroll
  for (int part = 0; part < kParts; ++part) settle(sums[part]);
}

/// Registers that each of so many threads has at the begin of a kernel that takes a multiprocessor
/// for each block. What parts of a block take later must fit into all of these: else they wait for
/// ever.
constexpr int registers_at_begin(int threads) { return 65536 / threads / 8 * 8; }

/// Has kRegisters for each thread from here on, a multiple of 8, and waits until others gave as
/// many back; all threads of a warpgroup, in a kernel of one block a multiprocessor.
template <int kRegisters>
__device__ void take_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kRegisters));
}

/// Gives registers back, but for kRegisters.
template <int kRegisters>
__device__ void give_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kRegisters));
}

/// The name of a type of factors.
template <typename T>
struct FactorName;
template <>
struct FactorName<__half> {
  static constexpr char kName[] = "f16";
};
template <>
struct FactorName<__nv_bfloat16> {
  static constexpr char kName[] = "bf16";
};

/// Whether a sum begins with the product or goes on.
enum class Sum { kNew, kMore };

// A sum as both products below write it: its numbers, the first operands, by name and as operands.
#define LONGWAVE_NAMES_OF_SUM                                               \
  "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
  "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}"
#define LONGWAVE_OPERANDS_OF_TILE(tile) "+f"(tile[0]), "+f"(tile[1]), "+f"(tile[2]), "+f"(tile[3])
#define LONGWAVE_OPERANDS_OF_SUM(sum)                                       \
  LONGWAVE_OPERANDS_OF_TILE(sum[0]), LONGWAVE_OPERANDS_OF_TILE(sum[1]),     \
      LONGWAVE_OPERANDS_OF_TILE(sum[2]), LONGWAVE_OPERANDS_OF_TILE(sum[3]), \
      LONGWAVE_OPERANDS_OF_TILE(sum[4]), LONGWAVE_OPERANDS_OF_TILE(sum[5]), \
      LONGWAVE_OPERANDS_OF_TILE(sum[6]), LONGWAVE_OPERANDS_OF_TILE(sum[7])

/// sum = a b or sum += a b, 64 x 16 times 16 x 64; b lies in a tile. Begins only: a and sum stay
/// untouched until await_products.
template <TileOrder kOrder, typename T>
__device__ void multiply(const LeftFactor<T>& a, uint64_t b, Sum so_far, float (&sum)[8][4]) {
  asm volatile(
      "{\n"
      ".reg .pred more;\n"
      "setp.ne.b32 more, %37, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.%39.%39 " LONGWAVE_NAMES_OF_SUM
      ", "
      "{%32, %33, %34, %35}, %36, more, 1, 1, %38;\n"
      "}\n"
      : LONGWAVE_OPERANDS_OF_SUM(sum)
      : "r"(a.pairs[0].bits), "r"(a.pairs[1].bits), "r"(a.pairs[2].bits), "r"(a.pairs[3].bits),
        "l"(b), "r"(so_far == Sum::kMore ? 1 : 0), "n"(kOrder == TileOrder::kAcrossSum ? 1 : 0),
        "C"(FactorName<T>::kName));
}

/// The same with both factors in tiles, where a's rows are 64 rows of a tile along the sum.
template <TileOrder kOrder, typename T>
__device__ void multiply(T, uint64_t a, uint64_t b, Sum so_far, float (&sum)[8][4]) {
  asm volatile(
      "{\n"
      ".reg .pred more;\n"
      "setp.ne.b32 more, %34, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.%36.%36 " LONGWAVE_NAMES_OF_SUM
      ", "
      "%32, %33, more, 1, 1, 0, %35;\n"
      "}\n"
      : LONGWAVE_OPERANDS_OF_SUM(sum)
      : "l"(a), "l"(b), "r"(so_far == Sum::kMore ? 1 : 0),
        "n"(kOrder == TileOrder::kAcrossSum ? 1 : 0), "C"(FactorName<T>::kName));
}

/// sum = a b or sum += a b of bfloat16, 64 x 16 times 16 x 32; b is a plain_factor.
__device__ inline void multiply(const uint32_t (&a)[4], uint64_t b, Sum so_far,
                                float (&sum)[4][4]) {
  asm volatile(
      "{\n"
      ".reg .pred more;\n"
      "setp.ne.b32 more, %21, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n32k16.f32.bf16.bf16 "
      "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15}, "
      "{%16, %17, %18, %19}, %20, more, 1, 1, 0;\n"
      "}\n"
      : LONGWAVE_OPERANDS_OF_TILE(sum[0]), LONGWAVE_OPERANDS_OF_TILE(sum[1]),
        LONGWAVE_OPERANDS_OF_TILE(sum[2]), LONGWAVE_OPERANDS_OF_TILE(sum[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(so_far == Sum::kMore ? 1 : 0));
}

/// sum = a b or sum += a b of bfloat16, 64 x 16 times 16 x 32, where both are plain factors whose
/// 16 bytes hold 8 rows of a, or columns of b, of the same term.
__device__ inline void multiply_across(uint64_t a, uint64_t b, Sum so_far, float (&sum)[4][4]) {
  asm volatile(
      "{\n"
      ".reg .pred more;\n"
      "setp.ne.b32 more, %18, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n32k16.f32.bf16.bf16 "
      "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15}, "
      "%16, %17, more, 1, 1, 1, 1;\n"
      "}\n"
      : LONGWAVE_OPERANDS_OF_TILE(sum[0]), LONGWAVE_OPERANDS_OF_TILE(sum[1]),
        LONGWAVE_OPERANDS_OF_TILE(sum[2]), LONGWAVE_OPERANDS_OF_TILE(sum[3])
      : "l"(a), "l"(b), "r"(so_far == Sum::kMore ? 1 : 0));
}

#undef LONGWAVE_OPERANDS_OF_SUM
#undef LONGWAVE_OPERANDS_OF_TILE
#undef LONGWAVE_NAMES_OF_SUM

/// Where a lane points to for 16 rows and pieces of a tile, as load_matrices and store_matrices
/// want it: the four matrices are a left factor of rows `row` on and columns of `piece` on.
__device__ inline int left_factor_place(int row, int piece) {
  const int lane = threadIdx.x % 32;
  return place_in_tile(row + lane % 16, piece + lane / 16);
}

/// The same of a left factor that lies transposed: its rows are columns of the tile from `piece`
/// on, its columns rows of the tile from `row` on.
__device__ inline int transposed_factor_place(int row, int piece) {
  const int lane = threadIdx.x % 32;
  return place_in_tile(row + lane % 8 + lane / 16 * 8, piece + lane / 8 % 2);
}

/// A left factor that lies transposed in a tile, its rows and columns from the places above on.
template <typename T>
__device__ LeftFactor<T> load_transposed_factor(const void* tile, int row, int piece) {
  uint32_t bits[4];
  load_transposed_matrices(
      static_cast<const unsigned char*>(tile) + transposed_factor_place(row, piece), bits);
  LeftFactor<T> x;
#pragma unroll
  for (int i = 0; i < 4; ++i) x.pairs[i].bits = bits[i];
  return x;
}

/// Writes four 8 x 8 matrices of 16-bit numbers to shared memory: what load_matrices reads.
template <typename T>
__device__ void store_matrices(const LeftFactor<T>& x, void* row) {
  asm volatile(
      "stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(shared_address(row)),
      "r"(x.pairs[0].bits), "r"(x.pairs[1].bits), "r"(x.pairs[2].bits), "r"(x.pairs[3].bits)
      : "memory");
}

/// The same transposed: what load_transposed_matrices reads.
template <typename T>
__device__ void store_transposed_matrices(const LeftFactor<T>& x, void* row) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(
                   shared_address(row)),
               "r"(x.pairs[0].bits), "r"(x.pairs[1].bits), "r"(x.pairs[2].bits),
               "r"(x.pairs[3].bits)
               : "memory");
}

}  // namespace longwave::ops::gpu
