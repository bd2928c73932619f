// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "longwave/base/parallel.h"
#include "longwave/ops/simd/flush_subnormals.h"
#include "longwave/ops/ssd/ssd_cpu.h"
#include "longwave/ops/ssd/ssd_ref.h"
#include "longwave/ops/ssd/ssd_rows.h"

namespace longwave::ops {
namespace {

// Numbers of the state that are worth another thread.
constexpr int64_t kGrain = 1 << 15;

bool adjacent(const SsdArgs<float>& args) {
  return args.B.extent(3) <= 1 ||
         (args.B.stride(3) == 1 && args.C.stride(3) == 1 && args.h.stride(3) == 1);
}

void step_head(const SsdArgs<float>& args, int64_t b, int64_t i) {
  const int64_t state = args.B.extent(3), group = i / (args.x.extent(2) / args.B.extent(2));
  const float d = ssd_step_size<float>(args, b, 0, i);
  SsdStepRow row{.count = state,
                 .decay = ssd_decay<float>(args, d, b, 0, i),
                 .B = args.B.data() + b * args.B.stride(0) + group * args.B.stride(2),
                 .C = args.C.data() + b * args.C.stride(0) + group * args.C.stride(2)};
  for (int64_t p = 0; p < args.x.extent(3); ++p) {
    const float x = args.x(b, 0, i, p);
    row.gain = d * x;
    row.h = args.h.data() + b * args.h.stride(0) + i * args.h.stride(1) + p * args.h.stride(2);
    const float skip = args.D.absent() ? 0.0f : ssd_skip(args.D, i, p) * x;
    args.y(b, 0, i, p) = ssd_step_row(row) + skip;
  }
}

}  // namespace

void ssd_step_cpu(const SsdArgs<float>& args) {
  if (!adjacent(args)) {
    ssd_ref(args);
    return;
  }
  const int64_t heads = args.x.extent(2);
  const int64_t work = std::max<int64_t>(args.x.extent(3) * args.B.extent(3), 1);
  parallel_for(args.x.extent(0) * heads, std::max<int64_t>(kGrain / work, 1),
               [&](int64_t begin, int64_t end) {
                 const FlushSubnormals flush;
                 for (int64_t i = begin; i < end; ++i) step_head(args, i / heads, i % heads);
               });
}

}  // namespace longwave::ops
