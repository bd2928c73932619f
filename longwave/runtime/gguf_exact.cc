// SPDX-License-Identifier: Apache-2.0
#include "longwave/runtime/gguf_exact.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <span>
#include <string>
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

}  // namespace longwave::runtime
