// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/attention/attention.h"

#include <concepts>

#include "longwave/base/error.h"
#include "longwave/ops/attention/attention_cpu.h"
#include "longwave/ops/attention/attention_ref.h"
#include "longwave/ops/require_shape.h"
#include "longwave/ops/rows.h"

namespace longwave::ops {
namespace {

template <typename Args>
AttentionShape shape_of(const Args& args) {
  return {args.q.extent(2), args.k.extent(2), args.q.extent(3), args.q.extent(0)};
}

template <typename Args>
void check_operands(const char* where, const Args& args) {
  const auto [heads, kv_heads, head_dim, batch] = shape_of(args);
  const int64_t time = args.q.extent(1);
  require(args.window >= 1, where, "window must be at least 1");
  require(kv_heads >= 1 && heads % kv_heads == 0, where, "heads must be a multiple of kv_heads");
  require(args.k.extent(1) >= time, where, "k must have a row for every step");
  require_shape(where, "k", args.k, {batch, args.k.extent(1), kv_heads, head_dim});
  require_shape(where, "v", args.v, args.k.extents());
  require_shape(where, "y", args.y, args.q.extents());
  if (!args.seen.absent()) require_shape(where, "seen", args.seen, {batch});
  if (!args.starts.absent()) require_shape(where, "starts", args.starts, {batch, time});
  if (!args.lse.absent()) require_shape(where, "lse", args.lse, {batch, heads, time});
}

template <typename T>
void check(const AttentionArgs<T>& args) {
  const char* where = "attention";
  check_operands(where, args);
  if (args.ring_k.absent()) return;
  require(args.k.extent(1) == args.q.extent(1), where, "give past rows or a ring, not both");
  require(args.ring_k.extent(1) >= args.window, where, "the ring must hold a window");
  require(!args.seen.absent(), where, "a ring needs seen");
  require_shape(where, "ring_k", args.ring_k,
                {args.k.extent(0), args.ring_k.extent(1), args.k.extent(2), args.k.extent(3)});
  require_shape(where, "ring_v", args.ring_v, args.ring_k.extents());
}

template <typename T>
void check(const AttentionGradArgs<T>& args) {
  const char* where = "attention_backward";
  check_operands(where, args);
  require_shape(where, "dy", args.dy, args.q.extents());
  require_shape(where, "dq", args.dq, args.q.extents());
  require_shape(where, "dk", args.dk, args.k.extents());
  require_shape(where, "dv", args.dv, args.k.extents());
  require_shape(where, "lse", args.lse, {args.q.extent(0), args.q.extent(2), args.q.extent(1)});
}

size_t bytes_for_threads(int64_t floats) {
  return Workspace::bytes_for<float>(floats * thread_count());
}

int64_t step_scratch_floats(const AttentionShape& shape) {
  const AttentionBlocks size(shape, 1);
  return size.step_parts_floats(shape.batch * shape.kv_heads) + size.step_floats() * thread_count();
}

template <typename T>
void copy_rows(const View<const T, 3>& from, int64_t row, const View<T, 3>& to, int64_t slot) {
  for (int64_t h = 0; h < from.extent(1); ++h) {
    for (int64_t p = 0; p < from.extent(2); ++p) to(slot, h, p) = from(row, h, p);
  }
}

}  // namespace

size_t attention_workspace_bytes(const AttentionShape& shape) {
  return std::max(bytes_for_threads(AttentionBlocks(shape, kAttentionRows).forward_floats()),
                  Workspace::bytes_for<float>(step_scratch_floats(shape)));
}

size_t attention_backward_workspace_bytes(const AttentionShape& shape) {
  return bytes_for_threads(AttentionBlocks(shape, kAttentionRows).backward_floats());
}

template <typename T>
void attention(const AttentionArgs<T>& args, Workspace& workspace) {
  check(args);
  if constexpr (std::same_as<T, float>) {
    if (adjacent(args.q, args.k, args.v, args.ring_k, args.ring_v, args.y)) {
      const Workspace::Scope scope(workspace);
      if (args.q.extent(1) == 1) {
        return attention_step_cpu(args, workspace.take<float>(step_scratch_floats(shape_of(args))));
      }
      const int64_t floats = AttentionBlocks(shape_of(args), args.q.extent(1)).forward_floats();
      return attention_cpu(args, workspace.take<float>(floats * thread_count()));
    }
  }
  attention_ref(args);
}

template <typename T>
void attention_backward(const AttentionGradArgs<T>& args, Workspace& workspace) {
  check(args);
  if constexpr (std::same_as<T, float>) {
    if (adjacent(args.q, args.k, args.v, args.y, args.dy, args.dq, args.dk, args.dv)) {
      const Workspace::Scope scope(workspace);
      const int64_t floats = AttentionBlocks(shape_of(args), args.q.extent(1)).backward_floats();
      return attention_backward_cpu(args, workspace.take<float>(floats * thread_count()));
    }
  }
  attention_backward_ref(args);
}

template <typename T>
void push_keys(const KeyRingArgs<T>& args) {
  const char* where = "push_keys";
  const int64_t batch = args.k.extent(0), time = args.k.extent(1), slots = args.ring_k.extent(1);
  require_shape(where, "v", args.v, args.k.extents());
  require_shape(where, "ring_k", args.ring_k, {batch, slots, args.k.extent(2), args.k.extent(3)});
  require_shape(where, "ring_v", args.ring_v, args.ring_k.extents());
  require_shape(where, "seen", args.seen, {batch});
  require(slots >= 1, where, "the ring needs a slot");
  if (!args.starts.absent()) require_shape(where, "starts", args.starts, {batch, time});
  for (int64_t s = 0; s < batch && time > 0; ++s) {
    const int64_t start = newest_start(args.starts, s, time - 1, time);
    if (start >= 0) args.seen(s) = 0;
    const int64_t begin = std::max<int64_t>(start, 0), end_position = args.seen(s) + time - begin;
    for (int64_t t = std::max(begin, time - slots); t < time; ++t) {
      const int64_t slot = (end_position - (time - t)) % slots;
      copy_rows(args.k[s], t, args.ring_k[s], slot);
      copy_rows(args.v[s], t, args.ring_v[s], slot);
    }
    args.seen(s) = end_position;
  }
}

template void attention(const AttentionArgs<float>&, Workspace&);
template void attention(const AttentionArgs<double>&, Workspace&);
template void attention_backward(const AttentionGradArgs<float>&, Workspace&);
template void attention_backward(const AttentionGradArgs<double>&, Workspace&);
template void push_keys(const KeyRingArgs<float>&);
template void push_keys(const KeyRingArgs<double>&);

}  // namespace longwave::ops
