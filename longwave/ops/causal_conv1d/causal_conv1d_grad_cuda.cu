// SPDX-License-Identifier: Apache-2.0
#include <cuda_runtime.h>

#include "longwave/ops/causal_conv1d/causal_conv1d_window_cuda.cuh"
#include "longwave/ops/cuda/sum_rows_cuda.h"

namespace longwave::ops {
namespace {

using namespace conv_cuda;

constexpr const char* kGradWhere = "causal_conv1d_cuda_backward";

template <typename T>
struct GradLaunch {
  CausalConv1dCudaGradArgs<T> args;
  View<float, 3> sums;  // (batch stretches, width + 1, channels) of dw, newest tap first, and db
};

// Gradients on their way back through a thread's stretch.
template <typename P, typename T>
struct Backward {
  using Pack = typename P::Pack;
  static constexpr int kTaps = P::kTaps, kPack = P::kPack;
  const CausalConv1dCudaGradArgs<T>& args;
  const Place& at;
  const int kept;
  Window<P> window;
  Pack dx[kTaps] = {}, dw[kTaps] = {}, db = {};  // dx[d]: of the input d steps back, so far
  bool reaches[kTaps];                           // whether no start lies between that input and now

  __device__ Backward(const CausalConv1dCudaGradArgs<T>& all, const Place& place)
      : args(all), at(place), kept(P::width(all) - 1), window(all, place) {
#pragma unroll
    for (int d = 0; d < kTaps; ++d) reaches[d] = true;
  }

  __device__ void put(int64_t t, const Pack& value) const {
    if (t >= at.begin && t < at.end) gpu::store_pack(value, &args.dx(at.b, t, at.c));
    if (at.begin != 0 || t >= 0 || t < -kept || args.dhistory.absent()) return;
#pragma unroll
    for (int k = 0; k < kPack; ++k) {
      gpu::narrow(value.v[k], args.dhistory(at.b, t + kept, at.c + k));
    }
  }

  // kMine: whether the step is one of the stretch, or later and only takes from it.
  template <bool kMine>
  __device__ void step(int64_t t, const Pack& x, const Pack& dy, bool smooth) {
    const bool start = P::starts_at(args, at.b, t);
    window.enter(x, start);
#pragma unroll
    for (int d = kTaps - 1; d > 0; --d) {
      dx[d] = dx[d - 1];
      reaches[d] = reaches[d - 1] && !start;
    }
    dx[0] = Pack{};
#pragma unroll
    for (int k = 0; k < kPack; ++k) {
      float da = dy.v[k];
      if (smooth) {
        const float a = window.sum(k);
        da *= gpu::silu_slope(a, gpu::sigmoid(a));
      }
#pragma unroll
      for (int d = 0; d < kTaps; ++d) {
        if (reaches[d]) dx[d].v[k] = fmaf(window.w[d].v[k], da, dx[d].v[k]);
        if (kMine) dw[d].v[k] = fmaf(da, window.x[d].v[k], dw[d].v[k]);
      }
      if (kMine) db.v[k] += da;
    }
    // Inputs that no later step takes.
#pragma unroll
    for (int d = 0; d < kTaps; ++d) {
      if (d == kept) put(t - kept, dx[d]);
    }
  }

