// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/base/philox.h"
#include "longwave/data/builtin.h"
#include "longwave/data/generated.h"
#include "longwave/data/permutation.h"
#include "longwave/data/wav_file.h"
#include "longwave/io/file.h"

namespace longwave::data {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kLevels = 256;

Schema wav_schema() {
  return {{.key = "path", .value = std::string(), .help = "the folder"},
          {.key = "task",
           .value = std::string("classify"),
           .help = "name the subfolder that a file is from, or predict the next sample as a value "
                   "or as one of 256 mu-law levels",
           .choices = {"classify", "next_value", "next_level"}},
          {.key = "length",
           .value = int64_t{16000},
           .help = "samples of the longest sequence; 0 means whole files",
           .least = 0,
           .most = 1e12},
          {.key = "rate",
           .value = int64_t{0},
           .help = "sampling rate in Hz that all files must have; 0 means that of the first",
           .least = 0,
           .most = 1e9},
          {.key = "train",
           .value = 0.8,
           .help = "share of the files to train on",
           .least = 0,
           .most = 1},
          {.key = "validation",
           .value = 0.1,
           .help = "share of the files for validation; the rest is the test split",
           .least = 0,
           .most = 1}};
}

struct Clip {
  fs::path path;
  int64_t label = 0;
  int64_t frames = 0;
  int64_t first_example = 0;
};

bool is_wav(const fs::path& path) {
  std::string extension = path.extension().string();
  std::ranges::transform(extension, extension.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return extension == ".wav";
}

/// The files under `folder` by class: by subfolder, or all in one class "".
std::map<std::string, std::vector<fs::path>> files_in(const fs::path& folder, bool classify) {
  std::map<std::string, std::vector<fs::path>> files;
  try {
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder)) {
      if (!is_wav(entry.path()) || !entry.is_regular_file()) continue;
      const fs::path relative = entry.path().lexically_relative(folder);
      const std::string top = relative.begin()->string();
      const bool skipped = top.starts_with(".") || top.starts_with("_") || relative == top;
      if (classify && skipped) continue;
      files[classify ? top : std::string()].push_back(entry.path());
    }
  } catch (const fs::filesystem_error& error) {
    throw io::system_error(folder, "cannot list", error.code().value());
  }
  for (auto& [name, paths] : files) std::ranges::sort(paths);
  return files;
}

/// The files of a split, drawn from each class alike and always the same.
std::vector<Clip> clips_of(const std::map<std::string, std::vector<fs::path>>& files, Split split,
                           double train, double validation) {
  constexpr double kRounding = 1e-9;
  std::vector<Clip> clips;
  int64_t label = 0;
  for (const auto& [name, paths] : files) {
    const auto count = static_cast<int64_t>(paths.size());
    const auto part = [count](double share) {
      return std::min(std::llround(std::floor(share * static_cast<double>(count) + kRounding)),
                      static_cast<long long>(count));
    };
    const int64_t trained = part(train), validated = part(train + validation);
    const int64_t begin = split == Split::kTrain        ? 0
                          : split == Split::kValidation ? trained
                                                        : validated;
    const int64_t end = split == Split::kTrain        ? trained
                        : split == Split::kValidation ? validated
                                                      : count;
    const Permutation order(count, 0, stream_id("wav/" + name));
    for (int64_t i = begin; i < end; ++i)
      clips.push_back({.path = paths[order(i)], .label = label});
    ++label;
  }
  return clips;
}

/// mu-law with mu = 255: the level in 0..255 of a sample in [-1, 1].
int64_t level_of(float sample) {
  constexpr double kMu = kLevels - 1;
  const double x = std::clamp(static_cast<double>(sample), -1.0, 1.0);
  const double squeezed = std::copysign(std::log1p(kMu * std::abs(x)) / std::log1p(kMu), x);
  return std::llround(std::floor((squeezed + 1) / 2 * kMu + 0.5));
}

enum class Task : uint8_t { kClassify, kNextValue, kNextLevel };

Task task_of(const std::string& name) {
  if (name == "classify") return Task::kClassify;
  return name == "next_value" ? Task::kNextValue : Task::kNextLevel;
}

class Sounds : public Dataset {
 public:
  /// Reads the headers of all clips; `rate` of 0 takes that of the first.
  Sounds(std::vector<Clip> clips, Task task, int64_t length, int64_t rate, int64_t classes)
      : clips_(std::move(clips)), task_(task), length_(length), rate_(rate) {
    for (Clip& clip : clips_) {
      const io::MappedFile file(clip.path);
      const WavFile wav = parse_wav(file.bytes(), clip.path.string());
      if (rate_ == 0) rate_ = wav.rate;
      if (wav.rate != rate_) {
        throw DataError({.where = clip.path.string(),
                         .what = "all files must be sampled at " + std::to_string(rate_) + " Hz",
                         .got = std::to_string(wav.rate) + " Hz",
                         .fix = "resample it, or set wav.rate"});
      }
      clip.frames = wav.frames;
      clip.first_example = size_;
      size_ += examples_in(clip.frames);
      info_.length = std::max(info_.length, std::min(steps_in(clip.frames), limit()));
    }
    if (task_ == Task::kNextLevel) {
      info_.input = TaskInfo::Input::kTokens;
      info_.input_size = kLevels;
    }
    info_.target = task_ == Task::kClassify    ? TaskInfo::Target::kClass
                   : task_ == Task::kNextValue ? TaskInfo::Target::kValuePerStep
                                               : TaskInfo::Target::kClassPerStep;
    info_.target_size = task_ == Task::kClassify    ? classes
                        : task_ == Task::kNextLevel ? kLevels
                                                    : 1;
  }

