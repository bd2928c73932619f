// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zlib.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// Archives made by hand, so that they can be wrong.
namespace longwave::testing {

struct ZipDraft {
  struct File {
    std::string name;
    std::string content;
    uint16_t method = 0;
    uint16_t flags = 0;
    uint32_t crc_change = 0;  ///< added to the check sum
  };
  std::vector<File> files;
  bool wide = false;  ///< whether places and sizes stand in zip64 records

  std::vector<std::byte> bytes() const {
    std::string out, directory;
    for (const File& file : files) {
      const uint64_t local = out.size();
      const uint64_t size = file.content.size();
      const auto* data = reinterpret_cast<const Bytef*>(file.content.data());
      const auto crc = static_cast<uint32_t>(crc32_z(0, data, size)) + file.crc_change;
      const uint32_t narrow = wide ? 0xffffffff : static_cast<uint32_t>(size);
      const auto common = [&](std::string& to) {
        put(to, file.flags, 2), put(to, file.method, 2), put(to, 0, 4), put(to, crc, 4);
        put(to, narrow, 4), put(to, narrow, 4), put(to, file.name.size(), 2);
      };
      put(out, 0x04034b50, 4), put(out, 0, 2), common(out), put(out, 0, 2);
      out += file.name + file.content;
      put(directory, 0x02014b50, 4), put(directory, 0, 4), common(directory);
      put(directory, wide ? 28 : 0, 2), put(directory, 0, 2), put(directory, 0, 8);
      put(directory, wide ? 0xffffffff : local, 4);
      directory += file.name;
      if (wide) {
        put(directory, 1, 2), put(directory, 24, 2);
        put(directory, size, 8), put(directory, size, 8), put(directory, local, 8);
      }
    }
    const uint64_t begin = out.size();
    out += directory;
    if (wide) {
      const uint64_t end = out.size();
      put(out, 0x06064b50, 4), put(out, 44, 8), put(out, 0, 4), put(out, 0, 8);
      put(out, files.size(), 8), put(out, files.size(), 8);
      put(out, directory.size(), 8), put(out, begin, 8);
      put(out, 0x07064b50, 4), put(out, 0, 4), put(out, end, 8), put(out, 1, 4);
    }
    put(out, 0x06054b50, 4), put(out, 0, 4);
    put(out, wide ? 0xffff : files.size(), 2), put(out, wide ? 0xffff : files.size(), 2);
    put(out, wide ? 0xffffffff : directory.size(), 4), put(out, wide ? 0xffffffff : begin, 4);
    put(out, 0, 2);
    const auto bytes = std::as_bytes(std::span(out));
    return {bytes.begin(), bytes.end()};
  }

 private:
  static void put(std::string& to, uint64_t number, int count) {
    for (int i = 0; i < count; ++i) to.push_back(static_cast<char>(number >> (8 * i) & 0xff));
  }
};

/// The pickle of {"w": a 2 x 3 tensor, "t": its transpose}, as torch.save writes one.
inline std::string tensor_pickle() {
  const auto text = [](const std::string& words) {
    return std::string("X") + static_cast<char>(words.size()) + std::string(3, '\0') + words;
  };
  const std::string storage =
      "(" + text("storage") + "ctorch\nFloatStorage\nq\x01" + text("0") + text("cpu") + "K\x06tQ";
  const auto tensor = [&](const char* sizes, const char* strides) {
    return "ctorch._utils\n_rebuild_tensor_v2\n(" + storage + "K" + std::string(1, '\0') + sizes +
           strides + "\x89" + "ccollections\nOrderedDict\n)RtR";
  };
  return "\x80\x02}q" + std::string(1, '\0') + "(" + text("w") +
         tensor("K\x02K\x03\x86", "K\x03K\x01\x86") + text("t") +
         tensor("K\x03K\x02\x86", "K\x01K\x03\x86") + "u.";
}

/// A whole file with this pickle and a storage of 0, 1, ... 5.
inline ZipDraft torch_archive(const std::string& pickle) {
  std::string numbers;
  for (const char* bytes :
       {"\0\0\0\0", "\0\0\x80\x3f", "\0\0\0\x40", "\0\0\x40\x40", "\0\0\x80\x40", "\0\0\xa0\x40"}) {
    numbers.append(bytes, 4);
  }
  return {.files = {{"a/data.pkl", pickle}, {"a/byteorder", "little"}, {"a/data/0", numbers}}};
}

}  // namespace longwave::testing