  // What later steps would take of, and the history's own gradient.
  __device__ void finish(int64_t end) {
    const int64_t time = args.x.extent(1);
#pragma unroll
    for (int d = 0; d < kTaps; ++d) {
      const int64_t t = end - 1 - d;
      if (d >= kept) continue;
      if (end == time && reaches[d] && !args.dfinal.absent()) {
#pragma unroll
        for (int k = 0; k < kPack; ++k) {
          dx[d].v[k] += gpu::widen(args.dfinal(at.b, t - time + kept, at.c + k));
        }
      }
      put(t, dx[d]);
    }
  }
};

template <typename P, typename T>
__global__ void __launch_bounds__(kThreads)
    conv_grad_kernel(const __grid_constant__ GradLaunch<T> launch) {
  const CausalConv1dCudaGradArgs<T>& args = launch.args;
  const int64_t time = args.x.extent(1);
  const int width = P::width(args);
  const Place at = place_of<P::kPack>(time, args.x.extent(2));
  if (!at.there) return;
  Backward<P, T> back(args, at);
  const bool smooth = args.activation == ConvActivation::kSilu;
  typename P::Pack x[kAhead], dy[kAhead];
  for (int64_t t = at.begin; t < at.end; t += kAhead) {
    read_ahead(args.x, at, t, at.end, x);
    read_ahead(args.dy, at, t, at.end, dy);
#pragma unroll
    for (int i = 0; i < kAhead; ++i) {
      if (t + i < at.end) back.template step<true>(t + i, x[i], dy[i], smooth);
    }
  }
  const int64_t end = min(at.end + width - 1, time);  // later steps take from this stretch too
  for (int64_t t = at.end; t < end; ++t) {
    back.template step<false>(t, gpu::load_pack<P::kPack>(&args.x(at.b, t, at.c)),
                              gpu::load_pack<P::kPack>(&args.dy(at.b, t, at.c)), smooth);
  }
  back.finish(end);
  const int64_t row = at.b * ((time + kSteps - 1) / kSteps) + at.begin / kSteps;
#pragma unroll
  for (int k = 0; k < P::kPack; ++k) {
#pragma unroll
    for (int d = 0; d < P::kTaps; ++d) {
      if (d < width) launch.sums(row, d, at.c + k) = back.dw[d].v[k];
    }
    launch.sums(row, width, at.c + k) = back.db.v[k];
  }
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

template <typename T>
void launch(const GradLaunch<T>& grad, cudaStream_t stream) {
  const auto with = [&]<typename P>(P) {
    const unsigned blocks = blocks_of(grad.args, P::kPack, kGradWhere);
    conv_grad_kernel<P><<<blocks, kThreads, 0, stream>>>(grad);
  };
  with_plan<T, kGradWide>(grad.args, with, grad.args.x, grad.args.dy, grad.args.dx);
  gpu::require_device(cudaGetLastError(), kGradWhere);
}

}  // namespace

size_t causal_conv1d_cuda_backward_workspace_bytes(const CausalConv1dShape& shape) {
  return gpu::DeviceScratch::bytes(shape.batch * stretches(shape.time) * (shape.width + 1) *
                                   shape.channels);
}

template <typename T>
void causal_conv1d_cuda_backward(const CausalConv1dCudaGradArgs<T>& args,
                                 std::span<std::byte> workspace, cudaStream_t stream) {
  const CausalConv1dShape shape = check_conv_gradient(kGradWhere, args);
  check_width(kGradWhere, shape);
  const int64_t channels = shape.channels, width = shape.width;
  const int64_t rows = shape.batch * stretches(shape.time);
  require(workspace.size() >= causal_conv1d_cuda_backward_workspace_bytes(shape), kGradWhere,
          "the workspace is too small");
  gpu::DeviceScratch scratch(workspace.data());
  const GradLaunch<T> grad{
      args, {scratch.take(rows * (width + 1) * channels), {rows, width + 1, channels}}};
  if (args.x.size() > 0) {
    launch(grad, stream);
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
  gpu::sum_rows(grad.sums.slice(1, 0, width), dw, stream);
  if (args.db.absent()) return;
  gpu::sum_rows(grad.sums.slice(1, width, 1),
                View<float, 2>(args.db.data(), {1, channels}, {0, args.db.stride(0)}), stream);
}

template void causal_conv1d_cuda_backward(const CausalConv1dCudaGradArgs<float>&,
                                          std::span<std::byte>, cudaStream_t);
template void causal_conv1d_cuda_backward(const CausalConv1dCudaGradArgs<__half>&,
                                          std::span<std::byte>, cudaStream_t);
template void causal_conv1d_cuda_backward(const CausalConv1dCudaGradArgs<__nv_bfloat16>&,
                                          std::span<std::byte>, cudaStream_t);

}  // namespace longwave::ops
