// SPDX-License-Identifier: Apache-2.0
#include "longwave/train/event_file.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <map>
#include <string_view>
#include <vector>

#include "longwave/train/run_log.h"
#include "longwave/train/testing/temporary_folder.h"

namespace longwave::train {
namespace {

namespace fs = std::filesystem;
using longwave::testing::content;
using longwave::testing::TemporaryFolder;

/// CRC-32C, bit by bit.
uint32_t crc32c(std::string_view bytes) {
  uint32_t sum = ~0U;
  for (const char byte : bytes) {
    sum ^= static_cast<uint8_t>(byte);
    for (int bit = 0; bit < 8; ++bit) sum = (sum >> 1) ^ (0x82f63b78U * (sum & 1U));
  }
  return ~sum;
}

/// The sum that a masked one stands for.
uint32_t unmasked(uint32_t masked) { return std::rotl(masked - 0xa282ead8U, 15); }

/// Reads bytes from the front, failing the test where there are none left.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}
  bool done() const { return bytes_.empty(); }
  std::string_view take(uint64_t count) {
    EXPECT_LE(count, bytes_.size());
    const std::string_view head = bytes_.substr(0, count);
    bytes_.remove_prefix(head.size());
    return head;
  }
  uint64_t fixed(int size) {
    uint64_t value = 0;
    int shift = 0;
    for (const char byte : take(static_cast<uint64_t>(size))) {
      value |= uint64_t{static_cast<uint8_t>(byte)} << shift;
      shift += 8;
    }
    return value;
  }
  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64 && !done(); shift += 7) {
      const auto byte = static_cast<uint8_t>(take(1)[0]);
      value |= uint64_t{byte & 127U} << shift;
      if (byte < 128) break;
    }
    return value;
  }

 private:
  std::string_view bytes_;
};

/// The fields of a protobuf message: numbers, or texts of what has a length.
struct Message {
  std::map<uint64_t, uint64_t> numbers;
  std::vector<std::pair<uint64_t, std::string>> texts;
};

Message parse(std::string_view bytes) {
  Message message;
  Reader reader(bytes);
  while (!reader.done()) {
    const uint64_t key = reader.varint(), field = key >> 3;
    switch (key & 7) {
      case 0:
        message.numbers[field] = reader.varint();
        break;
      case 1:
        message.numbers[field] = reader.fixed(8);
        break;
      case 2:
        message.texts.emplace_back(field, reader.take(reader.varint()));
        break;
      case 5:
        message.numbers[field] = reader.fixed(4);
        break;
      default:
        ADD_FAILURE() << "wire type " << (key & 7);
        return message;
    }
  }
  return message;
}

/// The messages of a TFRecord file, with both sums of each checked.
std::vector<Message> events_of(const fs::path& path) {
  const std::string bytes = content(path);
  std::vector<Message> events;
  Reader reader(bytes);
  while (!reader.done() && !::testing::Test::HasFailure()) {
    const std::string_view length = reader.take(8);
    EXPECT_EQ(unmasked(static_cast<uint32_t>(reader.fixed(4))), crc32c(length));
    const std::string_view event = reader.take(Reader(length).fixed(8));
    EXPECT_EQ(unmasked(static_cast<uint32_t>(reader.fixed(4))), crc32c(event));
    events.push_back(parse(event));
  }
  return events;
}

std::vector<fs::path> files_of(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) files.push_back(entry.path());
  std::ranges::sort(files);
  return files;
}

std::map<std::string, float> scalars_of(const Message& event) {
  std::map<std::string, float> scalars;
  for (const auto& [field, summary] : event.texts) {
    EXPECT_EQ(field, 5U);
    for (const auto& [value_field, bytes] : parse(summary).texts) {
      EXPECT_EQ(value_field, 1U);
      const Message value = parse(bytes);
      scalars[value.texts.at(0).second] =
          std::bit_cast<float>(static_cast<uint32_t>(value.numbers.at(2)));
    }
  }
  return scalars;
}

TEST(EventFile, TheSumOfTheTestIsTheKnownOne) { EXPECT_EQ(crc32c("123456789"), 0xe3069283U); }

TEST(EventFile, BytesSayVersionStartAndNumbers) {
  const TemporaryFolder folder;
  const std::string long_tag(300, 'x');
  {
    EventFile file(folder.path() / "tb", 7);
    const std::vector<Scalar> some = {{"train/loss", 0.5},
                                      {long_tag, std::numeric_limits<double>::quiet_NaN()}};
    file.append(int64_t{1} << 40, some);
  }
  const std::vector<Message> events = events_of(files_of(folder.path() / "tb").at(0));
  ASSERT_EQ(events.size(), 3U);
  using Text = std::pair<uint64_t, std::string>;
  EXPECT_EQ(events[0].texts.at(0), (Text{3, "brain.Event:2"}));
  EXPECT_EQ(events[1].texts.at(0), (Text{7, "\x08\x01"}));
  EXPECT_EQ(events[1].numbers.at(2), 7U);
  EXPECT_GT(std::bit_cast<double>(events[1].numbers.at(1)), 1.6e9) << "seconds since 1970";
  EXPECT_EQ(events[2].numbers.at(2), uint64_t{1} << 40);
  const auto scalars = scalars_of(events[2]);
  EXPECT_EQ(scalars.at("train/loss"), 0.5F);
  EXPECT_TRUE(std::isnan(scalars.at(long_tag)));
}

TEST(EventFile, ResumedRunsStartAFileThatSortsAfterTheOthers) {
  const TemporaryFolder folder;
  for (int64_t session = 0; session < 3; ++session) {
    RunLog log(folder.path(), 10 * session);
    log.append({{"step", 10 * session + 1},
                {"split", std::string("train")},
                {"loss", 0.25 * static_cast<double>(session)}});
  }
  const std::vector<fs::path> files = files_of(folder.path() / "tb");
  ASSERT_EQ(files.size(), 3U);
  for (size_t session = 0; session < 3; ++session) {
    EXPECT_NE(files[session].filename().string().find("tfevents"), std::string::npos);
    const std::vector<Message> events = events_of(files[session]);
    EXPECT_EQ(events.at(1).numbers.at(2), 10 * session + 1);
    EXPECT_EQ(scalars_of(events.at(2)).at("train/loss"), 0.25F * static_cast<float>(session));
  }
}

}  // namespace
}  // namespace longwave::train
