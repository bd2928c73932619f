// SPDX-License-Identifier: Apache-2.0
#include <cuda_runtime.h>

#include <algorithm>

#include "longwave/ops/causal_conv1d/causal_conv1d_cuda.h"
#include "longwave/ops/cuda/launch_cuda.h"
#include "longwave/ops/cuda/numbers_cuda.cuh"
#include "longwave/ops/cuda/sum_rows_cuda.h"
#include "longwave/ops/require_shape.h"

namespace longwave::ops {
namespace {

constexpr const char* kWhere = "causal_conv1d_cuda";
constexpr const char* kGradWhere = "causal_conv1d_cuda_backward";
constexpr int kThreads = 128;
constexpr int64_t kSteps = kCausalConv1dCudaSteps;

int64_t stretches(int64_t time) { return (time + kSteps - 1) / kSteps; }

// What a thread works on.
struct Place {
  int64_t b, begin, end, c;
  bool there;
};

__device__ Place place_of(int64_t time, int64_t channels) {
  const int64_t tiles = (channels + kThreads - 1) / kThreads, row = blockIdx.x / tiles;
  const int64_t count = (time + kSteps - 1) / kSteps;
  const int64_t begin = row % count * kSteps, c = blockIdx.x % tiles * kThreads + threadIdx.x;
  return {row / count, begin, min(begin + kSteps, time), c, c < channels};
}

template <typename Args>
__device__ bool starts_at(const Args& args, int64_t b, int64_t t) {
  return !args.starts.absent() && args.starts(b, t) != 0;
}

// The input at step t, from the history if that lies before the first one.
template <typename Args>
__device__ float input(const Args& args, int64_t b, int64_t t, int64_t c) {
  if (t >= 0) return gpu::widen(args.x(b, t, c));
  const int64_t kept = args.w.extent(1) - 1;
  return args.history.absent() || t < -kept ? 0.0f : gpu::widen(args.history(b, t + kept, c));
}

// The taps and last inputs of a channel: x[d] is the input d steps back, 0 behind a start.
template <int kTaps>
struct Window {
  float w[kTaps], x[kTaps], b;

  template <typename Args>
  __device__ Window(const Args& args, const Place& at) {
    const int64_t width = args.w.extent(1);
    b = args.b.absent() ? 0.0f : args.b(at.c);
    bool reached = true;
#pragma unroll
    for (int d = 0; d < kTaps; ++d) w[d] = d < width ? args.w(at.c, width - 1 - d) : 0.0f;
#pragma unroll
    for (int d = 0; d + 1 < kTaps; ++d) {
      const int64_t t = at.begin - 1 - d;
      x[d] = reached && d + 1 < width ? input(args, at.b, t, at.c) : 0.0f;
      reached = reached && (t < 0 || !starts_at(args, at.b, t));
    }
    x[kTaps - 1] = 0.0f;
  }

  __device__ void enter(float next, bool start) {
#pragma unroll
    for (int d = kTaps - 1; d > 0; --d) x[d] = start ? 0.0f : x[d - 1];
    x[0] = next;
  }

