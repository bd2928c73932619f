// SPDX-License-Identifier: Apache-2.0
#include "longwave/train/checkpoint.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "longwave/base/error.h"
#include "longwave/base/philox.h"
#include "longwave/io/atomic_file.h"
#include "longwave/io/file.h"

namespace longwave::train {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "step_";
constexpr int64_t kSpareBytes = int64_t{4} << 20;
constexpr uint64_t kAnySize = std::numeric_limits<uint64_t>::max();

std::string sum_of(const std::string& content) {
  return fmt::format("{:016x}", stream_id(content));
}

/// The step in "step_00001200"; nothing for other names.
std::optional<int64_t> step_of(const std::string& name) {
  if (!name.starts_with(kPrefix)) return std::nullopt;
  int64_t step = 0;
  const char* begin = name.data() + kPrefix.size();
  const char* end = name.data() + name.size();
  const auto [stop, error] = std::from_chars(begin, end, step);
  if (error != std::errc() || stop != end) return std::nullopt;
  return step;
}

/// Makes the symbolic link `folder/name` point at `target` in one move.
void point(const fs::path& folder, const std::string& name, const std::string& target) {
  const fs::path fresh = folder / ("." + name);
  std::error_code ignored;
  fs::remove(fresh, ignored);
  if (::symlink(target.c_str(), fresh.c_str()) != 0) {
    throw io::system_error(fresh, "create the link", errno);
  }
  if (::rename(fresh.c_str(), (folder / name).c_str()) != 0) {
    throw io::system_error(folder / name, "replace the link", errno);
  }
}

void check_room(const fs::path& folder, int64_t bytes) {
  std::error_code error;
  const fs::space_info space = fs::space(folder, error);
  if (error || static_cast<int64_t>(space.available) >= bytes + kSpareBytes) return;
  throw IoError({.where = folder.string(),
                 .what = "there is no room for another checkpoint",
                 .got = fmt::format("{} MB free, {} MB needed", space.available >> 20,
                                    (bytes + kSpareBytes) >> 20),
                 .fix = "make room, or set train.keep_last lower, then resume the run"});
}

/// meta.json: the record, then size and sum of each file beside it.
void write_meta(const fs::path& folder, const Record& record) {
  nlohmann::json meta = nlohmann::json::parse(json_line(record));
  nlohmann::json& files = meta["files"] = nlohmann::json::object();
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    const std::string content = io::read_text(entry.path(), kAnySize);
    files[entry.path().filename().string()] = {{"bytes", content.size()},
                                               {"fnv1a", sum_of(content)}};
  }
  io::write_file_atomically(folder / "meta.json", meta.dump(2) + "\n");
}

/// The file as text, or "" if it cannot be read.
std::string text_or_nothing(const fs::path& path) {
  try {
    return io::read_text(path, kAnySize);
  } catch (const IoError&) {
    return {};
  }
}

nlohmann::json parse_meta(const fs::path& checkpoint) {
  return nlohmann::json::parse(text_or_nothing(checkpoint / "meta.json"), nullptr, false);
}

[[noreturn]] void missing(const std::string& name) {
  throw DataError({.where = "meta.json of the checkpoint",
                   .what = "\"" + name + "\" is missing or of another type",
                   .got = {},
                   .fix = "resume from another checkpoint of the run"});
}

}  // namespace

double real_of(const Record& record, const std::string& name) {
  for (const auto& [known, value] : record) {
    if (known != name) continue;
    if (const auto* real = std::get_if<double>(&value)) return *real;
    if (const auto* integer = std::get_if<int64_t>(&value)) return static_cast<double>(*integer);
    const std::string& text = std::get<std::string>(value);
    if (text == "NaN") return std::numeric_limits<double>::quiet_NaN();
    if (text == "Infinity") return std::numeric_limits<double>::infinity();
    if (text == "-Infinity") return -std::numeric_limits<double>::infinity();
  }
  missing(name);
}

int64_t integer_of(const Record& record, const std::string& name) {
  for (const auto& [known, value] : record) {
    const auto* integer = std::get_if<int64_t>(&value);
    if (known == name && integer != nullptr) return *integer;
  }
  missing(name);
}

const std::string& text_of(const Record& record, const std::string& name) {
  for (const auto& [known, value] : record) {
    const auto* text = std::get_if<std::string>(&value);
    if (known == name && text != nullptr) return *text;
  }
  missing(name);
}

Record read_meta(const fs::path& checkpoint) {
  const nlohmann::json meta = parse_meta(checkpoint);
  if (!meta.is_object()) {
    throw DataError({.where = (checkpoint / "meta.json").string(),
                     .what = "is missing or no JSON object",
                     .got = {},
                     .fix = "resume from another checkpoint of the run"});
  }
  Record record;
  for (const auto& [name, value] : meta.items()) {
    if (value.is_number_integer()) record.emplace_back(name, value.get<int64_t>());
    if (value.is_number_float()) record.emplace_back(name, value.get<double>());
    if (value.is_string()) record.emplace_back(name, value.get<std::string>());
  }
  return record;
}

