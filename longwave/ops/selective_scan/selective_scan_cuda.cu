// SPDX-License-Identifier: Apache-2.0
#include <cuda_runtime.h>

#include <algorithm>

#include "longwave/base/error.h"
#include "longwave/ops/require_shape.h"
#include "longwave/ops/selective_scan/selective_scan_cuda.h"
#include "longwave/ops/selective_scan/selective_scan_plan_cuda.h"

namespace longwave::ops {
namespace {

constexpr const char* kWhere = "selective_scan_cuda";
// Warps that keep the exponential units of the largest chips busy: 132 multiprocessors of 4.
constexpr int64_t kManyWarps = 1408;
// Warps that segments of time make up for.
constexpr int64_t kWarpsOfSegments = 2048;
// Shorter segments of time are not worth a pass.
constexpr int64_t kShortestSegment = 128;

template <typename T>
void check(const SelectiveScanCudaArgs<T>& args) {
  const SelectiveScanCudaInputs<T>& in = args.in;
  const int64_t batch = in.u.extent(0), time = in.u.extent(1), channels = in.u.extent(2);
  const int64_t groups = in.B.extent(2), state = in.A.extent(1);
  require_shape(kWhere, "dt", in.dt, in.u.extents());
  require_shape(kWhere, "A", in.A, {channels, state});
  require_shape(kWhere, "B", in.B, {batch, time, groups, state});
  require_shape(kWhere, "C", in.C, {batch, time, groups, state});
  if (!in.D.absent()) require_shape(kWhere, "D", in.D, {channels});
  if (!in.dt_bias.absent()) require_shape(kWhere, "dt_bias", in.dt_bias, {channels});
  if (!in.z.absent()) require_shape(kWhere, "z", in.z, in.u.extents());
  if (!in.starts.absent()) require_shape(kWhere, "starts", in.starts, {batch, time});
  require_shape(kWhere, "h", args.h, {batch, channels, state});
  require_shape(kWhere, "y", args.y, in.u.extents());
  if (!args.states.absent()) {
    require_shape(kWhere, "states", args.states,
                  {batch, selective_scan_chunks(time, state), state, channels});
  }
  require(groups >= 1 && channels % groups == 0, kWhere, "groups must divide the channels");
  require(state <= kSelectiveScanCudaStates, kWhere, "a channel has too many states");
}

template <typename T>
void run(const SelectiveScanCudaArgs<T>& args, std::span<std::byte> workspace,
         cudaStream_t stream) {
  const SelectiveScanCudaInputs<T>& in = args.in;
  const SelectiveScanCudaSize size{in.u.extent(0), in.u.extent(1), in.u.extent(2), in.B.extent(2),
                                   in.A.extent(1)};
  check(args);
  selective_scan_by_plan(args, selective_scan_plan(size), workspace, stream);
}

}  // namespace

SelectiveScanPlan selective_scan_plan(const SelectiveScanCudaSize& size, int lanes,
                                      int64_t segments) {
  const int64_t chunk = selective_scan_chunk(size.state);
  const int64_t chunks = std::max<int64_t>(1, selective_scan_chunks(size.time, size.state));
  const int64_t each = (chunks + segments - 1) / segments;
  return {lanes, (chunks + each - 1) / each, each * chunk};
}

SelectiveScanPlan selective_scan_plan(const SelectiveScanCudaSize& size) {
  const auto warps = [&](int lanes) {
    const SelectiveLanes& how = kSelectiveLanes[lanes];
    return std::max<int64_t>(1, size.batch * size.channels / how.channels * how.lanes / 32);
  };
  const int count = static_cast<int>(kSelectiveLanes.size());
  int first = 0;
  while (first + 1 < count && kSelectiveLanes[first].most_states() < size.state) ++first;
  for (int i = first; i < count; ++i) {
    if (kSelectiveLanes[i].most_states() > kSelectiveLanes[first].most_states()) break;
    if (warps(i) >= kManyWarps) return selective_scan_plan(size, i, 1);
  }
  const int64_t longest = std::max<int64_t>(1, size.time / kShortestSegment);
  const int64_t wanted = (kWarpsOfSegments + warps(first) - 1) / warps(first);
  return selective_scan_plan(size, first, std::min(longest, wanted));
}

size_t selective_scan_plan_bytes(const SelectiveScanCudaSize& size, const SelectiveScanPlan& plan) {
  if (plan.segments <= 1) return 0;
  return size.batch * plan.segments * (size.state + 1) * size.channels * sizeof(float);
}

size_t selective_scan_cuda_workspace_bytes(const SelectiveScanCudaSize& size) {
  return selective_scan_plan_bytes(size, selective_scan_plan(size));
}

void selective_scan_cuda(const SelectiveScanCudaArgs<float>& args, std::span<std::byte> workspace,
                         cudaStream_t stream) {
  run(args, workspace, stream);
}
void selective_scan_cuda(const SelectiveScanCudaArgs<__half>& args, std::span<std::byte> workspace,
                         cudaStream_t stream) {
  run(args, workspace, stream);
}
void selective_scan_cuda(const SelectiveScanCudaArgs<__nv_bfloat16>& args,
                         std::span<std::byte> workspace, cudaStream_t stream) {
  run(args, workspace, stream);
}

}  // namespace longwave::ops
