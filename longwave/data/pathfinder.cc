// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "longwave/data/builtin.h"
#include "longwave/data/generated.h"
#include "longwave/data/snakes.h"

namespace longwave::data {
namespace {

/// What the published sets of each size were drawn with.
struct Preset {
  int64_t window;
  SnakeStyle style;
};

constexpr std::array kPresets = {
    Preset{32,
           {.window = 32,
            .seed_distance = 7,
            .marker = 1.5,
            .paddle = 2,
            .thickness = 0.5,
            .continuity = 1.0,
            .distractors = 2,
            .contrast = 0.75}},
    Preset{64,
           {.window = 64,
            .seed_distance = 12,
            .marker = 2.5,
            .paddle = 5,
            .thickness = 1,
            .continuity = 1.8,
            .distractors = 5,
            .contrast = 0.8}},
    Preset{128,
           {.window = 128,
            .margin = 2,
            .seed_distance = 20,
            .marker = 3,
            .paddle = 5,
            .thickness = 1.5,
            .continuity = 1.8,
            .distractors = 8,
            .contrast = 0.9}},
    Preset{256,
           {.window = 256,
            .margin = 3,
            .seed_distance = 27,
            .marker = 5,
            .paddle = 5,
            .thickness = 2,
            .continuity = 1.8,
            .distractors = 7,
            .contrast = 1}},
};

Schema pathfinder_schema() {
  return generated_schema(
      160000, {{.key = "window",
                .value = std::string("32"),
                .help = "pixels of an image's side; it decides how the snakes are drawn",
                .choices = {"32", "64", "128", "256"}},
               {.key = "contour",
                .value = int64_t{14},
                .help = "paddles of the two long snakes",
                .least = 2,
                .most = 20}});
}

SnakeStyle style_of(const Options& options) {
  const auto is_asked = [&options](const Preset& preset) {
    return std::to_string(preset.window) == options.text("window");
  };
  SnakeStyle style = std::ranges::find_if(kPresets, is_asked)->style;
  style.contour = options.integer("contour");
  style.distractor = style.contour / 3;
  return style;
}

Example make_example(const SnakeStyle& style, Random& random) {
  Example example;
  const int64_t joined = random.integer(2);
  example.label = {joined};
  const SnakePicture::Ends ends =
      joined == 1 ? SnakePicture::Ends::kSame : SnakePicture::Ends::kDifferent;
  // A snake that runs into a corner spoils its picture; most pictures work out.
  while (true) {
    if (std::optional<SnakePicture> picture = SnakePicture::draw(style, ends, random)) {
      example.input = picture->grey();
      return example;
    }
  }
}

std::unique_ptr<Dataset> open_pathfinder(const Options& options, Split split, uint64_t seed) {
  constexpr float kMiddle = 127.5F;
  const SnakeStyle style = style_of(options);
  const TaskInfo info = {.input_size = 1,
                         .target = TaskInfo::Target::kClass,
                         .target_size = 2,
                         .length = style.window * style.window,
                         .input_shift = {kMiddle},
                         .input_scale = {kMiddle}};
  const auto make = [style](Random& random) { return make_example(style, random); };
  return std::make_unique<Generated>(Generated::Parts{"pathfinder", info, make}, options, split,
                                     seed);
}

}  // namespace

const Source kPathfinder = {"pathfinder",
                            "are two marks joined by a dashed line? Pixel by pixel (class a "
                            "sequence)",
                            pathfinder_schema, open_pathfinder};

}  // namespace longwave::data
