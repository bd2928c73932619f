// SPDX-License-Identifier: Apache-2.0
#include "longwave/io/atomic_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/io/file.h"
#include "longwave/io/testing/temporary_folder.h"

namespace longwave::io {
namespace {

namespace fs = std::filesystem;
using testing::message_of;
using testing::TemporaryFolder;

std::string content(const fs::path& path) { return read_text(path, 1 << 24); }

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename());
  return names;
}

/// Runs `body` in a process of its own; its exit status.
template <typename Body>
int in_child(const Body& body) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(body());
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/// Lets files of any size fail at `bytes`, as a quota does.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit = {bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    ::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  void (*handler_)(int);
};

TEST(AtomicFile, AppearsWholeOnCommitOnly) {
  const TemporaryFolder folder;
  {
    AtomicFile file(folder / "a");
    file.write("one ");
    file.write("two");
    EXPECT_FALSE(fs::exists(folder / "a"));
    file.commit();
    EXPECT_EQ(content(folder / "a"), "one two");
  }
  { AtomicFile(folder / "a").write("never committed"); }
  EXPECT_EQ(content(folder / "a"), "one two");
  EXPECT_EQ(names_in(folder.path()), std::vector<std::string>{"a"});
}

TEST(AtomicFile, RelativePathsAndEmptyFilesWork) {
  const TemporaryFolder folder;
  EXPECT_EQ(in_child([&] {
              fs::current_path(folder.path());
              write_file_atomically("here", std::string_view());
              return 0;
            }),
            0);
  EXPECT_EQ(content(folder / "here"), "");
}

TEST(AtomicFile, ShortWriteReportsAndKeepsTheEarlierFile) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "a", "earlier");
  std::string message;
  {
    const FileSizeLimit limit(1000);
    message =
        message_of<IoError>([&] { write_file_atomically(folder / "a", std::string(5000, 'x')); });
  }
  EXPECT_NE(message.find((folder / "a").string()), std::string::npos) << message;
  EXPECT_NE(message.find("File too large"), std::string::npos) << message;
  EXPECT_NE(message.find("wrote 1000 of 5000 bytes"), std::string::npos) << message;
  EXPECT_NE(message.find("fix:"), std::string::npos) << message;
  EXPECT_EQ(content(folder / "a"), "earlier");
  EXPECT_EQ(names_in(folder.path()), std::vector<std::string>{"a"});
}

/// Fills a file system of 64 KiB and checks the report; 77 if the system lets nobody mount one.
int full_disk(const fs::path& folder) {
  constexpr int kNotPermitted = 77;
  if (::mount("tmpfs", folder.c_str(), "tmpfs", 0, "size=64k") != 0) {
    if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return kNotPermitted;
    if (::mount("tmpfs", folder.c_str(), "tmpfs", 0, "size=64k") != 0) return kNotPermitted;
  }
  int faults = 0;
  write_file_atomically(folder / "a", "earlier");
  try {
    write_file_atomically(folder / "a", std::string(1 << 20, 'x'));
    ++faults;
  } catch (const IoError& error) {
    const std::string message = error.what();
    if (message.find("No space left on device") == std::string::npos) ++faults;
    if (message.find("free space") == std::string::npos) ++faults;
  }
  if (content(folder / "a") != "earlier") ++faults;
  if (names_in(folder) != std::vector<std::string>{"a"}) ++faults;
  ::umount(folder.c_str());
  return faults;
}

TEST(AtomicFile, FullDiskReportsAndKeepsTheEarlierFile) {
  const TemporaryFolder folder;
  const int status = in_child([&] { return full_disk(folder.path()); });
  if (status == 77) GTEST_SKIP() << "this system lets nobody mount a small file system";
  EXPECT_EQ(status, 0);
}

TEST(AtomicFile, ReportsWhereItCannotWrite) {
  const TemporaryFolder folder;
  fs::create_directory(folder / "taken");
  write_file_atomically(folder / "file", "x");
  for (const fs::path& path :
       {folder / "missing/a", folder / "file/a", folder / "taken", fs::path("/"), fs::path(".."),
        fs::path(), fs::path("/proc/longwave")}) {
    const std::string message = message_of<IoError>([&] { write_file_atomically(path, "x"); });
    EXPECT_NE(message.find(path.string()), std::string::npos) << message;
  }
}

