// SPDX-License-Identifier: Apache-2.0
#include "longwave/io/stored_zip.h"

#include <zlib.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "longwave/io/byte_reader.h"

namespace longwave::io {
namespace {

constexpr uint32_t kLocalMark = 0x04034b50;
constexpr uint32_t kEntryMark = 0x02014b50;
constexpr uint32_t kEndMark = 0x06054b50;
constexpr uint32_t kWideEndMark = 0x06064b50;
constexpr uint32_t kWidePlaceMark = 0x07064b50;
constexpr uint64_t kEndBytes = 22;
constexpr uint64_t kWidePlaceBytes = 20;
constexpr uint64_t kWideEndBytes = 56;
constexpr uint64_t kEntryBytes = 46;
constexpr uint64_t kMostComment = 65535;
constexpr uint16_t kNarrow16 = 0xffff;      // the true number stands in a zip64 record
constexpr uint32_t kNarrow32 = 0xffffffff;  // likewise

/// Where the directory lies and how many files it names.
struct Directory {
  uint64_t begin = 0;
  uint64_t bytes = 0;
  uint64_t files = 0;
};

/// One line of the directory.
struct Line {
  std::string name;
  uint32_t crc = 0;
  uint64_t bytes = 0;
  uint64_t local = 0;  ///< where the file's own header stands
};

class ZipReader {
 public:
  ZipReader(std::span<const std::byte> file, std::string_view where) : file_(file), where_(where) {}

  std::vector<std::pair<std::string, StoredZip::Entry>> read() {
    const Directory directory = find_directory();
    ByteReader reader = at(directory.begin);
    if (directory.bytes > reader.left() || directory.files > directory.bytes / kEntryBytes) {
      reader.refuse("the directory does not fit into the file",
                    std::to_string(directory.files) + " files in " +
                        std::to_string(directory.bytes) + " bytes");
    }
    std::vector<std::pair<std::string, StoredZip::Entry>> files;
    std::vector<std::pair<uint64_t, uint64_t>> places;
    for (uint64_t i = 0; i < directory.files; ++i) {
      const Line line = read_line(reader);
      const uint64_t begin = data_begin(line);
      if (line.bytes > directory.begin || begin > directory.begin - line.bytes) {
        reader.refuse("file " + in_quotes(line.name) + " does not lie before the directory",
                      std::to_string(line.bytes) + " bytes at " + std::to_string(begin));
      }
      places.emplace_back(line.local, begin + line.bytes);
      files.push_back({line.name, {file_.subspan(begin, line.bytes), line.crc}});
    }
    std::ranges::sort(places);
    for (size_t i = 1; i < places.size(); ++i) {
      if (places[i].first < places[i - 1].second) reader.refuse("files of the archive overlap");
    }
    return files;
  }

 private:
  ByteReader at(uint64_t offset) const {
    ByteReader reader(file_, where_, "zip");
    reader.run(offset, "the place that the directory names");
    return reader;
  }

  /// The end record stands last, before a comment of which it says the length.
  Directory find_directory() const {
    const uint64_t size = file_.size();
    for (uint64_t back = kEndBytes; back <= std::min(size, kEndBytes + kMostComment); ++back) {
      if (file_[size - back] != std::byte{'P'}) continue;
      ByteReader reader = at(size - back);
      if (reader.number<uint32_t>("the end record") != kEndMark) continue;
      const uint32_t disks = reader.number<uint32_t>("the disks");
      reader.number<uint16_t>("the files of this disk");
      Directory directory;
      directory.files = reader.number<uint16_t>("the number of files");
      directory.bytes = reader.number<uint32_t>("the size of the directory");
      directory.begin = reader.number<uint32_t>("the place of the directory");
      if (reader.number<uint16_t>("the length of the comment") != back - kEndBytes) continue;
      const bool wide = directory.files == kNarrow16 || directory.bytes == kNarrow32 ||
                        directory.begin == kNarrow32;
      if (wide) return find_wide_directory(size - back);
      if (disks != 0) reader.refuse("it is one of several parts");
      return directory;
    }
    ByteReader(file_, where_, "zip").refuse("it has no directory at its end");
  }

  Directory find_wide_directory(uint64_t end) const {
    ByteReader place = at(end < kWidePlaceBytes ? 0 : end - kWidePlaceBytes);
    if (place.number<uint32_t>("the zip64 place") != kWidePlaceMark) {
      place.refuse("it has no zip64 directory, though it says so");
    }
    place.number<uint32_t>("the disk");
    const auto offset = place.number<uint64_t>("the place of the zip64 end record");
    if (offset > file_.size()) {
      place.refuse("the zip64 end record lies behind the end", std::to_string(offset));
    }
    ByteReader reader = at(offset);
    if (reader.number<uint32_t>("the zip64 end record") != kWideEndMark ||
        reader.number<uint64_t>("its size") < kWideEndBytes - 12) {
      reader.refuse("its zip64 end record is damaged");
    }
    reader.run(12, "versions and disks");
    reader.number<uint64_t>("the files of this disk");
    Directory directory;
    directory.files = reader.number<uint64_t>("the number of files");
    directory.bytes = reader.number<uint64_t>("the size of the directory");
    directory.begin = reader.number<uint64_t>("the place of the directory");
    if (directory.begin > file_.size()) {
      reader.refuse("the directory lies behind the end", std::to_string(directory.begin));
    }
    return directory;
  }

