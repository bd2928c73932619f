// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "longwave/base/philox.h"

namespace longwave::data {

/// How a picture of snakes is drawn; lengths are in pixels.
struct SnakeStyle {
  int64_t window = 32;       ///< side of the picture
  double margin = 1;         ///< room around a paddle
  double seed_distance = 7;  ///< between the starts of the two long snakes
  double marker = 1.5;       ///< radius of the discs at two ends
  int64_t contour = 14;      ///< paddles of a long snake
  double paddle = 2;         ///< length of a paddle
  double thickness = 0.5;    ///< of a paddle
  double continuity = 1;     ///< how strongly a snake goes straight on
  int64_t distractor = 4;    ///< paddles of a short snake
  int64_t distractors = 2;   ///< short snakes
  double contrast = 0.75;    ///< grey of a paddle as a share of a disc's
};

/// Two long dashed curves ("snakes" of "paddles") that do not touch, short ones around them, and a
/// disc at two ends of long snakes: of the same snake, or of different ones.
///
/// A snake grows from its last pivot p in direction d: the next direction is drawn among those to
/// pixels on a circle of radius paddle + margin around p, with weight
///
///   cos^2(min(continuity |angle to d|, pi/2))   and 0 where the picture is occupied
///
/// and its paddle lies from p + margin to p + margin + paddle, the next pivot margin further on.
///
/// Source     Linsley et al. 2018, "Learning long-range spatial dependencies with horizontal gated
///            recurrent units"; drawn by our own rules of rasterising.
/// Cost       microseconds for 32 pixels, about a millisecond for 128.
class SnakePicture {
 public:
  enum class Ends : uint8_t { kSame, kDifferent };

  /// Nothing if a snake found no way.
  static std::optional<SnakePicture> draw(const SnakeStyle& style, Ends ends, Random& random);

  /// Brightness row after row, whole numbers from 0 to 255.
  std::vector<float> grey() const;

  struct Point {
    double x = 0, y = 0;
  };
  struct Paddle {
    Point from, to;
    int64_t snake = 0;  ///< 0 and 1 are the long ones
  };
  const std::vector<Paddle>& paddles() const { return paddles_; }
  const std::vector<Point>& markers() const { return markers_; }

 private:
  struct Snake {
    Point pivot = {}, start = {}, end = {};
    double angle = 0;
    int64_t last = -1;  // index of its last paddle
    int64_t number = 0;
  };

  explicit SnakePicture(const SnakeStyle& style);
  bool seed_long(std::vector<Snake>& snakes, Random& random);
  bool seed_short(Snake& snake, Random& random);
  bool grow(Snake& snake, Random& random);
  bool place(Snake& snake, double angle);
  bool inside(Point point) const;
  int32_t owner(Point point) const;
  bool is_free(const Paddle& paddle, int64_t but) const;
  void occupy(const Paddle& paddle);

  SnakeStyle style_;
  std::vector<int32_t> owner_;  // (window, window) paddle whose room a pixel is, or -1
  std::vector<Paddle> paddles_;
  std::vector<Point> markers_;
};

}  // namespace longwave::data