TEST(AtomicFile, KilledWriterLosesNothingAndItsRestIsRemoved) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "a", "earlier");
  fs::create_directory(folder / "b");
  write_file_atomically(folder / "b" / "x", "earlier");
  EXPECT_EQ(in_child([&]() -> int {
              AtomicFile file(folder / "a");
              file.write("half of it");
              const AtomicFolder replacement(folder / "b");
              write_file_atomically(replacement.path() / "x", "half of it");
              return ::kill(::getpid(), SIGKILL);
            }),
            128 + SIGKILL);
  EXPECT_EQ(content(folder / "a"), "earlier");
  EXPECT_EQ(content(folder / "b" / "x"), "earlier");
  ASSERT_EQ(names_in(folder.path()).size(), 4u);
  for (const auto& entry : fs::directory_iterator(folder.path())) {
    fs::last_write_time(entry, fs::file_time_type::clock::now() - std::chrono::hours(1));
  }
  // A living writer's hidden file stays, however old it is.
  AtomicFile living(folder / "a");
  living.write("living");
  for (const auto& entry : fs::directory_iterator(folder.path())) {
    fs::last_write_time(entry, fs::file_time_type::clock::now() - std::chrono::hours(1));
  }
  write_file_atomically(folder / "a", "later");
  AtomicFolder(folder / "b").commit();
  EXPECT_EQ(names_in(folder.path()).size(), 3u);
  living.commit();
  EXPECT_EQ(content(folder / "a"), "living");
  EXPECT_EQ(names_in(folder.path()).size(), 2u);
}

TEST(AtomicFile, WritersOfOneNameLeaveOneWholeFile) {
  const TemporaryFolder folder;
  std::vector<std::thread> writers;
  for (char letter = 'a'; letter < 'e'; ++letter) {
    writers.emplace_back([&folder, letter] {
      for (int i = 0; i < 20; ++i) write_file_atomically(folder / "f", std::string(9999, letter));
    });
  }
  for (std::thread& writer : writers) writer.join();
  const std::string left = content(folder / "f");
  EXPECT_EQ(left, std::string(9999, left.front()));
  EXPECT_EQ(names_in(folder.path()).size(), 1u);
}

TEST(AtomicFolder, ReplacesTheWholeFolder) {
  const TemporaryFolder folder;
  for (const char* version : {"1", "2", "3"}) {
    AtomicFolder next(folder / "m/");
    write_file_atomically(next.path() / "same", version);
    write_file_atomically(next.path() / (std::string("only") + version), version);
    next.commit();
    EXPECT_EQ(content(folder / "m/same"), version);
    EXPECT_EQ(names_in(folder / "m").size(), 2u);
  }
  { const AtomicFolder dropped(folder / "m"); }
  EXPECT_EQ(content(folder / "m/same"), "3");
  EXPECT_EQ(names_in(folder.path()), std::vector<std::string>{"m"});
}

TEST(AtomicFolder, DoesNotReplaceAFile) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "m", "a file");
  EXPECT_THROW(AtomicFolder(folder / "m").commit(), IoError);
  EXPECT_EQ(content(folder / "m"), "a file");
  EXPECT_EQ(names_in(folder.path()), std::vector<std::string>{"m"});
}

std::string read_beside(int folder, const char* name) {
  const int file = ::openat(folder, name, O_RDONLY);
  if (file < 0) return {};
  char buffer[32] = {};
  const ssize_t count = ::read(file, buffer, sizeof buffer);
  ::close(file);
  return {buffer, static_cast<size_t>(count)};
}

TEST(AtomicFolder, ReaderNeverSeesAMixture) {
  const TemporaryFolder folder;
  const auto replace = [&folder](int version) {
    AtomicFolder next(folder / "m");
    write_file_atomically(next.path() / "a", std::to_string(version));
    write_file_atomically(next.path() / "b", std::to_string(version));
    next.commit();
  };
  replace(0);
  std::thread writer([&] {
    for (int version = 1; version <= 50; ++version) replace(version);
  });
  int seen = 0;
  for (std::string a, b; a != "50"; ++seen) {
    const int opened = ::open((folder / "m").c_str(), O_RDONLY | O_DIRECTORY);
    ASSERT_GE(opened, 0) << "the folder was missing for a moment";
    a = read_beside(opened, "a");
    b = read_beside(opened, "b");
    ::close(opened);
    // Empty: an earlier folder that was being removed while it was read.
    if (!a.empty() && !b.empty()) {
      EXPECT_EQ(a, b);
    }
  }
  writer.join();
  EXPECT_GT(seen, 0);
}

TEST(File, ReadsWholeFilesUpToALimit) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "a", std::string(100000, 'x'));
  EXPECT_EQ(read_text(folder / "a", 100000).size(), 100000u);
  EXPECT_EQ(MappedFile(folder / "a").bytes().size(), 100000u);
  EXPECT_THROW(static_cast<void>(read_text(folder / "a", 99999)), IoError);
  EXPECT_THROW(static_cast<void>(read_text("/dev/zero", 1 << 20)), IoError);
  EXPECT_THROW(static_cast<void>(read_text(folder.path(), 1 << 20)), IoError);
  EXPECT_THROW(MappedFile(folder.path()), IoError);
  EXPECT_THROW(MappedFile("/dev/null"), IoError);
  EXPECT_EQ(read_text("/dev/null", 0), "");
  write_file_atomically(folder / "empty", "");
  EXPECT_TRUE(MappedFile(folder / "empty").bytes().empty());
}

}  // namespace
}  // namespace longwave::io
