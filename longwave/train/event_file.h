// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>

namespace longwave::train {

/// One number of one moment, as TensorBoard names it.
struct Scalar {
  std::string tag;  ///< "train/loss"
  double value = 0;
};

/// A file of events as TensorBoard reads them: TFRecord frames, each with the CRC-32C of its length
/// and of its content, that hold protobuf messages of type Event.
///
/// The first two events say the version of the format and that a session starts: TensorBoard then
/// forgets what earlier files of the folder say of `first_step` and later ones.
///
/// Source     tensorflow/core/lib/io/record_writer.h and core/util/event.proto, the formats only.
/// Numerics   values are stored in float32; NaN and infinities as they are.
/// Errors     IoError if an event cannot be written.
/// Threads    one owner at a time.
class EventFile {
 public:
  /// Makes a new file in `folder`, which is made if it is missing.
  EventFile(const std::filesystem::path& folder, int64_t first_step);

  /// One event with all these numbers.
  void append(int64_t step, std::span<const Scalar> scalars);

 private:
  void write(const std::string& event);

  std::filesystem::path path_;
  std::ofstream stream_;
};

}  // namespace longwave::train
