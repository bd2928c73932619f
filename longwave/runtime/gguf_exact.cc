// SPDX-License-Identifier: Apache-2.0
#include "longwave/runtime/gguf_exact.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <iterator>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace longwave::runtime {
namespace {

constexpr size_t kDigits = 8;

std::string key_of(const models::PublishedTensor& tensor) {
  return "longwave.exact." + tensor.theirs;
}

std::string digits_of(std::span<const float> numbers) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string text;
  text.reserve(numbers.size() * kDigits);
  for (const float number : numbers) {
    const auto bits = std::bit_cast<uint32_t>(number);
    for (int shift = 28; shift >= 0; shift -= 4) text.push_back(kHex[bits >> shift & 15]);
  }
  return text;
}

/// Reads as many numbers as there are; false if the text is of another length or no digits.
bool read_digits(const std::string& text, std::span<float> numbers) {
  if (text.size() != numbers.size() * kDigits) return false;
  for (size_t i = 0; i < numbers.size(); ++i) {
    const char* begin = text.data() + i * kDigits;
    uint32_t bits = 0;
    const auto [end, error] = std::from_chars(begin, begin + kDigits, bits, 16);
    if (error != std::errc() || end != begin + kDigits) return false;
    numbers[i] = std::bit_cast<float>(bits);
  }
  return true;
}

constexpr std::string_view kSteps = "longwave.steps.";
constexpr char kFirst = '0';  // of the 27 characters that are three steps
constexpr int kPlaces[] = {1, 3, 9};
constexpr size_t kPerCharacter = std::size(kPlaces);

/// The number that lies `steps` float32 numbers further from 0.
float stepped(float number, int32_t steps) {
  return std::bit_cast<float>(std::bit_cast<int32_t>(number) + steps);
}

}  // namespace

void keep_exact(const models::PublishedTensor& names, const Tensor& ours,
                io::GgufMetadata& metadata) {
  const auto numbers = ours.elements<float>();
  const bool lost =
      std::ranges::any_of(numbers, [](float x) { return std::log(std::exp(x)) != x; });
  if (lost) metadata.insert_or_assign(key_of(names), io::GgufValue::text(digits_of(numbers)));
}

void restore_exact(const io::GgufMetadata& metadata, const models::PublishedTensor& names,
                   const StoredTensor& theirs, Tensor& ours) {
  const std::string* text = io::gguf_text(metadata, key_of(names));
  if (text == nullptr) return;
  Tensor exact(DType::kFloat32, ours.shape());
  const auto numbers = exact.elements<float>();
  const std::span stored(reinterpret_cast<const float*>(theirs.bytes.data()),
                         theirs.bytes.size() / sizeof(float));
  const bool belongs =
      read_digits(*text, numbers) &&
      std::ranges::equal(numbers, stored, [](float x, float a) { return -std::exp(x) == a; });
  if (belongs) ours = std::move(exact);
}

void keep_steps(const std::string& name, const Tensor& exact, const Tensor& back,
                io::GgufMetadata& metadata) {
  const auto to = exact.elements<float>(), from = back.elements<float>();
  std::string text((to.size() + kPerCharacter - 1) / kPerCharacter, kFirst);
  bool moved = false;
  for (size_t i = 0; i < to.size(); ++i) {
    const int32_t steps = std::bit_cast<int32_t>(to[i]) - std::bit_cast<int32_t>(from[i]);
    if (std::signbit(to[i]) != std::signbit(from[i]) || std::abs(steps) > 1) return;
    moved = moved || steps != 0;
    text[i / kPerCharacter] =
        static_cast<char>(text[i / kPerCharacter] + (steps + 1) * kPlaces[i % kPerCharacter]);
  }
  if (moved) metadata.insert_or_assign(std::string(kSteps) + name, io::GgufValue::text(text));
}

void restore_steps(const io::GgufMetadata& metadata, const std::string& name, Tensor& ours) {
  const std::string* text = io::gguf_text(metadata, std::string(kSteps) + name);
  if (text == nullptr || ours.dtype() != DType::kFloat32) return;
  const auto numbers = ours.elements<float>();
  if (text->size() != (numbers.size() + kPerCharacter - 1) / kPerCharacter) return;
  for (size_t i = 0; i < numbers.size(); ++i) {
    const int digit = ((*text)[i / kPerCharacter] - kFirst) / kPlaces[i % kPerCharacter] % 3;
    const float moved = stepped(numbers[i], digit - 1);
    if (digit >= 0 && std::isfinite(moved)) numbers[i] = moved;
  }
}

}  // namespace longwave::runtime
