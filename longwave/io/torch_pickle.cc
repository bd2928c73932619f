// SPDX-License-Identifier: Apache-2.0
#include "longwave/io/torch_pickle.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <utility>

#include "longwave/base/error.h"
#include "longwave/io/byte_reader.h"
#include "longwave/io/file.h"
#include "longwave/io/stored_zip.h"

namespace longwave::io {
namespace {

constexpr std::string_view kPickleName = "/data.pkl";
/// A file may repeat what its storages hold, by tensors that share them, this often.
constexpr uint64_t kMostRepeats = 16;

[[noreturn]] void refuse(std::string_view where, std::string what, std::string got,
                         std::string fix) {
  throw DataError({.where = std::string(where),
                   .what = std::move(what),
                   .got = std::move(got),
                   .fix = std::move(fix)});
}

/// Before torch 1.6 files began with this number, pickled.
void refuse_old_form(std::span<const std::byte> file, std::string_view where) {
  static constexpr std::array<unsigned char, 14> kMagic = {
      0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19};
  const auto magic = std::as_bytes(std::span(kMagic));
  if (file.size() < magic.size() || !std::ranges::equal(file.first(magic.size()), magic)) return;
  refuse(where, "the file has the form of torch before 1.6, which is not supported", {},
         "save it again with a newer torch: torch.save(torch.load(...), ...)");
}

/// The folder of the archive that holds the pickle.
std::string folder_of(const StoredZip& archive, std::string_view where) {
  std::string folder;
  for (const auto& [name, entry] : archive.entries()) {
    if (!name.ends_with(kPickleName) || name.find('/') != name.size() - kPickleName.size()) {
      continue;
    }
    if (!folder.empty()) refuse(where, "the archive has several pickles", name, {});
    folder = name.substr(0, name.size() - kPickleName.size());
  }
  if (folder.empty()) {
    refuse(where, "the archive has no data.pkl: it was not made by torch.save", {}, {});
  }
  return folder;
}

void check_byte_order(const StoredZip& archive, const std::string& folder, std::string_view where) {
  const std::string name = folder + "/byteorder";
  if (!archive.entries().contains(name)) return;
  const auto bytes = archive.read(name);
  const std::string order(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (order != "little") {
    refuse(where, "the numbers are not little-endian", in_quotes(order), "save them again so");
  }
}

/// The elements of a view one after the other.
std::vector<std::byte> gathered(std::span<const std::byte> storage, const PickledTensor& view) {
  const auto count = static_cast<uint64_t>(element_count(view.shape));
  std::vector<std::byte> dense(count * view.element_bytes);
  std::vector<int64_t> index(view.shape.size(), 0);
  uint64_t element = view.offset;
  for (uint64_t i = 0; i < count; ++i) {
    std::memcpy(dense.data() + i * view.element_bytes,
                storage.data() + element * view.element_bytes, view.element_bytes);
    for (size_t axis = index.size(); axis-- > 0;) {
      element += static_cast<uint64_t>(view.strides[axis]);
      if (++index[axis] < view.shape[axis]) break;
      element -= static_cast<uint64_t>(view.strides[axis] * index[axis]);
      index[axis] = 0;
    }
  }
  return dense;
}

bool is_dense(const PickledTensor& view) {
  int64_t stride = 1;
  for (size_t axis = view.shape.size(); axis-- > 0;) {
    if (view.shape[axis] != 1 && view.strides[axis] != stride) return false;
    stride *= view.shape[axis];
  }
  return true;
}

Tensor read_view(std::span<const std::byte> storage, const PickledTensor& view,
                 const TorchPickleOptions& options) {
  const auto count = static_cast<uint64_t>(element_count(view.shape));
  if (count == 0) return *tensor_of(view.type, {}, view.shape, options.float64);
  if (is_dense(view)) {
    const auto data = storage.subspan(view.offset * view.element_bytes, count * view.element_bytes);
    return *tensor_of(view.type, data, view.shape, options.float64);
  }
  return *tensor_of(view.type, gathered(storage, view), view.shape, options.float64);
}

}  // namespace

Weights parse_torch_pickle(std::span<const std::byte> file, std::string_view where,
                           const TorchPickleOptions& options) {
  refuse_old_form(file, where);
  const StoredZip archive(file, where);
  const std::string folder = folder_of(archive, where);
  check_byte_order(archive, folder, where);
  const auto tensors = parse_tensor_pickle(archive.read(folder + std::string(kPickleName)), where);
  std::map<std::string, std::span<const std::byte>> storages;
  uint64_t bytes = 0;
  Weights result;
  for (const PickledTensor& view : tensors) {
    if (!storages.contains(view.storage)) {
      storages.emplace(view.storage, archive.read(folder + "/data/" + view.storage));
    }
    const auto storage = storages.at(view.storage);
    if (view.storage_elements > storage.size() / view.element_bytes) {
      refuse(where, "the storage of tensor " + in_quotes(view.name) + " is cut off",
             std::to_string(storage.size()) + " bytes for " +
                 std::to_string(view.storage_elements) + " elements of " + std::string(view.type),
             "fetch or save the file again");
    }
    bytes += static_cast<uint64_t>(element_count(view.shape)) * view.element_bytes;
    if (bytes > kMostRepeats * file.size()) {
      refuse(where, "tensors repeat their storages too often", in_quotes(view.name), {});
    }
    Tensor tensor = read_view(storage, view, options);
    if (options.not_finite == NotFinite::kReject) require_finite(view.name, tensor, where);
    result.put(view.name, std::move(tensor));
  }
  return result;
}

Weights load_torch_pickle(const std::filesystem::path& path, const TorchPickleOptions& options) {
  const MappedFile file(path);
  return parse_torch_pickle(file.bytes(), path.string(), options);
}

}  // namespace longwave::io
