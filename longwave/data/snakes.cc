// SPDX-License-Identifier: Apache-2.0
#include "longwave/data/snakes.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace longwave::data {
namespace {

using Point = SnakePicture::Point;

constexpr double kTurn = 2 * std::numbers::pi;
constexpr int32_t kNobody = -1;

Point moved(Point point, double angle, double distance) {
  return {point.x + distance * std::cos(angle), point.y + distance * std::sin(angle)};
}

double distance(Point a, Point b) { return std::hypot(a.x - b.x, a.y - b.y); }

/// From a point to the nearest one of a segment.
double distance(Point point, const SnakePicture::Paddle& paddle) {
  const double x = paddle.to.x - paddle.from.x, y = paddle.to.y - paddle.from.y;
  const double square = x * x + y * y;
  const double along = (point.x - paddle.from.x) * x + (point.y - paddle.from.y) * y;
  const double share = square > 0 ? std::clamp(along / square, 0.0, 1.0) : 0.0;
  return distance(point, Point{paddle.from.x + share * x, paddle.from.y + share * y});
}

/// Rows and columns of pixels that `reach` around a segment can touch.
struct Box {
  int64_t left, right, top, bottom;

  Box(const SnakePicture::Paddle& paddle, double reach, int64_t window)
      : left(bounded(std::min(paddle.from.x, paddle.to.x) - reach, window)),
        right(bounded(std::max(paddle.from.x, paddle.to.x) + reach + 1, window)),
        top(bounded(std::min(paddle.from.y, paddle.to.y) - reach, window)),
        bottom(bounded(std::max(paddle.from.y, paddle.to.y) + reach + 1, window)) {}

  static int64_t bounded(double place, int64_t window) {
    return std::clamp(static_cast<int64_t>(std::floor(place)), int64_t{0}, window);
  }
};

double any_angle(Random& random) { return kTurn * static_cast<double>(random.integer(360)) / 360; }

}  // namespace

SnakePicture::SnakePicture(const SnakeStyle& style)
    : style_(style), owner_(static_cast<size_t>(style.window * style.window), kNobody) {}

bool SnakePicture::inside(Point point) const {
  const double least = 1, most = static_cast<double>(style_.window) - 1;
  return point.x >= least && point.x < most && point.y >= least && point.y < most;
}

int32_t SnakePicture::owner(Point point) const {
  const auto column = static_cast<int64_t>(point.x), row = static_cast<int64_t>(point.y);
  return owner_[static_cast<size_t>(row * style_.window + column)];
}

bool SnakePicture::is_free(const Paddle& paddle, int64_t but) const {
  constexpr int64_t kPlaces = 4;
  const auto places = kPlaces * static_cast<int64_t>(std::ceil(style_.paddle));
  for (int64_t i = 0; i <= places; ++i) {
    const double share = static_cast<double>(i) / static_cast<double>(places);
    const Point point = {paddle.from.x + share * (paddle.to.x - paddle.from.x),
                         paddle.from.y + share * (paddle.to.y - paddle.from.y)};
    if (!inside(point)) return false;
    const int32_t taken = owner(point);
    if (taken != kNobody && taken != but) return false;
  }
  return true;
}

void SnakePicture::occupy(const Paddle& paddle) {
  const double reach = style_.margin + style_.thickness / 2;
  const Box box(paddle, reach, style_.window);
  const auto number = static_cast<int32_t>(paddles_.size());
  for (int64_t row = box.top; row < box.bottom; ++row) {
    for (int64_t column = box.left; column < box.right; ++column) {
      const Point centre = {static_cast<double>(column) + 0.5, static_cast<double>(row) + 0.5};
      int32_t& owner = owner_[static_cast<size_t>(row * style_.window + column)];
      // Room that another paddle has stays its own, or a snake could grow through it.
      if (owner == kNobody && distance(centre, paddle) <= reach) owner = number;
    }
  }
  paddles_.push_back(paddle);
}

/// Adds the paddle in this direction if there is room.
bool SnakePicture::place(Snake& snake, double angle) {
  const Paddle paddle = {.from = moved(snake.pivot, angle, style_.margin),
                         .to = moved(snake.pivot, angle, style_.margin + style_.paddle),
                         .snake = snake.number};
  if (!is_free(paddle, snake.last)) return false;
  occupy(paddle);
  snake.last = static_cast<int64_t>(paddles_.size()) - 1;
  snake.angle = angle;
  snake.end = paddle.to;
  snake.pivot = moved(snake.pivot, angle, style_.paddle + 2 * style_.margin);
  return true;
}

