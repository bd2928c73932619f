// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/ssd/ssd_backward_cpu.h"

#include <algorithm>

#include "longwave/base/parallel.h"
#include "longwave/ops/ssd/ssd_cpu.h"
#include "longwave/ops/ssd/ssd_ref.h"

namespace longwave::ops {
namespace {

// Adds up what the windows left, in their order.
void add_windows(const SsdGradArgs<float>& args, const SsdBackwardMemory& memory, int64_t i) {
  const int64_t head_dim = args.x.extent(3);
  double dA = 0, bias = 0;
  const auto over_windows = [&](const auto& body) {
    for (int64_t b = 0; b < args.x.extent(0); ++b) {
      for (int64_t w = 0; w < memory.windows(); ++w) body(memory.sums(b, w, i));
    }
  };
  over_windows([&](const SsdBackwardMemory::Sums& sums) {
    dA += *sums.A;
    bias += *sums.bias;
  });
  args.dA(i) = static_cast<float>(dA);
  if (!args.ddt_bias.absent()) args.ddt_bias(i) = static_cast<float>(bias);
  if (args.dD.absent()) return;
  const int64_t skips = args.dD.extent(1), share = skips == head_dim ? 1 : head_dim;
  for (int64_t k = 0; k < skips; ++k) {
    double sum = 0;
    over_windows([&](const SsdBackwardMemory::Sums& sums) {
      for (int64_t p = k * share; p < (k + 1) * share; ++p) sum += sums.D[p];
    });
    args.dD(i, k) = static_cast<float>(sum);
  }
}

}  // namespace

int64_t SsdBackwardMemory::sequences(const SsdSize& size) {
  const int64_t heads = std::max<int64_t>(size.heads, 1);
  return std::clamp<int64_t>((2 * thread_count() + heads - 1) / heads, 1,
                             std::max<int64_t>(size.batch, 1));
}

size_t SsdBackwardMemory::bytes(const SsdSize& size) {
  const SsdBackwardMemory memory(size);
  const auto [slots, entries, sums, firsts] = memory.counts(size);
  return Workspace::bytes_for<float>(slots * memory.slot_) +
         Workspace::bytes_for<float>(entries * memory.slot_) +
         Workspace::bytes_for<float>((slots + sequences(size) * size.heads) * memory.slot_) +
         Workspace::bytes_for<float>(sums * memory.width_) +
         2 * Workspace::bytes_for<double>(sums) + Workspace::bytes_for<int64_t>(firsts);
}

SsdBackwardMemory::SsdBackwardMemory(const SsdSize& size)
    : heads_(size.heads),
      time_(size.time),
      windows_((size.time + kSsdChunk - 1) / kSsdChunk),
      row_(ssd_padded(size.state)),
      width_(ssd_padded(size.head_dim)),
      slot_(size.head_dim * row_) {}

SsdBackwardMemory::Counts SsdBackwardMemory::counts(const SsdSize& size) const {
  const int64_t heads = sequences(size) * size.heads;
  return {.slots = heads * std::min(kSegment, windows_),
          .entries = heads * (segments() - 1),
          .sums = size.batch * windows_ * size.heads,
          .firsts = sequences(size) * windows_};
}

SsdBackwardMemory::SsdBackwardMemory(const SsdSize& size, Workspace& workspace)
    : SsdBackwardMemory(size) {
  const auto [slots, entries, sums, firsts] = counts(size);
  states_ = workspace.take<float>(slots * slot_);
  entries_ = workspace.take<float>(entries * slot_);
  gradients_ = workspace.take<float>((slots + sequences(size) * heads_) * slot_);
  D_ = workspace.take<float>(sums * width_);
  A_ = workspace.take<double>(sums);
  bias_ = workspace.take<double>(sums);
  first_ = workspace.take<int64_t>(firsts);
}

size_t ssd_backward_cpu_bytes(const SsdSize& size) {
  if (size.heads == 0) return 0;
  const int64_t scratch =
      std::max(ssd_backward_states_floats(size), ssd_backward_chunks_floats(size));
  return SsdBackwardMemory::bytes(size) + Workspace::bytes_for<float>(thread_count() * scratch);
}

void ssd_backward_cpu(const SsdGradArgs<float>& args, Workspace& workspace) {
  const SsdSize size = ssd_size_of(args);
  if (size.heads == 0) {
    ssd_clear(args.dB);
    ssd_clear(args.dC);
    return;
  }
  const Workspace::Scope scope(workspace);
  const SsdBackwardMemory memory(size, workspace);
  const int64_t together = SsdBackwardMemory::sequences(size);
  for (int64_t b = 0; b < size.batch; b += together) {
    for (int64_t segment = memory.segments() - 1; segment >= 0; --segment) {
      const SsdBackwardPart part{b, std::min(together, size.batch - b), segment};
      ssd_backward_states_cpu(args, part, memory, workspace);
      ssd_backward_chunks_cpu(args, part, memory, workspace);
    }
  }
  for (int64_t i = 0; i < size.heads; ++i) add_windows(args, memory, i);
}

}  // namespace longwave::ops
