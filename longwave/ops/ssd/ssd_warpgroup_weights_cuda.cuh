// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/ops/ssd/ssd_warpgroup_memory_cuda.cuh"

namespace longwave::ops::ssd_cuda_kernels {

/// A warpgroup that makes the weights of all heads. Of the rows of a chunk, by eights, a warp has
/// one from the top and one from the bottom, so that each has nine tiles of 8 x 8 up to the
/// diagonal.
template <typename T, int kStates>
class WarpgroupWeights {
 public:
  using Memory = WarpgroupMemory<kStates>;

  __device__ WarpgroupWeights(const WarpgroupPlace& place, Memory& memory)
      : place_(place), memory_(memory), warp_(gpu::part_of_block(32) % 4) {}

  __device__ void run() {
    for (int head = 0; head < place_.heads; ++head) clear(memory_.heads[head].weights.things);
    gpu::meet_at(kWeightsMeeting, gpu::kWarpgroup);
    Products products;
    begin(0, products);
    gpu::await_products<0>(products);
#pragma unroll 1
    for (int i = 0; i < place_.chunks; ++i) {
      for (int head = 0; head < place_.heads; ++head) {
        memory_.heads[head].decays.await(i);
        memory_.heads[head].weights.await_room(i);
      }
      switch (warp_) {
        case 0:
          weigh<0>(i, products);
          break;
        case 1:
          weigh<1>(i, products);
          break;
        case 2:
          weigh<2>(i, products);
          break;
        default:
          weigh<3>(i, products);
          break;
      }
      // Those of the last chunk once more where there is no next.
      begin(min(i + 1, place_.chunks - 1), products);
      gpu::show_to_async_proxy();
      for (int head = 0; head < place_.heads; ++head) memory_.heads[head].weights.give(i);
      gpu::await_products<0>(products);
    }
  }

 private:
  static constexpr int kWeightsMeeting = 1;
  static constexpr int kEights = kWarpgroupSteps / 8, kTiles = kEights + 1;
  using Products = float[kEights][4];
  using Pair = decltype(gpu::factor_pair(T(), float2()));
  using Tiles = Pair[kTiles];

  // Weights beyond the diagonal stay zero.
  template <int kCount>
  __device__ static void clear(WarpgroupTile (&tiles)[kCount]) {
    for (int i = static_cast<int>(threadIdx.x) % gpu::kWarpgroup * 16;
         i < static_cast<int>(sizeof(tiles)); i += gpu::kWarpgroup * 16) {
      *reinterpret_cast<uint4*>(tiles[0] + i) = make_uint4(0, 0, 0, 0);
    }
  }

  // Begins C B^T of a chunk, in the warp's order of rows.
  __device__ void begin(int i, Products& products) const {
    memory_.rows.await(i);
    const auto& rows = memory_.rows.at(i);
    const int lane = threadIdx.x % 32, row = 8 * eight(warp_, lane / 8 % 2 != 0) + lane % 8;
    gpu::LeftFactor<T> C[kStates / 16];
#pragma unroll
    for (int k = 0; k < kStates / 16; ++k) {
      uint32_t pairs[4];
      gpu::load_matrices(rows.C[k / 4] + gpu::place_in_tile(row, k % 4 * 2 + lane / 16), pairs);
#pragma unroll
      for (int j = 0; j < 4; ++j) C[k].pairs[j].bits = pairs[j];
    }
    gpu::begin_products();
#pragma unroll
    for (int k = 0; k < kStates / 16; ++k) {
      gpu::multiply<gpu::TileOrder::kAlongSum>(
          C[k], gpu::shared_factor<gpu::TileOrder::kAlongSum>(rows.B[k / 4], k % 4),
          k == 0 ? gpu::Sum::kNew : gpu::Sum::kMore, products);
    }
    gpu::close_products();
  }

  // A warp's upper and lower eight rows.
  __device__ static constexpr int eight(int warp, bool lower) {
    return lower ? kEights - 1 - warp : warp;
  }
  // Where a tile of a warp lies: those of the upper eight come first.
  struct Place {
    int row, column;
    bool lower;
    __device__ constexpr Place(int warp, int tile)
        : row(eight(warp, tile > warp)),
          column(tile > warp ? tile - warp - 1 : tile),
          lower(tile > warp) {}
  };

  // Writes the warp's weights of all heads: products with decays and step sizes.
  template <int kWarp>
  __device__ void weigh(int i, const Products& products) const {
#pragma unroll 1
    for (int head = 0; head < place_.heads; ++head) {
      Tiles kept;
      weigh<kWarp>(memory_.heads[head].decays.at(i), products, kept);
      store<kWarp>(kept, memory_.heads[head].weights.at(i));
    }
  }
  template <int kWarp>
  __device__ static void weigh(const WarpgroupDecays& by, const Products& products, Tiles& kept) {
    const int lane = threadIdx.x % 32, row = lane / 4, pair = lane % 4 * 2;
    const float until[2] = {by.sums[8 * eight(kWarp, false) + row],
                            by.sums[8 * eight(kWarp, true) + row]};
    float two[kTiles][2];
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile) {
      const Place place(kWarp, tile);
      const float2 since = *reinterpret_cast<const float2*>(&by.from[8 * place.column + pair]);
      const float sum = until[place.lower ? 1 : 0];
      const float* const of = products[place.column] + (place.lower ? 2 : 0);
      two[tile][0] = of[0] * gpu::exp2_fast(sum - since.x);
      two[tile][1] = of[1] * gpu::exp2_fast(sum - since.y);
      if (place.row > place.column) continue;
      if (pair > row) two[tile][0] = 0.0f;
      if (pair + 1 > row) two[tile][1] = 0.0f;
    }
    if (by.last_start >= 0) {
      // Nothing comes from before the last start.
#pragma unroll
      for (int tile = 0; tile < kTiles; ++tile) {
        const Place place(kWarp, tile);
#pragma unroll
        for (int j = 0; j < 2; ++j) {
          if (8 * place.column + pair + j < by.first[8 * place.row + row]) two[tile][j] = 0.0f;
        }
      }
    }
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile) {
      kept[tile] = gpu::factor_pair(T(), make_float2(two[tile][0], two[tile][1]));
    }
  }

  // Writes the weights of a head.
  template <int kWarp>
  __device__ static void store(const Tiles& kept, unsigned char* to) {
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int four = 0; four + 1 < kTiles; four += 4) {
      const Place place(kWarp, four + lane / 8);
      gpu::store_matrices(
          gpu::LeftFactor<T>{{kept[four], kept[four + 1], kept[four + 2], kept[four + 3]}},
          to + gpu::place_in_tile(8 * place.row + lane % 8, place.column));
    }
    const Place last(kWarp, kTiles - 1);
    *reinterpret_cast<uint32_t*>(to + gpu::place_in_tile(8 * last.row + lane / 4, last.column) +
                                 lane % 4 * 4) = kept[kTiles - 1].bits;
  }

  const WarpgroupPlace& place_;
  Memory& memory_;
  const int warp_;
};

}  // namespace longwave::ops::ssd_cuda_kernels
