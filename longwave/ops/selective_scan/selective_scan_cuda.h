// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "longwave/base/view.h"
#include "longwave/ops/selective_scan/selective_scan.h"

struct CUstream_st;
struct __half;
struct __nv_bfloat16;

namespace longwave::ops {

/// What a selective scan on a GPU reads: device pointers, as SelectiveScanInputs otherwise.
///
/// T is float, __half or __nv_bfloat16; what concerns the state's dynamics stays float32.
template <typename T>
struct SelectiveScanCudaInputs {
  StepSize step_size = StepSize::kSoftplus;
  View<const T, 3> u;            // (batch, time, channels)
  View<const T, 3> dt;           // (batch, time, channels)       before bias and softplus
  View<const float, 2> A;        // (channels, state)
  View<const T, 4> B;            // (batch, time, groups, state)  channels % groups == 0
  View<const T, 4> C;            // (batch, time, groups, state)
  View<const float, 1> D;        // (channels), or absent for no skip
  View<const float, 1> dt_bias;  // (channels), or absent for 0
  View<const T, 3> z;            // (batch, time, channels), or absent for no gate
  View<const uint8_t, 2>
      starts;  // (batch, time), nonzero at the first step of a sequence; or absent
};

/// selective_scan on a GPU.
///
/// A few lanes of a warp share a channel's states, which stay in registers; inputs of a block's
/// channels pass through shared memory in tiles of steps. Where batch, channels and states are too
/// few for the chip, time is cut in segments: a first pass finds what each adds to the state.
/// Where all run at once, what would be blocks of a multiprocessor is one, whose members prepare
/// their tiles in turn.
/// With 9 to 16 states, 512 steps or more and blocks of 227 KB of shared memory, some warps of a
/// block scan all time in one pass instead, and the others prepare steps and finish outputs for
/// them. A single step has no time to go through: lanes take four states of a channel each, in two
/// sequences where there are many.
///
/// Source     as SelectiveScanArgs; algorithm ours.
/// Numerics   float32 throughout; inputs are widened exactly and y is rounded once. Exponentials
///            come from ex2.approx (2 units in the last place) at the rounded s A log2(e);
///            subnormals count as zero. All sums have an order that the shapes fix: the same
///            arguments give the same bits. The order depends on the plan, so that other batch
///            sizes, lengths or GPUs may round otherwise.
/// Cost       an exponential and 4 operations a state and element. Each operand is read once. Where
///            time is cut, exponentials and reads of u, dt and B come twice. Fastest when rows of
///            channels are adjacent, aligned to 16 bytes, and as many a group as a multiple of 16
///            bytes.
/// Errors     InvalidArgument if shapes disagree, groups do not divide channels, there are more
///            than kSelectiveScanCudaStates states, or the workspace is too small; DeviceError if
///            the driver refuses. Faults of a kernel show at the next synchronisation.
/// Threads    safe for distinct args; runs behind what is in the stream. Outputs must not overlap
///            other operands.
template <typename T>
struct SelectiveScanCudaArgs {
  SelectiveScanCudaInputs<T> in;
  View<float, 3> h;       // (batch, channels, state) in: h[-1], out: h[time-1]
  View<T, 3> y;           // (batch, time, channels) out
  View<float, 4> states;  // (batch, chunks, state, channels) out, as selective_scan's; or absent
};

/// selective_scan_backward on a GPU: gradients of selective_scan_cuda with respect to everything
/// that it reads.
///
/// As the scan; each tile of steps first goes forwards again from the state that was kept before
/// it, then backwards. Sums over channels pass through the lanes of a warp, the warps of a block
/// and then the blocks, sums over time through a thread and then the segments, each in an order
/// that the shapes fix: there are no atomic additions. Where blocks are too few for the chip,
/// several take the tiles of their channels in turn; each first finds what a tile adds to the
/// adjoint, so that it can pass on from tile to tile while the blocks do the rest side by side.
/// Channels of very few blocks have segments of time instead, and a first pass over them. Where the
/// blocks of a GPU's last turn would be few, the block of a segment hands the adjoint over to that
/// of the one before.
///
/// Source     as SelectiveScanGradArgs; algorithm ours.
/// Numerics   as the scan; sums over time in float32 over what a block sees to and in double
///            beyond, sums over channels in float32. The same arguments give the same bits.
/// Cost       two exponentials (three with a first pass, 2.3 with tiles in turn) and about 25
///            operations a state and element. Device memory of 2 state numbers a step and block of
///            64 channels (16, if state > 16).
/// Errors     as the scan; InvalidArgument also if there are more than kSelectiveScanCudaGradStates
///            states, or a gradient is absent or present otherwise than its operand; DeviceError
///            above 16 states where blocks of the GPU have less than 147 KB of shared memory
///            (float: 169).
/// Threads    as the scan.
template <typename T>
struct SelectiveScanCudaGradArgs {
  SelectiveScanCudaInputs<T> in;
  View<const float, 4> states;  // (batch, chunks, state, channels) as selective_scan_cuda gave them
  View<const T, 3> dy;          // (batch, time, channels)
  View<const float, 3> dh;      // (batch, channels, state) of the final state, or absent for 0
  View<T, 3> du;                // out, as u
  View<T, 3> ddt;               // out, as dt
  View<float, 2> dA;            // out, as A
  View<T, 4> dB;                // out, as B
  View<T, 4> dC;                // out, as C
  View<float, 1> dD;            // out, as D: absent if and only if D is
  View<float, 1> ddt_bias;      // out, as dt_bias: absent if and only if dt_bias is
  View<T, 3> dz;                // out, as z: absent if and only if z is
  View<float, 3> dh0;           // (batch, channels, state) out, of the state before the first step
};

/// The most states a channel may have on a GPU, and for its gradient.
inline constexpr int64_t kSelectiveScanCudaStates = 1024;
inline constexpr int64_t kSelectiveScanCudaGradStates = 64;

/// The extents that scratch memory on a GPU depends on.
struct SelectiveScanCudaSize {
  int64_t batch, time, channels, groups, state;
};

/// Bytes of device memory that `selective_scan_cuda` takes at most; 0 where time is not cut. The
/// GPU that will run it must be the present one; DeviceError without any.
size_t selective_scan_cuda_workspace_bytes(const SelectiveScanCudaSize& size);

/// Queues the scan; see SelectiveScanCudaArgs. `workspace` is device memory, aligned to 16 bytes.
void selective_scan_cuda(const SelectiveScanCudaArgs<float>& args, std::span<std::byte> workspace,
                         CUstream_st* stream);
void selective_scan_cuda(const SelectiveScanCudaArgs<__half>& args, std::span<std::byte> workspace,
                         CUstream_st* stream);
void selective_scan_cuda(const SelectiveScanCudaArgs<__nv_bfloat16>& args,
                         std::span<std::byte> workspace, CUstream_st* stream);

/// Bytes of device memory that `selective_scan_cuda_backward` takes.
size_t selective_scan_cuda_backward_workspace_bytes(const SelectiveScanCudaSize& size);

/// Queues the gradients; see SelectiveScanCudaGradArgs. `workspace` as for the scan.
void selective_scan_cuda_backward(const SelectiveScanCudaGradArgs<float>& args,
                                  std::span<std::byte> workspace, CUstream_st* stream);
void selective_scan_cuda_backward(const SelectiveScanCudaGradArgs<__half>& args,
                                  std::span<std::byte> workspace, CUstream_st* stream);
void selective_scan_cuda_backward(const SelectiveScanCudaGradArgs<__nv_bfloat16>& args,
                                  std::span<std::byte> workspace, CUstream_st* stream);

}  // namespace longwave::ops
