// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

#include "longwave/runtime/state_form.h"

namespace longwave::runtime {

/// The whole memory of one sequence: a value that can be copied (forked), compared, saved and sent.
struct State {
  uint64_t fingerprint = 0;           ///< of the model that it belongs to
  int64_t position = 0;               ///< steps consumed so far
  std::vector<float> values;          ///< the model's state row
  std::vector<StatePart> parts = {};  ///< how it is kept, see state_parts: values are rounded so
  bool operator==(const State&) const = default;
};

/// A state in as few bytes as its form takes: for those who keep many of them.
struct PackedState {
  uint64_t fingerprint = 0;
  int64_t position = 0;
  std::vector<StatePart> parts;
  std::vector<std::byte> bytes;  ///< as `pack` makes them of the values
};
PackedState pack(const State& state);

/// The state that was packed, bit by bit.
State unpack(const PackedState& packed);

/// The bytes of a state file, little-endian:
///
///   offset  bytes   content
///   0       8       "LWSTATE" and the version, the byte 1
///   8       8       fingerprint
///   16      8       position, at least 0
///   24      8       n, the number of values
///   32      4 n     values, float32
///   32 + 4n 8       hash_bytes of all that came before
///
/// A state of parts has the version 2: the number of parts (8 bytes) at 32, then for each its form
/// and count (8 bytes each), then the values as `pack` makes them, and the hash.
std::vector<std::byte> format_state(const State& state);

/// Reads the bytes of a state file; `where` names it in messages.
///
/// Errors     DataError if it is truncated, too long, of another version or damaged. What is read
///            gives the same bytes again.
State parse_state(std::span<const std::byte> bytes, std::string_view where);

/// Writes the file atomically. IoError says what failed.
void save_state(const std::filesystem::path& path, const State& state);

/// Reads a state file. IoError, or DataError as `parse_state`.
State load_state(const std::filesystem::path& path);

}  // namespace longwave::runtime