  const TaskInfo& info() const override { return info_; }
  int64_t size() const override { return size_; }
  Example example(int64_t index) const override;
  int64_t rate() const { return rate_; }

  /// Mean and deviation of the samples in up to 512 examples, evenly spaced.
  void standardise_as(const Sounds& train);

 private:
  int64_t limit() const { return length_ > 0 ? length_ : INT64_MAX; }
  int64_t steps_in(int64_t frames) const { return task_ == Task::kClassify ? frames : frames - 1; }
  int64_t examples_in(int64_t frames) const {
    if (task_ == Task::kClassify) return 1;
    const int64_t steps = steps_in(frames);
    return steps / limit() + (steps % limit() > 0 ? 1 : 0);
  }

  std::vector<Clip> clips_;
  Task task_;
  int64_t length_, rate_;
  int64_t size_ = 0;
  TaskInfo info_;
};

Example Sounds::example(int64_t index) const {
  require(index >= 0 && index < size_, "data set", "the example's index is out of range");
  const auto after = std::ranges::upper_bound(clips_, index, {}, &Clip::first_example);
  const Clip& clip = *(after - 1);
  const std::string where = clip.path.string();
  const io::MappedFile file(clip.path);
  const WavFile wav = parse_wav(file.bytes(), where);
  const int64_t window = index - clip.first_example;
  const int64_t begin = window == 0 ? 0 : window * length_;
  const int64_t steps = std::min(limit(), steps_in(clip.frames) - begin);
  Example example;
  if (task_ == Task::kClassify) {
    example.input = decode_wav(wav, 0, steps, where);
    example.label = {clip.label};
    return example;
  }
  const std::vector<float> samples = decode_wav(wav, begin, steps + 1, where);
  if (task_ == Task::kNextValue) {
    example.input.assign(samples.begin(), samples.end() - 1);
    example.value.assign(samples.begin() + 1, samples.end());
    return example;
  }
  std::vector<int64_t> levels(samples.size());
  std::ranges::transform(samples, levels.begin(), level_of);
  example.tokens.assign(levels.begin(), levels.end() - 1);
  example.label.assign(levels.begin() + 1, levels.end());
  return example;
}

void Sounds::standardise_as(const Sounds& train) {
  if (task_ == Task::kNextLevel) return;
  constexpr int64_t kMostExamples = 512;
  const int64_t step = std::max<int64_t>(1, train.size() / kMostExamples);
  double sum = 0, squares = 0, count = 0;
  for (int64_t i = 0; i < train.size(); i += step) {
    for (double sample : train.example(i).input) {
      sum += sample;
      squares += sample * sample;
      ++count;
    }
  }
  const double mean = sum / count;
  const double variance = squares / count - mean * mean;
  info_.input_shift = {static_cast<float>(mean)};
  info_.input_scale = {variance > 0 ? static_cast<float>(std::sqrt(variance)) : 1.0f};
  if (task_ == Task::kClassify) return;
  info_.target_shift = info_.input_shift;
  info_.target_scale = info_.input_scale;
}

std::unique_ptr<Dataset> open_wav(const Options& options, Split split, uint64_t) {
  const std::string& folder = options.text("path");
  require_option(!folder.empty(), "wav", "path must name a folder", "nothing");
  const double train = options.real("train"), validation = options.real("validation");
  require_option(train > 0 && train + validation <= 1, "wav",
                 "train must be above 0 and train + validation at most 1",
                 to_string(train) + " and " + to_string(validation));
  const Task task = task_of(options.text("task"));
  const auto files = files_in(folder, task == Task::kClassify);
  const auto classes = static_cast<int64_t>(files.size());
  const auto open = [&](Split part, int64_t rate) {
    return std::make_unique<Sounds>(clips_of(files, part, train, validation), task,
                                    options.integer("length"), rate, classes);
  };
  auto trained = open(Split::kTrain, options.integer("rate"));
  if (trained->size() == 0) {
    throw DataError({.where = folder,
                     .what = task == Task::kClassify
                                 ? "there must be subfolders with .wav files, one a class"
                                 : "there must be .wav files of at least two samples",
                     .got = "nothing to train on",
                     .fix = "check wav.path, wav.task and wav.train"});
  }
  auto wanted = split == Split::kTrain ? nullptr : open(split, trained->rate());
  Sounds& result = wanted ? *wanted : *trained;
  result.standardise_as(*trained);
  if (wanted) return wanted;
  return trained;
}

}  // namespace

const Source kWav = {"wav", "sound files: classes by subfolder, or the next sample", wav_schema,
                     open_wav};

}  // namespace longwave::data