std::string damage(const fs::path& checkpoint) {
  const nlohmann::json meta = parse_meta(checkpoint);
  if (!meta.is_object() || !meta.contains("files") || !meta["files"].is_object()) {
    return "meta.json is missing or damaged";
  }
  for (const auto& [name, facts] : meta["files"].items()) {
    const std::string content = text_or_nothing(checkpoint / name);
    if (!facts.is_object() || facts.value("bytes", size_t{0}) != content.size() ||
        facts.value("fnv1a", "") != sum_of(content)) {
      return name + " is missing, cut short or altered";
    }
  }
  return {};
}

CheckpointStore::CheckpointStore(fs::path folder, Keep keep)
    : folder_(std::move(folder)), keep_(keep) {
  std::error_code error;
  fs::create_directories(folder_, error);
  if (error) throw io::system_error(folder_, "create the folder", error.value());
  for (const fs::directory_entry& entry : fs::directory_iterator(folder_)) {
    if (entry.path().filename().string().starts_with(".")) fs::remove_all(entry.path());
  }
}

fs::path CheckpointStore::path(int64_t step) const {
  return folder_ / fmt::format("{}{:08}", kPrefix, step);
}

fs::path CheckpointStore::write(int64_t step, Rank rank, int64_t bytes, const Fill& fill) {
  check_room(folder_, bytes);
  const fs::path target = path(step);
  io::AtomicFolder fresh(target);
  write_meta(fresh.path(), fill(fresh.path()));
  if (const std::string wrong = damage(fresh.path()); !wrong.empty()) {
    throw IoError({.where = target.string(),
                   .what = "what was written reads back differently",
                   .got = wrong,
                   .fix = "check the disk; earlier checkpoints are untouched"});
  }
  fresh.commit();
  point(folder_, "latest", target.filename());
  if (rank == Rank::kBest) mark_best(step);
  prune(step);
  return target;
}

void CheckpointStore::mark_best(int64_t step) { point(folder_, "best", path(step).filename()); }

std::vector<int64_t> CheckpointStore::steps() const {
  std::vector<int64_t> found;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder_)) {
    if (entry.is_symlink()) continue;
    if (const auto step = step_of(entry.path().filename().string())) found.push_back(*step);
  }
  std::ranges::sort(found);
  return found;
}

std::optional<int64_t> CheckpointStore::best() const {
  std::error_code error;
  const fs::path target = fs::read_symlink(folder_ / "best", error);
  if (error || !fs::exists(folder_ / "best", error)) return std::nullopt;
  return step_of(target.filename().string());
}

std::optional<int64_t> CheckpointStore::newest_whole(
    const std::function<void(const fs::path&, const std::string&)>& damaged) const {
  const std::vector<int64_t> found = steps();
  for (auto step = found.rbegin(); step != found.rend(); ++step) {
    const std::string wrong = damage(path(*step));
    if (wrong.empty()) return *step;
    damaged(path(*step), wrong);
  }
  return std::nullopt;
}

std::vector<std::pair<double, int64_t>> CheckpointStore::cheapest() const {
  std::vector<std::pair<double, int64_t>> judged;
  if (keep_.best <= 1) return judged;
  for (const int64_t step : steps()) {
    const nlohmann::json meta = parse_meta(path(step));
    if (!meta.is_object() || !meta.contains("cost") || !meta["cost"].is_number()) continue;
    judged.emplace_back(meta["cost"].get<double>(), step);
  }
  std::ranges::sort(judged);
  judged.resize(std::min(judged.size(), static_cast<size_t>(keep_.best)));
  return judged;
}

bool CheckpointStore::among_best(double cost) const {
  if (keep_.best <= 1 || std::isnan(cost)) return false;
  const auto judged = cheapest();
  return std::ssize(judged) < keep_.best || cost < judged.back().first;
}

void CheckpointStore::remove(int64_t step) const {
  // Gone under its final name first: a kill in the middle leaves no half checkpoint.
  const fs::path doomed = folder_ / fmt::format(".old_{:08}", step);
  std::error_code ignored;
  fs::rename(path(step), doomed, ignored);
  fs::remove_all(doomed, ignored);
}

void CheckpointStore::prune(int64_t newest) const {
  std::vector<int64_t> found = steps();
  // Beyond the newest lies what a resumed run passed over because it was damaged.
  while (!found.empty() && found.back() > newest) {
    remove(found.back());
    found.pop_back();
  }
  const std::optional<int64_t> best_step = best();
  const auto judged = cheapest();
  const auto count = static_cast<int64_t>(found.size());
  for (int64_t i = 0; i + keep_.last < count; ++i) {
    const int64_t step = found[static_cast<size_t>(i)];
    const bool for_ever = keep_.every > 0 && step % keep_.every == 0;
    const bool is_cheap =
        std::ranges::any_of(judged, [step](const auto& entry) { return entry.second == step; });
    if (step != best_step && step != pinned_ && !for_ever && !is_cheap) remove(step);
  }
  std::error_code ignored;
  if (!best_step) fs::remove(folder_ / "best", ignored);
}

}  // namespace longwave::train
