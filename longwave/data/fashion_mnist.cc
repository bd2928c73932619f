// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <bit>
#include <cmath>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/base/philox.h"
#include "longwave/base/tensor.h"
#include "longwave/data/builtin.h"
#include "longwave/data/generated.h"
#include "longwave/data/idx.h"
#include "longwave/data/permutation.h"

namespace longwave::data {
namespace {

constexpr int64_t kClasses = 10;

Schema fashion_mnist_schema() {
  return {{.key = "path",
           .value = std::string("/usr/share/datasets/fashion-mnist"),
           .help = "folder with the four IDX files, plain or .gz; real MNIST works too"},
          {.key = "layout",
           .value = std::string("pixels"),
           .help = "a step is one pixel, or one row of the image",
           .choices = {"pixels", "rows"}},
          {.key = "permute",
           .value = std::string("none"),
           .help = "order of the pixels: as stored, shuffled once for all, or bit reversal",
           .choices = {"none", "random", "bit_reversal"}},
          {.key = "permute_seed",
           .value = int64_t{1},
           .help = "which shuffled order, for permute = random",
           .least = 0},
          {.key = "validation",
           .value = int64_t{5000},
           .help = "training images held out for validation",
           .least = 0}};
}

/// Which pixel stands at each place of the sequence.
std::vector<int64_t> pixel_order(const Options& options, int64_t pixels) {
  const std::string& permute = options.text("permute");
  std::vector<int64_t> order;
  if (permute == "bit_reversal") {
    const int bits = std::bit_width(static_cast<uint64_t>(pixels) - 1);
    for (int64_t i = 0; i < int64_t{1} << bits; ++i) {
      int64_t reversed = 0;
      for (int bit = 0; bit < bits; ++bit) reversed |= (i >> bit & 1) << (bits - 1 - bit);
      if (reversed < pixels) order.push_back(reversed);
    }
    return order;
  }
  const Permutation shuffled(pixels, static_cast<uint64_t>(options.integer("permute_seed")),
                             stream_id("fashion_mnist/pixels"));
  for (int64_t i = 0; i < pixels; ++i) order.push_back(permute == "random" ? shuffled(i) : i);
  return order;
}

/// Images and labels of one pair of files.
struct Images {
  int64_t count = 0, rows = 0, columns = 0;
  std::vector<uint8_t> pixels = {};  ///< (count, rows, columns)
  std::vector<uint8_t> labels = {};  ///< (count)
};

[[noreturn]] void reject(const std::filesystem::path& path, std::string what, std::string got) {
  throw DataError({.where = path.string(),
                   .what = std::move(what),
                   .got = std::move(got),
                   .fix = "fetch the files of one data set again"});
}

Images load_images(const std::string& folder, const std::string& prefix) {
  const std::filesystem::path images_path =
      std::filesystem::path(folder) / (prefix + "-images-idx3-ubyte");
  const std::filesystem::path labels_path =
      std::filesystem::path(folder) / (prefix + "-labels-idx1-ubyte");
  std::error_code ignored;
  if (!std::filesystem::is_directory(folder, ignored)) {
    throw IoError({.where = folder,
                   .what = "the folder of fashion_mnist.path does not exist",
                   .got = {},
                   .fix = "apt-get install dataset-fashion-mnist, or name the folder that holds " +
                          images_path.filename().string() + "(.gz)"});
  }
  Idx pixels = load_idx(images_path), labels = load_idx(labels_path);
  if (pixels.extents.size() != 3 || pixels.values.empty()) {
    reject(images_path, "images must have rank 3 and at least one pixel",
           to_string(pixels.extents));
  }
  if (labels.extents != Shape{pixels.extents[0]}) {
    reject(labels_path, "there must be one label an image",
           to_string(labels.extents) + " for images " + to_string(pixels.extents));
  }
  const auto wrong = std::ranges::find_if(labels.values, [](uint8_t x) { return x >= kClasses; });
  if (wrong != labels.values.end()) {
    reject(labels_path, "labels must be 0 to 9",
           std::to_string(*wrong) + " for image " + std::to_string(wrong - labels.values.begin()));
  }
  return {.count = pixels.extents[0],
          .rows = pixels.extents[1],
          .columns = pixels.extents[2],
          .pixels = std::move(pixels.values),
          .labels = std::move(labels.values)};
}

/// The images at `indices` only.
Images chosen(const Images& images, const std::vector<int64_t>& indices) {
  Images result = {.count = static_cast<int64_t>(indices.size()),
                   .rows = images.rows,
                   .columns = images.columns};
  const int64_t size = images.rows * images.columns;
  for (int64_t index : indices) {
    const auto begin = images.pixels.begin() + index * size;
    result.pixels.insert(result.pixels.end(), begin, begin + size);
    result.labels.push_back(images.labels[index]);
  }
  return result;
}

/// Indices of the training file that belong to `split`, in the order of the file.
std::vector<int64_t> part_of(int64_t count, int64_t validation, Split split) {
  constexpr uint64_t kFixed = 0;
  const Permutation shuffled(count, kFixed, stream_id("fashion_mnist/validation"));
  const bool held_out = split == Split::kValidation;
  std::vector<int64_t> part;
  for (int64_t i = held_out ? 0 : validation; i < (held_out ? validation : count); ++i) {
    part.push_back(shuffled(i));
  }
  std::ranges::sort(part);
  return part;
}

class ImageSequences : public Dataset {
 public:
  ImageSequences(Images images, std::vector<int64_t> order, TaskInfo info)
      : images_(std::move(images)), order_(std::move(order)), info_(std::move(info)) {}

