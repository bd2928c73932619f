// SPDX-License-Identifier: Apache-2.0
#include "longwave/runtime/state_form.h"

#include <algorithm>
#include <cstring>

#include "longwave/base/half.h"
#include "longwave/ops/rounding/rounding.h"

namespace longwave::runtime {
namespace {

constexpr int64_t kGroup = ops::kRoundingGroup;

std::byte* pack_group(std::span<const float> values, std::byte* to) {
  const float step = ops::int8_step(values);
  std::memcpy(to, &step, sizeof(step));
  to += sizeof(step);
  for (const float x : values) *to++ = static_cast<std::byte>(ops::int8_of(x, step));
  return to;
}

const std::byte* unpack_group(const std::byte* from, std::span<float> values) {
  float step = 0;
  std::memcpy(&step, from, sizeof(step));
  from += sizeof(step);
  for (float& x : values) x = static_cast<float>(static_cast<int8_t>(*from++)) * step;
  return from;
}

/// Calls body(group) for the groups of numbers.
template <typename T, typename Body>
void for_each_group(T* values, int64_t count, const Body& body) {
  for (int64_t first = 0; first < count; first += kGroup) {
    body(std::span(values + first, static_cast<size_t>(std::min(kGroup, count - first))));
  }
}

int64_t packed_bytes(const StatePart& part) {
  switch (part.form) {
    case StateForm::kFloat32:
      return part.count * static_cast<int64_t>(sizeof(float));
    case StateForm::kBFloat16:
      return part.count * static_cast<int64_t>(sizeof(uint16_t));
    default:
      return part.count + (part.count + kGroup - 1) / kGroup * static_cast<int64_t>(sizeof(float));
  }
}

}  // namespace

std::string_view name_of(StateForm form) {
  return std::ranges::find(kStateForms, form, &decltype(kStateForms)::value_type::second)->first;
}

std::vector<StatePart> state_parts(const models::SequenceModel& network, StateForm form) {
  std::vector<StatePart> parts;
  if (form == StateForm::kFloat32) return parts;
  for (const mixers::StateRun& run : network.state_runs()) {
    const bool exact = run.kind == mixers::StateRun::Kind::kExact;
    parts.push_back({exact ? StateForm::kFloat32 : form, run.count});
  }
  return parts;
}

int64_t packed_bytes(std::span<const StatePart> parts) {
  int64_t bytes = 0;
  for (const StatePart& part : parts) bytes += packed_bytes(part);
  return bytes;
}

int64_t state_bytes(const models::SequenceModel& network, StateForm form) {
  if (form == StateForm::kFloat32) return packed_bytes(StatePart{form, network.state_size()});
  return packed_bytes(state_parts(network, form));
}

void round_state(std::span<float> values, std::span<const StatePart> parts) {
  for (const StatePart& part : parts) {
    const std::span<float> own = values.first(static_cast<size_t>(part.count));
    if (part.form == StateForm::kBFloat16) ops::round_to_bfloat16(own);
    if (part.form == StateForm::kInt8) ops::round_to_int8(own);
    values = values.subspan(own.size());
  }
}

void pack(std::span<const float> values, std::span<const StatePart> parts,
          std::span<std::byte> bytes) {
  const float* from = values.data();
  std::byte* to = bytes.data();
  for (const StatePart& part : parts) {
    if (part.form == StateForm::kFloat32) {
      if (part.count > 0) std::memcpy(to, from, static_cast<size_t>(packed_bytes(part)));
      to += packed_bytes(part);
    } else if (part.form == StateForm::kBFloat16) {
      for (int64_t i = 0; i < part.count; ++i, to += sizeof(uint16_t)) {
        const uint16_t half = to_bfloat16(from[i]);
        std::memcpy(to, &half, sizeof(half));
      }
    } else {
      for_each_group(from, part.count, [&](auto group) { to = pack_group(group, to); });
    }
    from += part.count;
  }
}

void unpack(std::span<const std::byte> bytes, std::span<const StatePart> parts,
            std::span<float> values) {
  const std::byte* from = bytes.data();
  float* to = values.data();
  for (const StatePart& part : parts) {
    if (part.form == StateForm::kFloat32) {
      if (part.count > 0) std::memcpy(to, from, static_cast<size_t>(packed_bytes(part)));
      from += packed_bytes(part);
    } else if (part.form == StateForm::kBFloat16) {
      for (int64_t i = 0; i < part.count; ++i, from += sizeof(uint16_t)) {
        uint16_t half = 0;
        std::memcpy(&half, from, sizeof(half));
        to[i] = from_bfloat16(half);
      }
    } else {
      for_each_group(to, part.count, [&](auto group) { from = unpack_group(from, group); });
    }
    to += part.count;
  }
}

}  // namespace longwave::runtime