  __device__ float sum() const {
    float a = b;
#pragma unroll
    for (int d = kTaps - 1; d >= 0; --d) a = fmaf(w[d], x[d], a);
    return a;
  }
};

template <typename T, int kTaps>
__global__ void __launch_bounds__(kThreads)
    conv_kernel(const __grid_constant__ CausalConv1dCudaArgs<T> args) {
  const Place at = place_of(args.x.extent(1), args.x.extent(2));
  if (!at.there) return;
  Window<kTaps> window(args, at);
  const bool smooth = args.activation == ConvActivation::kSilu;
#pragma unroll 4
  for (int64_t t = at.begin; t < at.end; ++t) {
    window.enter(gpu::widen(args.x(at.b, t, at.c)), starts_at(args, at.b, t));
    const float a = window.sum();
    gpu::narrow(smooth ? gpu::silu(a) : a, args.y(at.b, t, at.c));
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

template <typename T>
struct GradLaunch {
  CausalConv1dCudaGradArgs<T> args;
  View<float, 3> sums;  // (batch stretches, width + 1, channels) of dw, newest tap first, and db
};

template <typename T, int kTaps>
__global__ void __launch_bounds__(kThreads)
    conv_grad_kernel(const __grid_constant__ GradLaunch<T> launch) {
  const CausalConv1dCudaGradArgs<T>& args = launch.args;
  const int64_t time = args.x.extent(1), width = args.w.extent(1), kept = width - 1;
  const Place at = place_of(time, args.x.extent(2));
  if (!at.there) return;
  Window<kTaps> window(args, at);
  const bool smooth = args.activation == ConvActivation::kSilu;
  float dx[kTaps], dw[kTaps], db = 0.0f;  // dx[d]: of the input d steps back, so far
  bool reaches[kTaps];                    // whether no start lies between that input and now
#pragma unroll
  for (int d = 0; d < kTaps; ++d) dx[d] = dw[d] = 0.0f, reaches[d] = true;
  const auto put = [&](int64_t t, float value) {
    if (t >= at.begin && t < at.end) gpu::narrow(value, args.dx(at.b, t, at.c));
    if (at.begin == 0 && t < 0 && t >= -kept && !args.dhistory.absent()) {
      gpu::narrow(value, args.dhistory(at.b, t + kept, at.c));
    }
  };
  const int64_t end = min(at.end + kept, time);  // later steps take from this stretch too
  for (int64_t t = at.begin; t < end; ++t) {
    const bool start = starts_at(args, at.b, t);
    window.enter(gpu::widen(args.x(at.b, t, at.c)), start);
    const float a = window.sum(), dy = gpu::widen(args.dy(at.b, t, at.c));
    const float da = smooth ? dy * gpu::silu_slope(a, gpu::sigmoid(a)) : dy;
#pragma unroll
    for (int d = kTaps - 1; d > 0; --d) {
      dx[d] = dx[d - 1];
      reaches[d] = reaches[d - 1] && !start;
    }
    dx[0] = 0.0f;
#pragma unroll
    for (int d = 0; d < kTaps; ++d) {
      if (reaches[d]) dx[d] = fmaf(window.w[d], da, dx[d]);
      if (t < at.end) dw[d] = fmaf(da, window.x[d], dw[d]);
    }
    if (t < at.end) db += da;
      // Inputs that no later step takes.
#pragma unroll
    for (int d = 0; d < kTaps; ++d) {
      if (d == kept) put(t - kept, dx[d]);
    }
  }
#pragma unroll
  for (int d = 0; d < kTaps; ++d) {
    const int64_t t = end - 1 - d;
    if (d >= kept) continue;
    const bool final = end == time && reaches[d] && !args.dfinal.absent();
    const float added = final ? gpu::widen(args.dfinal(at.b, t - time + kept, at.c)) : 0.0f;
    put(t, dx[d] + added);
  }
  const int64_t row = at.b * ((time + kSteps - 1) / kSteps) + at.begin / kSteps;
#pragma unroll
  for (int d = 0; d < kTaps; ++d) {
    if (d < width) launch.sums(row, d, at.c) = dw[d];
  }
  launch.sums(row, width, at.c) = db;
}

// Without steps the history passes through.
template <typename T>
__global__ void history_grad_kernel(const __grid_constant__ CausalConv1dCudaGradArgs<T> args) {
  const int64_t index = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (index >= args.dhistory.size()) return;
  const int64_t channels = args.dhistory.extent(2), kept = args.dhistory.extent(1);
  const int64_t c = index % channels, i = index / channels % kept, b = index / (channels * kept);
  const float d = args.dfinal.absent() ? 0.0f : gpu::widen(args.dfinal(b, i, c));
  gpu::narrow(d, args.dhistory(b, i, c));
}

template <typename Args>
void check(const char* where, const Args& args) {
  const int64_t batch = args.x.extent(0), time = args.x.extent(1), channels = args.x.extent(2);
  const int64_t width = args.w.extent(1);
  require(width >= 1 && width <= kCausalConv1dCudaWidth, where, "the filter must have 1 to 8 taps");
  require_shape(where, "w", args.w, {channels, width});
  if (!args.b.absent()) require_shape(where, "b", args.b, {channels});
  if (!args.history.absent()) {
    require_shape(where, "history", args.history, {batch, width - 1, channels});
  }
  if (!args.starts.absent()) require_shape(where, "starts", args.starts, {batch, time});
}

template <typename T>
void check(const CausalConv1dCudaGradArgs<T>& args) {
  const int64_t batch = args.x.extent(0), channels = args.x.extent(2), kept = args.w.extent(1) - 1;
  check<CausalConv1dCudaGradArgs<T>>(kGradWhere, args);
  require_shape(kGradWhere, "dy", args.dy, args.x.extents());
  if (!args.dfinal.absent()) {
    require_shape(kGradWhere, "dfinal", args.dfinal, {batch, kept, channels});
  }
  require_shape(kGradWhere, "dx", args.dx, args.x.extents());
  require_shape(kGradWhere, "dw", args.dw, args.w.extents());
  if (!args.db.absent()) require_shape(kGradWhere, "db", args.db, {channels});
  if (!args.dhistory.absent()) {
    require_shape(kGradWhere, "dhistory", args.dhistory, {batch, kept, channels});
  }
}

unsigned blocks_of(int64_t batch, int64_t time, int64_t channels, const char* where) {
  return gpu::blocks_for(batch * stretches(time) * ((channels + kThreads - 1) / kThreads), 1,
                         where);
}

}  // namespace

size_t causal_conv1d_cuda_backward_workspace_bytes(const CausalConv1dShape& shape) {
  return gpu::DeviceScratch::bytes(shape.batch * stretches(shape.time) * (shape.width + 1) *
                                   shape.channels);
}

template <typename T>
void causal_conv1d_cuda(const CausalConv1dCudaArgs<T>& args, cudaStream_t stream) {
  check<CausalConv1dCudaArgs<T>>(kWhere, args);
  require_shape(kWhere, "y", args.y, args.x.extents());
  if (args.x.size() > 0) {
    const unsigned blocks = blocks_of(args.x.extent(0), args.x.extent(1), args.x.extent(2), kWhere);
    if (args.w.extent(1) <= 4) {
      conv_kernel<T, 4><<<blocks, kThreads, 0, stream>>>(args);
    } else {
      conv_kernel<T, 8><<<blocks, kThreads, 0, stream>>>(args);
    }
    gpu::require_device(cudaGetLastError(), kWhere);
  }
  if (args.final_history.absent() || args.final_history.size() == 0) return;
  require_shape(kWhere, "final_history", args.final_history,
                {args.x.extent(0), args.w.extent(1) - 1, args.x.extent(2)});
  history_kernel<T>
      <<<gpu::blocks_for(args.final_history.size(), kThreads, kWhere), kThreads, 0, stream>>>(args);
  gpu::require_device(cudaGetLastError(), kWhere);
}

template <typename T>
void causal_conv1d_cuda_backward(const CausalConv1dCudaGradArgs<T>& args,
                                 std::span<std::byte> workspace, cudaStream_t stream) {
  check(args);
  const int64_t batch = args.x.extent(0), time = args.x.extent(1), channels = args.x.extent(2);
  const int64_t width = args.w.extent(1), rows = batch * stretches(time);
  require(workspace.size() >=
              causal_conv1d_cuda_backward_workspace_bytes({batch, time, channels, width}),
          kGradWhere, "the workspace is too small");
  gpu::DeviceScratch scratch(workspace.data());
  const GradLaunch<T> launch{
      args, {scratch.take(rows * (width + 1) * channels), {rows, width + 1, channels}}};
  if (args.x.size() > 0) {
    const unsigned blocks = blocks_of(batch, time, channels, kGradWhere);
    if (width <= 4) {
      conv_grad_kernel<T, 4><<<blocks, kThreads, 0, stream>>>(launch);
    } else {
      conv_grad_kernel<T, 8><<<blocks, kThreads, 0, stream>>>(launch);
    }
    gpu::require_device(cudaGetLastError(), kGradWhere);
  } else if (!args.dhistory.absent() && args.dhistory.size() > 0) {
    history_grad_kernel<T>
        <<<gpu::blocks_for(args.dhistory.size(), kThreads, kGradWhere), kThreads, 0, stream>>>(
            args);
    gpu::require_device(cudaGetLastError(), kGradWhere);
  }
  // The newest tap comes first there, and last in w.
  const int64_t back = args.dw.stride(1);
  const View<float, 2> dw(args.dw.data() + (width - 1) * back, {width, channels},
                          {-back, args.dw.stride(0)});
  gpu::sum_rows(launch.sums.slice(1, 0, width), dw, stream);
  if (args.db.absent()) return;
  gpu::sum_rows(launch.sums.slice(1, width, 1),
                View<float, 2>(args.db.data(), {1, channels}, {0, args.db.stride(0)}), stream);
}

template void causal_conv1d_cuda(const CausalConv1dCudaArgs<float>&, cudaStream_t);
template void causal_conv1d_cuda(const CausalConv1dCudaArgs<__half>&, cudaStream_t);
template void causal_conv1d_cuda(const CausalConv1dCudaArgs<__nv_bfloat16>&, cudaStream_t);
template void causal_conv1d_cuda_backward(const CausalConv1dCudaGradArgs<float>&,
                                          std::span<std::byte>, cudaStream_t);
template void causal_conv1d_cuda_backward(const CausalConv1dCudaGradArgs<__half>&,
                                          std::span<std::byte>, cudaStream_t);
template void causal_conv1d_cuda_backward(const CausalConv1dCudaGradArgs<__nv_bfloat16>&,
                                          std::span<std::byte>, cudaStream_t);

}  // namespace longwave::ops
