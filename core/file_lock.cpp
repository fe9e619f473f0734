// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/file_lock.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <ctime>
#include <filesystem>
#include <memory>
#include <system_error>
#include <thread>

#include "firesteel/core/error.hpp"

namespace firesteel {

namespace {

constexpr auto kPause = std::chrono::milliseconds(20);
constexpr std::time_t kOldSeconds = 3600;

/// Whether the file still has a name: one that was removed between open() and the lock has none.
bool has_a_name(int descriptor) {
  struct stat status {};
  return ::fstat(descriptor, &status) == 0 && status.st_nlink > 0;
}

std::string read_text(int descriptor) {
  std::array<char, 200> text{};
  const ssize_t count = ::pread(descriptor, text.data(), text.size(), 0);
  std::string found(text.data(), count > 0 ? static_cast<std::size_t>(count) : 0);
  std::erase(found, '\n');
  return found;
}

void remove_if_abandoned(const std::string& path, bool of_this_host) {
  const FileDescriptor file(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
  struct stat status {};
  if (!file.open() || ::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) return;
  if (!of_this_host && std::time(nullptr) - status.st_mtime < kOldSeconds) return;
  if (try_lock(file.get()) == LockResult::taken) ::unlink(path.c_str());
}

}  // namespace

LockResult try_lock(int descriptor) noexcept {
  while (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    return errno == EWOULDBLOCK ? LockResult::held_by_another : LockResult::not_supported;
  }
  return LockResult::taken;
}

std::string host_name() {
  std::array<char, 65> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return "host";
  std::string text(name.data());
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return std::isalnum(c) == 0 && c != '.'; }, '_');
  return text;
}

std::string process_name() { return "process " + std::to_string(::getpid()) + " on " + host_name(); }

DirectoryLock::DirectoryLock(const std::string& directory, std::chrono::milliseconds patience)
    : path_((std::filesystem::path(directory) / ".firesteel-lock").string()) {
  const auto limit = std::chrono::steady_clock::now() + patience;
  while (!take()) {
    if (std::chrono::steady_clock::now() >= limit) {
      const std::string holder = read_text(file_.get());
      throw Error(ErrorCode::cannot_create,
                  directory + ": another job writes its checkpoints here" +
                      (holder.empty() ? "" : " (" + holder + ")") +
                      ": wait until it ends, or give another --checkpoint directory");
    }
    std::this_thread::sleep_for(kPause);
  }
}

/// True where the wait is over: locked, or no lock is to be had.
bool DirectoryLock::take() {
  file_ = FileDescriptor(::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
  if (!file_.open())
    throw Error(ErrorCode::cannot_create,
                "cannot create " + path_ + ": " + std::generic_category().message(errno));
  const LockResult result = try_lock(file_.get());
  if (result == LockResult::held_by_another) return false;
  if (result == LockResult::not_supported) return true;
  if (!has_a_name(file_.get())) return false;
  const std::string holder = process_name() + "\n";
  // For people: on a full disk the lock holds without it.
  if (::ftruncate(file_.get(), 0) == 0) (void)!::pwrite(file_.get(), holder.data(), holder.size(), 0);
  return true;
}

DirectoryLock::~DirectoryLock() {
  if (file_.open()) ::unlink(path_.c_str());  // before the lock ends: nobody else's file goes
}

std::vector<std::string> names_in(const std::string& directory) {
  std::vector<std::string> names;
  const auto close = [](DIR* entries) { ::closedir(entries); };
  const std::unique_ptr<DIR, decltype(close)> entries(::opendir(directory.c_str()), close);
  if (!entries) return names;
  while (const dirent* entry = ::readdir(entries.get())) names.emplace_back(entry->d_name);
  return names;
}

void remove_abandoned_files(const std::string& directory) noexcept {
  try {
    const std::string own = ".firesteel-" + host_name() + "-";
    for (const std::string& name : names_in(directory))
      if (name.starts_with(".firesteel-") && name.ends_with(".tmp"))
        remove_if_abandoned((std::filesystem::path(directory) / name).string(), name.starts_with(own));
  } catch (...) {  // out of memory: the next run will do it
  }
}

}  // namespace firesteel
