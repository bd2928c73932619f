// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "longwave/base/view.h"
#include "longwave/ops/ssd/ssd.h"

struct CUstream_st;
struct __half;
struct __nv_bfloat16;

namespace longwave::ops {

/// What an ssd on a GPU reads: device pointers, as SsdArgs otherwise.
///
/// T is float, __half or __nv_bfloat16; what concerns the state's dynamics stays float32.
template <typename T>
struct SsdCudaInputs {
  View<const T, 4> x;             // (batch, time, heads, head_dim)
  View<const T, 3> dt;            // (batch, time, heads)         before bias, softplus and limits
  View<const float, 1> A;         // (heads)                      decay rate, negative
  View<const T, 4> B;             // (batch, time, groups, state) heads % groups == 0
  View<const T, 4> C;             // (batch, time, groups, state)
  View<const float, 2> D;         // (heads, head_dim or 1), or absent for no skip
  View<const float, 1> dt_bias;   // (heads), or absent for zero
  View<const uint8_t, 2> starts;  // (batch, time), or absent
  SsdLimits<float> limits;
};

/// ssd on a GPU.
///
/// A block goes through the chunks of some heads of one group with their states in registers; a
/// warp holds 16 rows of a state. C B^T of a chunk is found once for all these heads, all products
/// run on tensor cores, and no state passes through memory. Where batch and heads are too few for
/// the chip, time is cut in segments: a first pass finds what each adds to the state. Where a block
/// has little shared memory it takes fewer heads or loads a chunk only when the last is done.
///
/// On a Hopper GPU a block marches through the chunks of two heads, for types of 16 bits, head_dim
/// above 32 and up to 128 states, both multiples of 8, where rows lie at multiples of 16 bytes: a
/// part of it makes C B^T with decays, one of each head steps its state, and the copy engine brings
/// operands and takes outputs away. A single step takes no products
/// of matrices: lanes go over four states of four rows each.
///
/// Source     as SsdArgs; algorithm ours.
/// Numerics   the state and all sums in float32. Factors of products are rounded to T: the state
///            where it is read, C B^T with its decay, and inputs with theirs; for float as three
///            parts of 11 bits; of a single step they are not. Decays come from sums of exponents
///            over a chunk in double, rounded once, through ex2.approx. On Hopper the exponent of a
///            weight that steps of a chunk have for each other also takes the step size in, through
///            lg2.approx, and is rounded again: even a step's weight for itself, where nothing
///            decays, has a relative error of about 2^-24 times the sum of exponents until there.
///            All sums have an order that the shapes fix: the same arguments give the same bits; it
///            depends on the plan, so that other batch sizes, lengths or GPUs may round otherwise,
///            and packed sequences otherwise than separate ones. What is not a number or beyond the
///            range of T reaches other steps of its chunk.
/// Cost       as SsdArgs. Each operand is read once (B and C once a block, mostly from the cache);
///            fastest when rows of head_dim and of states are adjacent and multiples of 16 bytes.
/// Errors     InvalidArgument if shapes disagree, groups do not divide heads, there are more than
///            kSsdCudaStates states, or the workspace is too small; DeviceError if the driver
///            refuses, or blocks have less than 99 KB of shared memory and no room in it. Faults of
///            a kernel show at the next synchronisation.
/// Threads    safe for distinct args; runs behind what is in the stream. Outputs must not overlap
///            other operands.
template <typename T>
struct SsdCudaArgs {
  SsdCudaInputs<T> in;
  View<float, 4> h;  // (batch, heads, head_dim, state) in: h[-1], out: h[time-1]
  View<T, 4> y;      // (batch, time, heads, head_dim) out
};

/// ssd_backward on a GPU: gradients of ssd_cuda with respect to everything that it reads.
///
/// Two marches leave the state before each chunk and the adjoint behind it in memory; then all
/// chunks go at once, head after head: what the steps of a chunk give each other is added up over
/// the heads of a group before it is multiplied by B and C. There are no atomic additions. On
/// Hopper both marches run side by side, and the warpgroups of a block share the products of a
/// chunk; rows must be whole pieces of 16 bytes, head_dim at most 64 and states at most 128. Where
/// a block has little shared memory it takes half the columns of head_dim at once.
///
/// Source     as SsdGradArgs; algorithm ours.
/// Numerics   as the scan; states and adjoints are rounded to T in memory, and the pairs of steps
///            of a chunk once more behind the sum over heads. Sums over time are in float32 within
///            a chunk and in double beyond, sums over heads in float32. The gradients of step sizes
///            are sums of what passes a step, not differences of what goes before and behind; but
///            on Hopper the sums of what a step reads and gives within a chunk both hold what it
///            gives itself, of which their difference keeps a rounding. What runs there adds in
///            another order too, and so rounds otherwise.
/// Cost       about three times the scan. Device memory of two numbers of T a state and chunk; on
///            Hopper states count as 64 rows of 64 or 128, whichever holds them, and steps and sums
///            of chunks take another 2.6 KB a head and chunk.
/// Errors     as the scan; InvalidArgument also if a gradient is absent or present otherwise than
///            its operand; DeviceError above ssd_cuda_backward_states states.
/// Threads    as the scan.
template <typename T>
struct SsdCudaGradArgs {
  SsdCudaInputs<T> in;
  View<const float, 4> h0;  // (batch, heads, head_dim, state) h[-1], or absent for zero
  View<const T, 4> dy;      // (batch, time, heads, head_dim)
  View<const float, 4>
      dh;             // (batch, heads, head_dim, state) of the final state, or absent for zero
  View<T, 4> dx;      // out, as x
  View<T, 3> ddt;     // out, as dt
  View<float, 1> dA;  // out, as A
  View<T, 4> dB;      // out, as B
  View<T, 4> dC;      // out, as C
  View<float, 2> dD;  // out, as D: absent if and only if D is
  View<float, 1> ddt_bias;  // out, as dt_bias: absent if and only if dt_bias is
  View<float, 4> dh0;       // (batch, heads, head_dim, state) out
};

/// The most states a channel may have on a GPU.
inline constexpr int64_t kSsdCudaStates = 256;

/// Bytes of device memory that `ssd_cuda` takes; 0 where time is not cut. The GPU that will run it
/// must be the present one; DeviceError without any.
template <typename T>
size_t ssd_cuda_workspace_bytes(const SsdSize& size);

/// Queues the scan; see SsdCudaArgs. `workspace` is device memory, aligned to 16 bytes.
template <typename T>
void ssd_cuda(const SsdCudaArgs<T>& args, std::span<std::byte> workspace, CUstream_st* stream);

/// Bytes of device memory that `ssd_cuda_backward` takes; of the present GPU likewise.
template <typename T>
size_t ssd_cuda_backward_workspace_bytes(const SsdSize& size);

/// The most states for whose gradients blocks of the present GPU have room: kSsdCudaStates on an
/// A100 or H100, half as many where blocks have 99 KB of shared memory (compute
/// capability 8.6, 8.9, 12).
template <typename T>
int64_t ssd_cuda_backward_states();

/// Queues the gradients; see SsdCudaGradArgs. `workspace` as for the scan.
template <typename T>
void ssd_cuda_backward(const SsdCudaGradArgs<T>& args, std::span<std::byte> workspace,
                       CUstream_st* stream);

}  // namespace longwave::ops
