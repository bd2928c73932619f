// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "longwave/base/options.h"

namespace longwave::text {
class Tokenizer;
}

namespace longwave::data {

/// What goes in and what is asked for, so that a model can be sized from the data alone.
struct TaskInfo {
  enum class Input : uint8_t { kReal, kTokens };
  enum class Target : uint8_t {
    kClass,         ///< one class for a sequence
    kValue,         ///< one real vector for a sequence
    kClassPerStep,  ///< a class for each step (-1 = not asked)
    kValuePerStep,  ///< a real vector for each step (NaN = not asked)
  };
  Input input = Input::kReal;
  int64_t input_size = 1;  ///< features of a step, or size of the vocabulary
  Target target = Target::kClass;
  int64_t target_size = 1;  ///< classes, or entries of the real vector
  int64_t length = 0;       ///< steps of the longest sequence

  /// Standardisation that a model applies itself, so that it is fed and answers in raw units:
  /// inputs enter as (x - shift) / scale, real outputs leave as y * scale + shift.
  /// One entry per feature, or empty for none. Estimated on the training split only.
  std::vector<float> input_shift = {}, input_scale = {}, target_shift = {}, target_scale = {};

  /// What the tokens mean, where they are text and each step is asked for the next one: such a task
  /// is judged in bits per byte, and the model keeps the tokenizer.
  std::shared_ptr<const text::Tokenizer> tokenizer = {};
};

/// One sequence. Only the vectors that TaskInfo names are filled.
struct Example {
  std::vector<float> input;     // (time, input_size)
  std::vector<int64_t> tokens;  // (time)
  std::vector<float> value;     // (target_size) or (time, target_size)
  std::vector<int64_t> label;   // (1) or (time)
};

/// A finite, indexable set of sequences; example `i` is always the same, whoever asks and when.
///
/// Threads    const use is safe from many threads.
class Dataset {
 public:
  virtual ~Dataset() = default;
  virtual const TaskInfo& info() const = 0;
  virtual int64_t size() const = 0;
  virtual Example example(int64_t index) const = 0;
};

enum class Split : uint8_t { kTrain, kValidation, kTest };

/// A source of data sets that a recipe can name.
struct Source {
  std::string_view name;     ///< "fashion_mnist"
  std::string_view summary;  ///< one line, for help and documentation
  Schema (*schema)();        ///< options; in a recipe they stand in a section of the source's name
  std::unique_ptr<Dataset> (*open)(const Options& options, Split split, uint64_t seed);
};

std::span<const Source> sources();

/// The source called `name`; ConfigError with the nearest name if there is none.
const Source& source(std::string_view name);

}  // namespace longwave::data
