// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <limits>

#include "longwave/ops/attention/attention.h"
#include "longwave/ops/attention/attention_keys.h"

namespace longwave::ops {

/// One head at one step of one sequence.
struct AttentionPlace {
  int64_t sequence, step, head, kv_head;
};

/// Calls body(place, keys of its sequence) for every head, step and sequence.
template <typename T, typename Args, typename Body>
void for_each_query(const Args& args, const Body& body) {
  const int64_t heads = args.q.extent(2), group = heads / args.k.extent(2);
  for (int64_t s = 0; s < args.q.extent(0); ++s) {
    const Keys<T> keys(args, s);
    for (int64_t t = 0; t < args.q.extent(1); ++t) {
      for (int64_t h = 0; h < heads; ++h) body(AttentionPlace{s, t, h, h / group}, keys);
    }
  }
}

/// attention line for line as its contract states it: the oracle, and the path of double.
template <typename T>
void attention_ref(const AttentionArgs<T>& args) {
  const int64_t dim = args.q.extent(3), stride = args.k.stride(3), v_stride = args.v.stride(3);
  for_each_query<T>(args, [&](const AttentionPlace& at, const Keys<T>& keys) {
    const int64_t s = at.sequence, t = at.step, h = at.head, g = at.kv_head;
    const auto score = [&](int64_t j) {
      T dot = 0;
      for (int64_t p = 0; p < dim; ++p) dot += args.q(s, t, h, p) * keys.key(j, g)[p * stride];
      return args.scale * dot;
    };
    const int64_t first = keys.oldest(t);
    T most = -std::numeric_limits<T>::infinity();
    for (int64_t j = first; j <= t; ++j) most = std::max(most, score(j));
    T sum = 0;
    for (int64_t p = 0; p < dim; ++p) args.y(s, t, h, p) = 0;
    for (int64_t j = first; j <= t; ++j) {
      const T weight = std::exp(score(j) - most);
      sum += weight;
      for (int64_t p = 0; p < dim; ++p) {
        args.y(s, t, h, p) += weight * keys.value(j, g)[p * v_stride];
      }
    }
    for (int64_t p = 0; p < dim; ++p) args.y(s, t, h, p) /= sum;
    if (!args.lse.absent()) args.lse(s, h, t) = most + std::log(sum);
  });
}

/// attention_backward line for line.
template <typename T>
void attention_backward_ref(const AttentionGradArgs<T>& args) {
  const int64_t dim = args.q.extent(3), past = args.k.extent(1) - args.q.extent(1);
  for (int64_t s = 0; s < args.k.extent(0); ++s) {
    for (int64_t j = 0; j < args.k.extent(1); ++j) {
      for (int64_t g = 0; g < args.k.extent(2); ++g) {
        for (int64_t p = 0; p < dim; ++p) args.dk(s, j, g, p) = args.dv(s, j, g, p) = 0;
      }
    }
  }
  for_each_query<T>(args, [&](const AttentionPlace& at, const Keys<T>& keys) {
    const int64_t s = at.sequence, t = at.step, h = at.head, g = at.kv_head;
    T mean = 0;
    for (int64_t p = 0; p < dim; ++p) {
      mean += args.dy(s, t, h, p) * args.y(s, t, h, p);
      args.dq(s, t, h, p) = 0;
    }
    for (int64_t j = keys.oldest(t); j <= t; ++j) {
      const int64_t row = past + j;
      T dot = 0, dweight = 0;
      for (int64_t p = 0; p < dim; ++p) {
        dot += args.q(s, t, h, p) * args.k(s, row, g, p);
        dweight += args.dy(s, t, h, p) * args.v(s, row, g, p);
      }
      const T weight = std::exp(args.scale * dot - args.lse(s, h, t));
      const T ds = weight * (dweight - mean) * args.scale;
      for (int64_t p = 0; p < dim; ++p) {
        args.dv(s, row, g, p) += weight * args.dy(s, t, h, p);
        args.dk(s, row, g, p) += ds * args.q(s, t, h, p);
        args.dq(s, t, h, p) += ds * args.k(s, row, g, p);
      }
    }
  });
}

}  // namespace longwave::ops
