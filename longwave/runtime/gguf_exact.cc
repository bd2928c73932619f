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
#include <variant>

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

void keep_exact(const models::PublishedTensor& tensor, const Weights& ours,
                io::GgufMetadata& metadata) {
  const auto numbers = ours.all().at(tensor.ours).elements<float>();
  const bool lost =
      std::ranges::any_of(numbers, [](float x) { return std::log(std::exp(x)) != x; });
  if (lost) metadata.insert_or_assign(key_of(tensor), io::GgufValue::text(digits_of(numbers)));
}

void restore_exact(const io::GgufMetadata& metadata, const models::PublishedTensor& tensor,
                   const Weights& theirs, Weights& ours) {
  const std::string* text = io::gguf_text(metadata, key_of(tensor));
  if (text == nullptr) return;
  Tensor exact = ours.all().at(tensor.ours).clone();
  const auto stored = theirs.all().at(tensor.theirs).elements<float>();
  const auto numbers = exact.elements<float>();
  const bool belongs =
      read_digits(*text, numbers) &&
      std::ranges::equal(numbers, stored, [](float x, float a) { return -std::exp(x) == a; });
  if (belongs) ours.put(tensor.ours, std::move(exact));
}

void keep_steps(const std::string& name, const Weights& exact, const Weights& back,
                io::GgufMetadata& metadata) {
  if (exact.all().at(name).dtype() != DType::kFloat32) return;
  const auto to = exact.all().at(name).elements<float>();
  const auto from = back.all().at(name).elements<float>();
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

void restore_steps(const io::GgufMetadata& metadata, Weights& ours) {
  for (const auto& [key, value] : metadata) {
    if (!key.starts_with(kSteps)) continue;
    const std::string name = key.substr(kSteps.size());
    const auto* text = std::get_if<std::string>(&value.content);
    if (text == nullptr || !ours.has(name)) continue;
    const Tensor& tensor = ours.all().at(name);
    const auto characters =
        static_cast<size_t>(tensor.size() + int64_t{kPerCharacter} - 1) / kPerCharacter;
    if (tensor.dtype() != DType::kFloat32 || text->size() != characters) continue;
    Tensor exact = tensor.clone();
    const auto numbers = exact.elements<float>();
    for (size_t i = 0; i < numbers.size(); ++i) {
      const int digit = ((*text)[i / kPerCharacter] - kFirst) / kPlaces[i % kPerCharacter] % 3;
      const float moved = stepped(numbers[i], digit - 1);
      if (digit >= 0 && std::isfinite(moved)) numbers[i] = moved;
    }
    ours.put(name, std::move(exact));
  }
}

}  // namespace longwave::runtime
