// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "longwave/base/error.h"
#include "longwave/ops/cuda/launch_cuda.h"
#include "longwave/ops/linear_scan/linear_scan_check.h"
#include "longwave/ops/linear_scan/linear_scan_kernel_cuda.cuh"
#include "longwave/ops/linear_scan/linear_scan_ref.h"

namespace longwave::ops {
namespace {

using linear_cuda::Direction;
using linear_cuda::FactorSum;
using linear_cuda::kThreads;
using linear_cuda::Pass;
using linear_cuda::ScanLaunch;

constexpr const char* kWhere = "linear_scan_cuda";
constexpr const char* kGradWhere = "linear_scan_cuda_backward";
// Blocks that keep a GPU busy, and the shortest segment worth a pass of its own.
constexpr int64_t kBlocks = 128;
constexpr int64_t kShortest = 4 * linear_cuda::kTile;

int64_t divided(int64_t count, int64_t each) { return (count + each - 1) / each; }

// Floats of scratch memory for each segment of a channel: a number that may be complex, in single
// and in double.
constexpr int64_t kBorderFloats = 2, kSumFloats = 4;

template <typename... Views>
void require_aligned(const char* where, const Views&... operands) {
  const auto aligned = [](const auto& operand) {
    return reinterpret_cast<uintptr_t>(operand.data()) % sizeof(*operand.data()) == 0;
  };
  require((aligned(operands) && ...), where, "an operand is not aligned to its numbers");
}

template <typename T>
void queue(void (*kernel)(ScanLaunch<T>), int64_t threads, int each, const ScanLaunch<T>& launch,
           const char* where, cudaStream_t stream) {
  if (threads == 0) return;
  kernel<<<gpu::blocks_for(threads, each, where), each, 0, stream>>>(launch);
  gpu::require_device(cudaGetLastError(), where);
}

// Cuts time and finds room for what segments do.
template <typename T>
void prepare(ScanLaunch<T>& launch, int64_t segments, std::span<std::byte> workspace,
             const char* where) {
  const LinearScanCudaSize size{launch.batch, launch.time, launch.channels};
  require(workspace.size() >= linear_scan_cuda_workspace_bytes(size, segments), where,
          "the workspace is too small");
  const int64_t tiles = std::max<int64_t>(1, divided(launch.time, linear_cuda::kTile));
  const int64_t each = divided(tiles, std::max<int64_t>(1, segments));
  launch.segments = divided(tiles, each);
  launch.steps = each * linear_cuda::kTile;
  gpu::DeviceScratch scratch(workspace.data());
  const int64_t count = launch.batch * launch.segments * launch.channels;
  launch.borders.factor =
      reinterpret_cast<linear_cuda::Wide<T>*>(scratch.take(count * kBorderFloats));
  launch.borders.added =
      reinterpret_cast<linear_cuda::Wide<T>*>(scratch.take(count * kBorderFloats));
  launch.sums = reinterpret_cast<linear_cuda::Sum<T>*>(scratch.take(count * kSumFloats));
}

template <typename T, Direction kDirection, linear_cuda::Factors kFactors>
void queue_passes(const ScanLaunch<T>& launch, const char* where, cudaStream_t stream) {
  const int64_t blocks =
      launch.batch * launch.segments * divided(launch.channels, linear_cuda::kLanes);
  if (launch.segments > 1) {
    queue(linear_cuda::scan_kernel<T, kDirection, Pass::kEnds, kFactors>, blocks * kThreads,
          kThreads, launch, where, stream);
    queue(linear_cuda::join_kernel<T>, launch.batch * launch.channels, kThreads, launch, where,
          stream);
  }
  queue(linear_cuda::scan_kernel<T, kDirection, Pass::kStates, kFactors>, blocks * kThreads,
        kThreads, launch, where, stream);
}

template <typename T, Direction kDirection>
void queue_scan(const ScanLaunch<T>& launch, const char* where, cudaStream_t stream) {
  if (launch.time == 0) {
    queue(linear_cuda::no_steps_kernel<T>, launch.batch * launch.channels, kThreads, launch, where,
          stream);
  }
  // Also without steps: sums over them are zero.
  if (launch.a.stride(1) == 0) {
    queue_passes<T, kDirection, linear_cuda::Factors::kShared>(launch, where, stream);
  } else {
    queue_passes<T, kDirection, linear_cuda::Factors::kOwn>(launch, where, stream);
  }
}

}  // namespace

int64_t linear_scan_segments(const LinearScanCudaSize& size) {
  const int64_t blocks =
      std::max<int64_t>(1, size.batch * divided(size.channels, linear_cuda::kLanes));
  return std::clamp<int64_t>(size.time / kShortest, 1, std::max<int64_t>(1, kBlocks / blocks));
}

size_t linear_scan_cuda_workspace_bytes(const LinearScanCudaSize& size, int64_t segments) {
  const int64_t count = size.batch * std::max<int64_t>(1, segments) * size.channels;
  return 2 * gpu::DeviceScratch::bytes(count * kBorderFloats) +
         gpu::DeviceScratch::bytes(count * kSumFloats);
}

template <typename T>
void linear_scan_cuda(const LinearScanCudaArgs<T>& args, int64_t segments,
                      std::span<std::byte> workspace, cudaStream_t stream) {
  const int64_t batch = args.b.extent(0), time = args.b.extent(1), channels = args.b.extent(2);
  check_linear_scan(kWhere, args);
  require_aligned(kWhere, args.a, args.b, args.h0, args.h, args.final);
  ScanLaunch<T> launch{};
  launch.batch = batch;
  launch.time = time;
  launch.channels = channels;
  launch.a = repeated(args.a, batch, time);
  launch.b = args.b;
  launch.h = args.h;
  launch.first = args.h0;
  launch.last = args.final;
  launch.factor_sum = FactorSum::kNone;
  prepare(launch, segments, workspace, kWhere);
  if (time == 1) {
    queue(linear_cuda::step_kernel<T>, batch * divided(channels, kThreads) * kThreads, kThreads,
          launch, kWhere, stream);
    return;
  }
  queue_scan<T, Direction::kForward>(launch, kWhere, stream);
}

template <typename T>
void linear_scan_cuda_backward(const LinearScanCudaGradArgs<T>& args, int64_t segments,
                               std::span<std::byte> workspace, cudaStream_t stream) {
  const int64_t batch = args.dh.extent(0), time = args.dh.extent(1), channels = args.dh.extent(2);
  check_linear_scan_gradient(kGradWhere, args);
  require_aligned(kGradWhere, args.a, args.h, args.h0, args.dh, args.dfinal, args.da, args.db,
                  args.dh0);
  const bool rows_share = args.a.extent(0) != batch, steps_share = args.a.extent(1) != time;
  ScanLaunch<T> launch{};
  launch.batch = batch;
  launch.time = time;
  launch.channels = channels;
  launch.a = repeated(args.a, batch, time);
  launch.b = gpu::reversed(args.dh);
  launch.h = gpu::reversed(args.db);
  launch.added = args.dfinal;
  launch.last = args.dh0;
  launch.states = args.h;
  launch.first_state = args.h0;
  launch.da = args.da;
  launch.factor_sum = FactorSum::kNone;
  if (!args.da.absent() && steps_share) launch.factor_sum = FactorSum::kTime;
  if (!args.da.absent() && !steps_share && !rows_share) launch.factor_sum = FactorSum::kSteps;
  prepare(launch, segments, workspace, kGradWhere);
  queue_scan<T, Direction::kAdjoint>(launch, kGradWhere, stream);
  if (args.da.absent()) return;
  if (steps_share) {
    queue(linear_cuda::sum_segments_kernel<T>, args.da.extent(0) * channels, kThreads, launch,
          kGradWhere, stream);
  } else if (rows_share) {
    queue(linear_cuda::sum_rows_kernel<T>, time * channels, kThreads, launch, kGradWhere, stream);
  }
}

template void linear_scan_cuda(const LinearScanCudaArgs<float>&, int64_t, std::span<std::byte>,
                               cudaStream_t);
template void linear_scan_cuda(const LinearScanCudaArgs<__half>&, int64_t, std::span<std::byte>,
                               cudaStream_t);
template void linear_scan_cuda(const LinearScanCudaArgs<__nv_bfloat16>&, int64_t,
                               std::span<std::byte>, cudaStream_t);
template void linear_scan_cuda(const LinearScanCudaArgs<std::complex<float>>&, int64_t,
                               std::span<std::byte>, cudaStream_t);
template void linear_scan_cuda_backward(const LinearScanCudaGradArgs<float>&, int64_t,
                                        std::span<std::byte>, cudaStream_t);
template void linear_scan_cuda_backward(const LinearScanCudaGradArgs<__half>&, int64_t,
                                        std::span<std::byte>, cudaStream_t);
template void linear_scan_cuda_backward(const LinearScanCudaGradArgs<__nv_bfloat16>&, int64_t,
                                        std::span<std::byte>, cudaStream_t);
template void linear_scan_cuda_backward(const LinearScanCudaGradArgs<std::complex<float>>&, int64_t,
                                        std::span<std::byte>, cudaStream_t);

}  // namespace longwave::ops