  Line read_line(ByteReader& reader) const {
    if (reader.number<uint32_t>("a line of the directory") != kEntryMark) {
      reader.refuse("its directory is damaged");
    }
    reader.number<uint32_t>("versions");
    const auto flags = reader.number<uint16_t>("flags");
    const auto method = reader.number<uint16_t>("the compression");
    reader.number<uint32_t>("time and date");
    Line line;
    line.crc = reader.number<uint32_t>("the check sum");
    uint64_t packed = reader.number<uint32_t>("the packed size");
    line.bytes = reader.number<uint32_t>("the size");
    const auto name_bytes = reader.number<uint16_t>("the length of the name");
    const auto extra_bytes = reader.number<uint16_t>("the length of the extra field");
    const auto comment_bytes = reader.number<uint16_t>("the length of the comment");
    reader.run(8, "disk and attributes");
    line.local = reader.number<uint32_t>("the place of a file");
    line.name = std::string(reader.text(name_bytes, "a name"));
    read_wide(reader.run(extra_bytes, "an extra field"), line, packed);
    reader.run(comment_bytes, "a comment");
    if ((flags & 1) != 0) reader.refuse("file " + in_quotes(line.name) + " is encrypted");
    if (method != 0 || packed != line.bytes) {
      reader.refuse("file " + in_quotes(line.name) + " is compressed; torch.save does not do that",
                    "method " + std::to_string(method));
    }
    return line;
  }

  /// The numbers that did not fit into the line, in its order.
  void read_wide(std::span<const std::byte> extra, Line& line, uint64_t& packed) const {
    constexpr uint16_t kWideField = 1;
    ByteReader reader(extra, where_, "zip");
    while (reader.left() >= 4) {
      const auto id = reader.number<uint16_t>("an extra field");
      const auto bytes = reader.number<uint16_t>("its size");
      const auto field = reader.run(bytes, "an extra field");
      if (id != kWideField) continue;
      ByteReader wide(field, where_, "zip");
      for (uint64_t* number : {&line.bytes, &packed, &line.local}) {
        if (*number == kNarrow32) *number = wide.number<uint64_t>("a zip64 number");
      }
      return;
    }
  }

  /// Where the bytes of a file begin: after its own header, which must tell the same name.
  uint64_t data_begin(const Line& line) const {
    if (line.local > file_.size()) {
      ByteReader(file_, where_, "zip")
          .refuse("file " + in_quotes(line.name) + " lies behind the end",
                  std::to_string(line.local));
    }
    ByteReader reader = at(line.local);
    const auto mark = reader.number<uint32_t>("the header of a file");
    reader.run(22, "the header of a file");
    const auto name_bytes = reader.number<uint16_t>("the length of the name");
    const auto extra_bytes = reader.number<uint16_t>("the length of the extra field");
    if (mark != kLocalMark || reader.text(name_bytes, "a name") != line.name) {
      reader.refuse("the header of file " + in_quotes(line.name) + " is damaged");
    }
    reader.run(extra_bytes, "an extra field");
    return reader.at();
  }

  std::span<const std::byte> file_;
  std::string_view where_;
};

}  // namespace

StoredZip::StoredZip(std::span<const std::byte> file, std::string_view where) : where_(where) {
  for (auto& [name, entry] : ZipReader(file, where).read()) {
    if (!entries_.emplace(name, entry).second) {
      ByteReader(file, where, "zip").refuse("file " + in_quotes(name) + " is there twice");
    }
  }
}

std::span<const std::byte> StoredZip::read(std::string_view name) const {
  const auto found = entries_.find(name);
  if (found == entries_.end()) {
    throw DataError({.where = where_,
                     .what = "the archive lacks the file " + in_quotes(name),
                     .got = {},
                     .fix = "fetch or save it again"});
  }
  const Entry& entry = found->second;
  const auto* bytes = reinterpret_cast<const Bytef*>(entry.data.data());
  if (crc32_z(0, bytes, entry.data.size()) != entry.crc) {
    throw DataError({.where = where_,
                     .what = "the check sum of " + in_quotes(name) + " is wrong",
                     .got = {},
                     .fix = "fetch the file again; or save it again without "
                            "torch.serialization.set_crc32_options(False)"});
  }
  return entry.data;
}

}  // namespace longwave::io
