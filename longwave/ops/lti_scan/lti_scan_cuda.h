// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <complex>
#include <cstddef>
#include <cstdint>
#include <span>

#include "longwave/base/view.h"

struct CUstream_st;
struct __half;
struct __nv_bfloat16;

namespace longwave::ops {

/// lti_scan on a GPU: device pointers, T is float, __half or __nv_bfloat16; what concerns the
/// state's dynamics stays float32.
///
///   y = K u + c a^(1..16) h      h' = a^16 h + (a^15 ... 1) u      for each 16 steps
///
/// A warp sees to 16 lines of a channel: sequences, cut in segments where they are too few for the
/// chip (a first pass finds what each segment adds to the state). Both products run on tensor
/// cores, with factors that depend on the channel alone: no FFT and no kernel of the whole length.
/// In bfloat16 with up to kLtiScanCudaModes modes, a warp of a Hopper runs through two lines of a
/// channel, 512 steps at once, where rows begin at multiples of 16 bytes and two by two sequences
/// fill most of the chip.
///
/// Source     as LtiScanArgs; the chunked form of linear recurrences, algorithm ours.
/// Numerics   factors, states and inputs enter products as sums of one or two bfloat16: float16 and
///            bfloat16 exactly, float32 within 2^-18 of its magnitude. Where y is bfloat16, states
///            and their factors enter it within 2^-10. Sums and states are float32. y is rounded to
///            T once for each kLtiScanCudaModes modes. The same arguments give the same bits; other
///            batch sizes or lengths may round otherwise. An input that is not finite may also
///            spoil y of the 15 steps before it.
/// Cost       at 32 modes about 290 multiply-adds of tensor cores an element in bfloat16, 430 in
///            other types, and half as many again where sequences are cut. One read and one write,
///            another read then; fastest when channels are adjacent, in multiples of 16 bytes.
/// Errors     InvalidArgument if shapes disagree or the workspace is too small; DeviceError if the
///            driver refuses or blocks have too little shared memory: 141 KB in bfloat16, 145 in
///            float32, 181 in float16; warps of two lines have a Hopper's 227. Faults of a kernel
///            show at the next synchronisation.
/// Threads    safe for distinct args; runs behind what is in the stream. Outputs must not overlap
///            other operands.
template <typename T>
struct LtiScanCudaArgs {
  View<const T, 3> u;                    // (batch, time, channels)
  View<const std::complex<float>, 2> a;  // (channels, modes)
  View<const std::complex<float>, 2> c;  // (channels, modes)
  View<const float, 1> d;                // (channels), or absent for no skip
  View<std::complex<float>, 3> h;        // (batch, channels, modes) in: h[-1], out: h[time-1]
  View<T, 3> y;                          // (batch, time, channels) out
};

/// Gradients of lti_scan_cuda with respect to all its inputs, as LtiScanGradArgs.
///
/// du is a scan of dy backwards in time. The other gradients run h and dh/da forwards, and multiply
/// them with what 16 or 32 steps of dy make of a state; no state is kept between scan and gradient.
/// In bfloat16 on a Hopper, without dh, all come from one march backwards with the adjoint state
/// and its derivative, where whole sequences keep half of the chip busy: two blocks see to 4
/// sequences of 16 channels.
///
/// Source     as LtiScanGradArgs; algorithm ours.
/// Numerics   as the scan; states enter du within 2^-8 in that march; sums over time in float32
///            within up to 16 lines and in double beyond, in an order that the shapes fix. Inputs
///            that are not finite may then also spoil du of 31 steps.
/// Cost       about 4 times the scan; less in that march, with rows of 16 bytes and up to
///            kLtiScanCudaModes modes: about 700 multiply-adds an element, each operand read once.
/// Errors     as the scan; blocks need 203 KB of shared memory in bfloat16 (218 in that march),
///            211 in float32, 179 in float16, and so a Hopper.
/// Threads    as the scan.
template <typename T>
struct LtiScanCudaGradArgs {
  View<const T, 3> u;                    // (batch, time, channels)
  View<const std::complex<float>, 2> a;  // (channels, modes)
  View<const std::complex<float>, 2> c;  // (channels, modes)
  View<const float, 1> d;                // (channels), or absent
  View<const std::complex<float>, 3>
      h0;               // (batch, channels, modes) the state before the first step
  View<const T, 3> dy;  // (batch, time, channels)
  View<const std::complex<float>, 3> dh;  // (batch, channels, modes) of the final state, or absent
  View<T, 3> du;                          // out, as u
  View<std::complex<float>, 2> da;        // out, as a
  View<std::complex<float>, 2> dc;        // out, as c
  View<float, 1> dd;                      // out, as d: absent if and only if d is
  View<std::complex<float>, 3> dh0;       // out, as h0
};

/// The extents that scratch memory on a GPU depends on.
struct LtiScanCudaSize {
  int64_t batch, time, channels, modes;
};

/// Modes that enter y at once.
inline constexpr int64_t kLtiScanCudaModes = 32;

/// Bytes of device memory that `lti_scan_cuda` takes.
template <typename T>
size_t lti_scan_cuda_workspace_bytes(const LtiScanCudaSize& size);

/// Queues the scan; `workspace` is device memory, aligned to 16 bytes.
template <typename T>
void lti_scan_cuda(const LtiScanCudaArgs<T>& args, std::span<std::byte> workspace,
                   CUstream_st* stream);

/// Bytes of device memory that `lti_scan_cuda_backward` takes.
template <typename T>
size_t lti_scan_cuda_backward_workspace_bytes(const LtiScanCudaSize& size);

/// Queues the gradients; `workspace` as for the scan.
template <typename T>
void lti_scan_cuda_backward(const LtiScanCudaGradArgs<T>& args, std::span<std::byte> workspace,
                            CUstream_st* stream);

}  // namespace longwave::ops
