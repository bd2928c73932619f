// SPDX-License-Identifier: Apache-2.0
#include <cuda_runtime.h>

#include <algorithm>
#include <array>

#include "longwave/base/error.h"
#include "longwave/ops/cuda/launch_cuda.h"
#include "longwave/ops/require_shape.h"
#include "longwave/ops/selective_scan/selective_scan_cuda.h"
#include "longwave/ops/selective_scan/selective_scan_plan_cuda.h"

namespace longwave::ops {
namespace {

using selective_cuda::kGradWhere, selective_cuda::kWhere;

// Warps that keep the exponential units of the largest chips busy: 132 multiprocessors of 4.
constexpr int64_t kManyWarps = 1408;
// Warps that segments of time make up for, and up to how many more while segments stay long.
constexpr int64_t kWarpsOfSegments = 2048;
constexpr int64_t kMostWarpsOfSegments = 4096;
constexpr int64_t kLongSegment = 4096;
// Picoseconds of a step: of each of kSelectiveApartLanes while each multiprocessor has a block of
// it, and of each sequence's channel where time is cut; an H100's
// (bench/results/cuda_selective.md).
constexpr std::array<int64_t, kSelectiveApartLanes.size()> kApartStep = {34500, 22500};
constexpr int64_t kCutStep = 13;
// Fewer steps leave warps that work apart waiting for each other.
constexpr int64_t kApartSteps = 512;
// Blocks of the gradient that fill the largest chips: 132 multiprocessors of 3. With more than 16
// states, of which a multiprocessor runs one at a time, those that run at once.
constexpr int64_t kGradBlocks = 396, kWideGradBlocks = 132;
// A longer chain hands the adjoint on more slowly than its blocks see to their tiles.
constexpr int64_t kMostChained = 32;
// Of more blocks, how many times as many let the chip stay full until shortly before the end.
constexpr int64_t kGradTurns = 12;
// Shorter segments of time are not worth a pass.
constexpr int64_t kShortestSegment = 128;

template <typename T>
void check(const char* where, const SelectiveScanCudaInputs<T>& in) {
  const int64_t batch = in.u.extent(0), time = in.u.extent(1), channels = in.u.extent(2);
  const int64_t groups = in.B.extent(2), state = in.A.extent(1);
  require_shape(where, "dt", in.dt, in.u.extents());
  require_shape(where, "A", in.A, {channels, state});
  require_shape(where, "B", in.B, {batch, time, groups, state});
  require_shape(where, "C", in.C, {batch, time, groups, state});
  if (!in.D.absent()) require_shape(where, "D", in.D, {channels});
  if (!in.dt_bias.absent()) require_shape(where, "dt_bias", in.dt_bias, {channels});
  if (!in.z.absent()) require_shape(where, "z", in.z, in.u.extents());
  if (!in.starts.absent()) require_shape(where, "starts", in.starts, {batch, time});
  require(groups >= 1 && channels % groups == 0, where, "groups must divide the channels");
}

template <typename T>
void check(const SelectiveScanCudaArgs<T>& args) {
  check(kWhere, args.in);
  const auto [batch, time, channels, groups, state] = selective_size_of(args.in);
  require_shape(kWhere, "h", args.h, {batch, channels, state});
  require_shape(kWhere, "y", args.y, args.in.u.extents());
  if (!args.states.absent()) {
    require_shape(kWhere, "states", args.states,
                  {batch, selective_scan_chunks(time, state), state, channels});
  }
  require(state <= kSelectiveScanCudaStates, kWhere, "a channel has too many states");
}

// A gradient is there exactly when its operand is, and has its shape.
template <typename In, typename Out>
void check_optional(const char* name, const In& operand, const Out& gradient) {
  require(operand.absent() == gradient.absent(), kGradWhere,
          "a gradient must be given exactly when its operand is");
  if (!operand.absent()) require_shape(kGradWhere, name, gradient, operand.extents());
}

template <typename T>
void check(const SelectiveScanCudaGradArgs<T>& args) {
  const SelectiveScanCudaInputs<T>& in = args.in;
  check(kGradWhere, in);
  const auto [batch, time, channels, groups, state] = selective_size_of(in);
  require_shape(kGradWhere, "states", args.states,
                {batch, selective_scan_chunks(time, state), state, channels});
  require_shape(kGradWhere, "dy", args.dy, in.u.extents());
  if (!args.dh.absent()) require_shape(kGradWhere, "dh", args.dh, {batch, channels, state});
  require_shape(kGradWhere, "du", args.du, in.u.extents());
  require_shape(kGradWhere, "ddt", args.ddt, in.u.extents());
  require_shape(kGradWhere, "dA", args.dA, in.A.extents());
  require_shape(kGradWhere, "dB", args.dB, in.B.extents());
  require_shape(kGradWhere, "dC", args.dC, in.C.extents());
  require_shape(kGradWhere, "dh0", args.dh0, {batch, channels, state});
  check_optional("dD", in.D, args.dD);
  check_optional("ddt_bias", in.dt_bias, args.ddt_bias);
  check_optional("dz", in.z, args.dz);
  require(state <= kSelectiveScanCudaGradStates, kGradWhere, "a channel has too many states");
}

template <typename T>
void run(const SelectiveScanCudaArgs<T>& args, std::span<std::byte> workspace,
         cudaStream_t stream) {
  check(args);
  selective_scan_by_plan(args, selective_scan_plan(selective_size_of(args.in)), workspace, stream);
}

template <typename T>
void run(const SelectiveScanCudaGradArgs<T>& args, std::span<std::byte> workspace,
         cudaStream_t stream) {
  check(args);
  selective_scan_grad_by_plan(args, selective_grad_plan_of<T>(selective_size_of(args.in)),
                              workspace, stream);
}

// What warps that work apart take for a step, sharing channels so.
int64_t apart_step(const SelectiveScanCudaSize& size, int lanes, int64_t multiprocessors) {
  const SelectiveLanes& how = kSelectiveApartLanes[lanes];
  const int64_t group = size.channels / std::max<int64_t>(1, size.groups);
  const int64_t width = kSelectiveThreads / how.lanes * how.channels;
  const int64_t blocks = size.batch * size.groups * ((group + width - 1) / width);
  return (blocks + multiprocessors - 1) / multiprocessors * kApartStep[lanes];
}

// Which of them take less for a step than two passes over cut time, or -1.
int apart_lanes(const SelectiveScanCudaSize& size, const gpu::Capacity& capacity) {
  int best = -1;
  if (size.time < kApartSteps || !selective_fits_apart(capacity)) return best;
  int64_t least = kCutStep * size.batch * size.channels;
  for (int i = 0; i < static_cast<int>(kSelectiveApartLanes.size()); ++i) {
    const int most_states = kSelectiveApartLanes[i].most_states();
    if (size.state > most_states || 2 * size.state <= most_states) continue;
    const int64_t step = apart_step(size, i, capacity.multiprocessors);
    if (step < least) best = i, least = step;
  }
  return best;
}

// Blocks of a chain that leave little of the chip idle, or 1. Of up to 16 states segments would
// leave idle as much; of more, they need not all run at once.
int64_t chain_of(const SelectiveScanCudaSize& size, int64_t blocks) {
  const int64_t places = size.state <= 16 ? kGradBlocks : kWideGradBlocks, most = places / blocks;
  const bool full = size.state <= 16 || 10 * most * blocks >= 9 * places;
  return full && most <= kMostChained ? most : 1;
}

}  // namespace

SelectiveScanPlan selective_scan_plan(const SelectiveScanCudaSize& size, int lanes,
                                      int64_t segments) {
  const int64_t chunk = selective_scan_chunk(size.state);
  const int64_t chunks = std::max<int64_t>(1, selective_scan_chunks(size.time, size.state));
  const int64_t each = (chunks + segments - 1) / segments;
  return {lanes, (chunks + each - 1) / each, each * chunk};
}

SelectiveScanPlan selective_apart_plan(const SelectiveScanCudaSize& size, int lanes) {
  SelectiveScanPlan plan = selective_scan_plan(size, lanes, 1);
  plan.work = SelectiveWork::kApart;
  return plan;
}

SelectiveScanPlan selective_scan_plan(const SelectiveScanCudaSize& size) {
  return selective_scan_plan(size, gpu::present_capacity(kWhere));
}

SelectiveScanPlan selective_scan_plan(const SelectiveScanCudaSize& size,
                                      const gpu::Capacity& capacity) {
  if (size.time == 1) {
    SelectiveScanPlan step = selective_scan_plan(size, 0, 1);
    step.work = SelectiveWork::kStep;
    return step;
  }
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
  const int apart = apart_lanes(size, capacity);
  if (apart >= 0) return selective_apart_plan(size, apart);
  const int64_t longest = std::max<int64_t>(1, size.time / kShortestSegment);
  const auto making = [&](int64_t many) { return (many + warps(first) - 1) / warps(first); };
  const int64_t wanted = std::max(making(kWarpsOfSegments),
                                  std::min(making(kMostWarpsOfSegments), size.time / kLongSegment));
  return selective_scan_plan(size, first, std::min(longest, wanted));
}

size_t selective_scan_plan_bytes(const SelectiveScanCudaSize& size, const SelectiveScanPlan& plan) {
  if (plan.segments <= 1) return 0;
  return size.batch * plan.segments * (size.state + 1) * size.channels * sizeof(float);
}

size_t selective_scan_cuda_workspace_bytes(const SelectiveScanCudaSize& size) {
  return selective_scan_plan_bytes(size, selective_scan_plan(size));
}

SelectiveScanPlan selective_grad_plan(const SelectiveScanCudaSize& size, int64_t segments,
                                      SelectiveCarry carry) {
  const int lanes = size.state <= 16 ? 0 : 1;
  const int64_t chunks = std::max<int64_t>(1, selective_scan_chunks(size.time, size.state));
  if (carry == SelectiveCarry::kChain && std::min(segments, chunks) > 1) {
    return {.lanes = lanes, .segments = std::min(segments, chunks), .carry = carry};
  }
  SelectiveScanPlan plan = selective_scan_plan(size, lanes, segments);
  if (plan.segments > 1) plan.carry = carry;
  return plan;
}

SelectiveScanPlan selective_grad_plan(const SelectiveScanCudaSize& size) {
  const int64_t blocks =
      std::max<int64_t>(1, size.batch * size.groups * selective_grad_tiles(size));
  const int64_t longest = std::max<int64_t>(1, size.time / kShortestSegment);
  if (blocks <= kGradBlocks) {
    const int64_t chained = chain_of(size, blocks);
    if (chained > 1) return selective_grad_plan(size, chained, SelectiveCarry::kChain);
    return selective_grad_plan(size, std::min(longest, kGradBlocks / blocks));
  }
  // Blocks of which the last few leave most of the chip idle are cut.
  const int64_t turns = (blocks + kGradBlocks - 1) / kGradBlocks;
  if (10 * blocks >= 9 * turns * kGradBlocks) return selective_grad_plan(size, 1);
  const int64_t segments = (kGradTurns * kGradBlocks + blocks - 1) / blocks;
  return selective_grad_plan(size, std::min(longest, segments), SelectiveCarry::kHandOver);
}

size_t selective_grad_plan_bytes(const SelectiveScanCudaSize& size, const SelectiveScanPlan& plan) {
  const int64_t rows = size.batch * plan.segments;
  const auto bytes = [](int64_t floats) { return gpu::DeviceScratch::bytes(floats); };
  size_t sum = bytes(selective_grad_tiles(size) * size.batch * size.time * size.groups * 2 *
                     selective_grad_fours(size.state)) +
               bytes(rows * size.state * size.channels) + bytes(rows * 2 * size.channels);
  if (plan.segments <= 1) return sum;
  const int64_t blocks = rows * size.groups * selective_grad_tiles(size), held = rows * size.state;
  switch (plan.carry) {
    case SelectiveCarry::kPass:
      return sum + bytes(held * size.channels) + bytes(rows * size.channels);
    case SelectiveCarry::kHandOver:
      return sum + bytes(held * size.channels) + bytes(1 + blocks);
    case SelectiveCarry::kChain:
      return sum + bytes(blocks * selective_grad_letters(size.state));
  }
  return sum;
}

size_t selective_scan_cuda_backward_workspace_bytes(const SelectiveScanCudaSize& size) {
  return selective_grad_plan_bytes(size, selective_grad_plan(size));
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

void selective_scan_cuda_backward(const SelectiveScanCudaGradArgs<float>& args,
                                  std::span<std::byte> workspace, cudaStream_t stream) {
  run(args, workspace, stream);
}
void selective_scan_cuda_backward(const SelectiveScanCudaGradArgs<__half>& args,
                                  std::span<std::byte> workspace, cudaStream_t stream) {
  run(args, workspace, stream);
}
void selective_scan_cuda_backward(const SelectiveScanCudaGradArgs<__nv_bfloat16>& args,
                                  std::span<std::byte> workspace, cudaStream_t stream) {
  run(args, workspace, stream);
}

}  // namespace longwave::ops
