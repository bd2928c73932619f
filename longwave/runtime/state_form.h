// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "longwave/models/sequence_model.h"

namespace longwave::runtime {

/// How the numbers of a state are kept between steps. Steps themselves compute in float32.
///
///   kFloat32    as they are                                       4 bytes
///   kBFloat16   |error| <= 2^-8 |x|                               2 bytes
///   kInt8       |error| <= m / 253, m the largest |x| of 32       1 1/8 bytes
///
/// Only what layers carry on from step to step is rounded (see ops/rounding): keys and values of
/// attention, counts and pooled sums stay float32.
enum class StateForm : uint8_t { kFloat32, kBFloat16, kInt8 };

/// All forms by the names that options give them.
inline constexpr std::array<std::pair<std::string_view, StateForm>, 3> kStateForms = {
    {{"f32", StateForm::kFloat32}, {"bf16", StateForm::kBFloat16}, {"int8", StateForm::kInt8}}};

std::string_view name_of(StateForm form);

/// Numbers of a state row that lie side by side and are kept alike. The groups of kInt8 begin anew
/// with each part.
struct StatePart {
  StateForm form = StateForm::kFloat32;
  int64_t count = 0;
  bool operator==(const StatePart&) const = default;
};

/// The parts of a model's state row; none where all is float32.
std::vector<StatePart> state_parts(const models::SequenceModel& network, StateForm form);

/// Bytes that `pack` makes of parts.
int64_t packed_bytes(std::span<const StatePart> parts);

/// Bytes of a model's state in a form.
int64_t state_bytes(const models::SequenceModel& network, StateForm form);

/// Rounds a state row to what its parts can hold. Rounding it again changes nothing.
///
/// Cost       one or two passes over the row, on all threads; no allocation.
void round_state(std::span<float> values, std::span<const StatePart> parts);

/// The numbers of parts as bytes: float32 and bfloat16 little-endian; of int8 for each group of 32,
/// or fewer at the end, a float32 s and a byte q each, x = s q.
void pack(std::span<const float> values, std::span<const StatePart> parts,
          std::span<std::byte> bytes);

/// What `pack` made, bit by bit if the row was rounded.
void unpack(std::span<const std::byte> bytes, std::span<const StatePart> parts,
            std::span<float> values);

}  // namespace longwave::runtime
