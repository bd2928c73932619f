// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/ops/cuda/numbers_cuda.cuh"

namespace longwave::ops::gpu {

/// Neighbours that a thread reads or writes at once, in float32.
template <int kCount>
struct Pack {
  float v[kCount];
};

/// kCount numbers of type T as they lie in memory.
template <typename T, int kCount>
struct alignas(kCount * sizeof(T)) StoredPack {
  T v[kCount];
};

template <int kCount, typename T>
__device__ StoredPack<T, kCount> load_stored(const T* from) {
  return *reinterpret_cast<const StoredPack<T, kCount>*>(from);
}
template <typename T, int kCount>
__device__ Pack<kCount> widen(const StoredPack<T, kCount>& stored) {
  Pack<kCount> pack;
#pragma unroll
  for (int i = 0; i < kCount; ++i) pack.v[i] = widen(stored.v[i]);
  return pack;
}
template <int kCount, typename T>
__device__ Pack<kCount> load_pack(const T* from) {
  return widen(load_stored<kCount>(from));
}

template <int kCount, typename T>
__device__ void store_pack(const Pack<kCount>& pack, T* to) {
  StoredPack<T, kCount> stored;
#pragma unroll
  for (int i = 0; i < kCount; ++i) narrow(pack.v[i], stored.v[i]);
  *reinterpret_cast<StoredPack<T, kCount>*>(to) = stored;
}

}  // namespace longwave::ops::gpu