  const TaskInfo& info() const override { return info_; }
  int64_t size() const override { return images_.count; }

  Example example(int64_t index) const override {
    require(index >= 0 && index < images_.count, "data set", "the example's index is out of range");
    Example example;
    example.label = {images_.labels[index]};
    example.input.resize(order_.size());
    const uint8_t* pixels = images_.pixels.data() + index * static_cast<int64_t>(order_.size());
    std::ranges::transform(order_, example.input.begin(),
                           [pixels](int64_t place) { return static_cast<float>(pixels[place]); });
    return example;
  }

 private:
  Images images_;
  std::vector<int64_t> order_;
  TaskInfo info_;
};

/// Mean and deviation over all pixels of all images, from exact integer sums.
void standardise(const Images& images, TaskInfo& info) {
  uint64_t sum = 0, squares = 0;
  for (uint64_t pixel : images.pixels) {
    sum += pixel;
    squares += pixel * pixel;
  }
  const auto count = static_cast<double>(images.pixels.size());
  const double mean = static_cast<double>(sum) / count;
  const double variance = static_cast<double>(squares) / count - mean * mean;
  const auto features = static_cast<size_t>(info.input_size);
  info.input_shift.assign(features, static_cast<float>(mean));
  info.input_scale.assign(features, variance > 0 ? static_cast<float>(std::sqrt(variance)) : 1.0f);
}

std::unique_ptr<Dataset> open_fashion_mnist(const Options& options, Split split, uint64_t) {
  const std::string& folder = options.text("path");
  const bool rows = options.text("layout") == "rows";
  require_option(!rows || options.text("permute") == "none", "fashion_mnist",
                 "pixels are permuted only where a step is a pixel", "layout = rows with permute");
  Images train = load_images(folder, "train");
  const int64_t validation = options.integer("validation");
  require_option(validation < train.count, "fashion_mnist",
                 "validation must leave images to train on, of " + std::to_string(train.count),
                 std::to_string(validation));
  const Images kept = chosen(train, part_of(train.count, validation, Split::kTrain));
  TaskInfo info = {.input_size = rows ? train.columns : 1,
                   .target = TaskInfo::Target::kClass,
                   .target_size = kClasses,
                   .length = rows ? train.rows : train.rows * train.columns};
  standardise(kept, info);
  std::vector<int64_t> order = pixel_order(options, train.rows * train.columns);
  if (split == Split::kTrain) {
    return std::make_unique<ImageSequences>(kept, std::move(order), std::move(info));
  }
  Images held_out = split == Split::kTest ? load_images(folder, "t10k")
                                          : chosen(train, part_of(train.count, validation, split));
  if (held_out.rows != train.rows || held_out.columns != train.columns) {
    if (held_out.count > 0) {
      reject(folder, "test images must have the size of the training images",
             std::to_string(held_out.rows) + " x " + std::to_string(held_out.columns));
    }
  }
  return std::make_unique<ImageSequences>(std::move(held_out), std::move(order), std::move(info));
}

}  // namespace

const Source kFashionMnist = {"fashion_mnist",
                              "28 x 28 grey images, pixel by pixel (class a sequence)",
                              fashion_mnist_schema, open_fashion_mnist};

}  // namespace longwave::data