bool SnakePicture::grow(Snake& snake, Random& random) {
  constexpr int kTries = 3;
  const double radius = style_.paddle + style_.margin;
  const auto arcs = static_cast<int64_t>(std::ceil(kTurn * radius));
  std::vector<double> sums;
  double sum = 0;
  for (int64_t arc = 0; arc < arcs; ++arc) {
    const double turned = kTurn * (static_cast<double>(arc) / static_cast<double>(arcs) - 0.5);
    const Point head = moved(snake.pivot, snake.angle + turned, radius);
    const double bend = std::min(style_.continuity * std::abs(turned), std::numbers::pi / 2);
    const bool free = inside(head) && owner(head) == kNobody;
    sum += free ? std::pow(std::cos(bend), 2) : 0;
    sums.push_back(sum);
  }
  // Less than this is the rounding of cos(pi / 2).
  constexpr double kNothing = 1e-9;
  if (sum < kNothing) return false;
  for (int i = 0; i < kTries; ++i) {
    const auto found = std::ranges::upper_bound(sums, sum * random.uniform());
    const auto arc = static_cast<double>(std::min(found, sums.end() - 1) - sums.begin());
    // Anywhere within the arc, so that directions are not those of a grid.
    const double share = (arc + random.uniform() - 0.5) / static_cast<double>(arcs);
    if (place(snake, snake.angle + kTurn * (share - 0.5))) return true;
  }
  return false;
}

bool SnakePicture::seed_long(std::vector<Snake>& snakes, Random& random) {
  const auto side = static_cast<double>(style_.window);
  const Point first = {random.uniform(1, side - 1), random.uniform(1, side - 1)};
  const Point second = moved(first, any_angle(random), style_.seed_distance);
  if (!inside(second)) return false;
  for (const Point start : {first, second}) {
    Snake snake = {.pivot = start, .number = static_cast<int64_t>(snakes.size())};
    const double angle = any_angle(random);
    if (!place(snake, angle)) return false;
    snake.start = paddles_.back().from;
    snakes.push_back(snake);
  }
  return true;
}

bool SnakePicture::seed_short(Snake& snake, Random& random) {
  constexpr int kTries = 50;
  const auto side = static_cast<double>(style_.window);
  for (int i = 0; i < kTries; ++i) {
    snake.pivot = {random.uniform(1, side - 1), random.uniform(1, side - 1)};
    if (place(snake, any_angle(random))) return true;
  }
  return false;
}

std::optional<SnakePicture> SnakePicture::draw(const SnakeStyle& style, Ends ends, Random& random) {
  SnakePicture picture(style);
  std::vector<Snake> snakes;
  if (!picture.seed_long(snakes, random)) return std::nullopt;
  for (int64_t paddle = 1; paddle < style.contour; ++paddle) {
    for (Snake& snake : snakes) {
      if (!picture.grow(snake, random)) return std::nullopt;
    }
  }
  for (int64_t i = 0; i < style.distractors; ++i) {
    Snake snake = {.number = 2 + i};
    if (!picture.seed_short(snake, random)) break;
    for (int64_t paddle = 1; paddle < style.distractor; ++paddle) {
      if (!picture.grow(snake, random)) break;
    }
  }
  const auto from = static_cast<size_t>(random.integer(2));
  const size_t to = ends == Ends::kSame ? from : 1 - from;
  picture.markers_ = {snakes[from].start, snakes[to].end};
  return picture;
}

std::vector<float> SnakePicture::grey() const {
  constexpr int64_t kSamples =
      4;  // a side of the grid that measures how much of a pixel is covered
  constexpr double kWhite = 255;
  std::vector<float> pixels(owner_.size(), 0.0F);
  const auto cover = [&](const Paddle& shape, double reach, double brightness) {
    const Box box(shape, reach, style_.window);
    for (int64_t row = box.top; row < box.bottom; ++row) {
      for (int64_t column = box.left; column < box.right; ++column) {
        int64_t covered = 0;
        for (int64_t i = 0; i < kSamples * kSamples; ++i) {
          const auto x = static_cast<double>(2 * (i % kSamples) + 1) / (2 * kSamples);
          const auto y = static_cast<double>(2 * (i / kSamples) + 1) / (2 * kSamples);
          const Point point = {static_cast<double>(column) + x, static_cast<double>(row) + y};
          covered += distance(point, shape) <= reach ? 1 : 0;
        }
        const double share = static_cast<double>(covered) / (kSamples * kSamples);
        float& pixel = pixels[static_cast<size_t>(row * style_.window + column)];
        pixel = std::max(pixel, static_cast<float>(std::round(kWhite * brightness * share)));
      }
    }
  };
  for (const Paddle& paddle : paddles_) cover(paddle, style_.thickness / 2, style_.contrast);
  for (const Point& marker : markers_) cover({.from = marker, .to = marker}, style_.marker, 1.0);
  return pixels;
}

}  // namespace longwave::data
