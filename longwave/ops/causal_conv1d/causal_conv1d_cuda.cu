// SPDX-License-Identifier: Apache-2.0
#include <cuda_runtime.h>

#include "longwave/ops/causal_conv1d/causal_conv1d_window_cuda.cuh"

namespace longwave::ops {
namespace {

using namespace conv_cuda;

constexpr const char* kWhere = "causal_conv1d_cuda";

template <typename P, typename T>
__global__ void __launch_bounds__(kThreads)
    conv_kernel(const __grid_constant__ CausalConv1dCudaArgs<T> args) {
  const Place at = place_of<P::kPack>(args.x.extent(1), args.x.extent(2));
  if (!at.there) return;
  Window<P> window(args, at);
  const bool smooth = args.activation == ConvActivation::kSilu;
  for (int64_t t = at.begin; t < at.end; t += kAhead) {
    typename P::Pack x[kAhead], y;
    read_ahead(args.x, at, t, at.end, x);
#pragma unroll
    for (int i = 0; i < kAhead; ++i) {
      if (t + i >= at.end) break;
      window.enter(x[i], P::starts_at(args, at.b, t + i));
#pragma unroll
      for (int k = 0; k < P::kPack; ++k) {
        const float a = window.sum(k);
        y.v[k] = smooth ? gpu::silu(a) : a;
      }
      gpu::store_pack(y, &args.y(at.b, t + i, at.c));
    }
  }
}

template <typename T>
__global__ void history_kernel(const __grid_constant__ CausalConv1dCudaArgs<T> args) {
  const int64_t kept = args.w.extent(1) - 1, channels = args.x.extent(2), time = args.x.extent(1);
  const int64_t index = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (index >= args.final_history.size()) return;
  const int64_t c = index % channels, i = index / channels % kept, b = index / (channels * kept);
  const int64_t at = time - kept + i;
  bool reached = true;
  for (int64_t t = max(at + 1, int64_t{0}); t < time; ++t) {
    reached = reached && !starts_at(args, b, t);
  }
  gpu::narrow(reached ? input(args, b, at, c) : 0.0f, args.final_history(b, i, c));
}

// One step of all sequences with its history, before and after. All that a thread needs is asked
// for before anything is computed, even widened.
template <typename P, typename T>
__global__ void __launch_bounds__(kThreads)
    conv_step_kernel(const __grid_constant__ CausalConv1dCudaArgs<T> args) {
  using Pack = typename P::Pack;
  const Place at = place_of<P::kPack>(1, args.x.extent(2));
  if (!at.there) return;
  const int width = P::width(args);
  Window<P> window;
  window.read_taps(args, at);
  gpu::StoredPack<T, P::kPack> before[P::kTaps]{};  // so many steps
  before[0] = gpu::load_stored<P::kPack>(&args.x(at.b, 0, at.c));
  if (!args.history.absent()) {
#pragma unroll
    for (int d = 1; d < P::kTaps; ++d) {
      if (d >= width) break;
      before[d] = gpu::load_stored<P::kPack>(&args.history(at.b, width - 1 - d, at.c));
    }
  }
#pragma unroll
  for (int d = 0; d + 1 < P::kTaps; ++d) window.x[d] = gpu::widen(before[d + 1]);
  window.x[P::kTaps - 1] = {};
  window.enter(gpu::widen(before[0]), P::starts_at(args, at.b, 0));
  Pack y;
#pragma unroll
  for (int k = 0; k < P::kPack; ++k) {
    const float a = window.sum(k);
    y.v[k] = args.activation == ConvActivation::kSilu ? gpu::silu(a) : a;
  }
  gpu::store_pack(y, &args.y(at.b, 0, at.c));
  if (args.final_history.absent()) return;
#pragma unroll
  for (int d = 0; d + 1 < P::kTaps; ++d) {
    if (d + 1 >= width) break;
    gpu::store_pack(window.x[d], &args.final_history(at.b, width - 2 - d, at.c));
  }
}

template <typename T>
void launch_step(const CausalConv1dCudaArgs<T>& args, cudaStream_t stream) {
  const auto with = [&]<typename P>(P) {
    conv_step_kernel<P><<<blocks_of(args, P::kPack, kWhere), kThreads, 0, stream>>>(args);
  };
  const auto there = [&](const View<const T, 3>& x) { return x.absent() ? args.x : x; };
  with_plan<T, kWide>(args, with, args.x, args.y, there(args.history), there(args.final_history));
  gpu::require_device(cudaGetLastError(), kWhere);
}

template <typename T>
void launch(const CausalConv1dCudaArgs<T>& args, cudaStream_t stream) {
  const auto with = [&]<typename P>(P) {
    conv_kernel<P><<<blocks_of(args, P::kPack, kWhere), kThreads, 0, stream>>>(args);
  };
  with_plan<T, kWide>(args, with, args.x, args.y);
  gpu::require_device(cudaGetLastError(), kWhere);
}

}  // namespace

template <typename T>
void causal_conv1d_cuda(const CausalConv1dCudaArgs<T>& args, cudaStream_t stream) {
  check_width(kWhere, check_conv(kWhere, args));
  if (args.x.extent(1) == 1) {
    if (args.x.size() > 0) launch_step(args, stream);
    return;
  }
  if (args.x.size() > 0) launch(args, stream);
  if (args.final_history.absent() || args.final_history.size() == 0) return;
  history_kernel<T>
      <<<gpu::blocks_for(args.final_history.size(), kThreads, kWhere), kThreads, 0, stream>>>(args);
  gpu::require_device(cudaGetLastError(), kWhere);
}

template void causal_conv1d_cuda(const CausalConv1dCudaArgs<float>&, cudaStream_t);
template void causal_conv1d_cuda(const CausalConv1dCudaArgs<__half>&, cudaStream_t);
template void causal_conv1d_cuda(const CausalConv1dCudaArgs<__nv_bfloat16>&, cudaStream_t);

}  // namespace longwave::ops
