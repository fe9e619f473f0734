// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/atomic_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <system_error>
#include <utility>

#include "firesteel/core/error.hpp"
#include "firesteel/core/file_lock.hpp"

namespace firesteel {

namespace {

std::string reason(int code) { return std::generic_category().message(code); }

Error cannot_create(const std::string& path, const std::string& why) {
  return {ErrorCode::cannot_create, "cannot create " + path + ": " + why};
}

Error write_failed(const std::string& path, int code) {
  std::string remedy;
  if (code == ENOSPC || code == EDQUOT) remedy = ": make room there, or name a file on another disk";
  if (code == EFBIG) remedy = ": raise ulimit -f, or name a file on another disk";
  return {ErrorCode::io_failed, "writing " + path + " failed: " + reason(code) + remedy +
                                    "; nothing was left behind, an older file stays as it was"};
}

/// Names of open temporary files where a signal handler can find them: fixed storage, no locks. A slot is
/// 0 free, 1 being filled or emptied, 2 in use.
struct TemporaryName {
  std::atomic<int> state{0};
  std::array<char, PATH_MAX> name{};
};
std::array<TemporaryName, 16> temporary_names;
static_assert(std::atomic<int>::is_always_lock_free);

int remember(const std::string& name) {
  if (name.size() + 1 > PATH_MAX) return -1;
  for (std::size_t slot = 0; slot < temporary_names.size(); ++slot) {
    int expected = 0;
    if (!temporary_names[slot].state.compare_exchange_strong(expected, 1)) continue;
    std::memcpy(temporary_names[slot].name.data(), name.c_str(), name.size() + 1);
    temporary_names[slot].state = 2;
    return static_cast<int>(slot);
  }
  return -1;  // more files than slots: only a signal would leave this one behind
}

void forget(int slot) {
  if (slot >= 0) temporary_names[static_cast<std::size_t>(slot)].state = 0;
}

std::string directory_of(const std::string& path) {
  const auto slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

/// The file that `path` means, links resolved. Throws cannot_create where it is no regular file.
std::string resolve_target(const std::string& path, mode_t* old_mode) {
  if (path.empty()) throw cannot_create("a file", "its name is empty");
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    struct stat link {};
    if (errno == ENOENT && ::lstat(path.c_str(), &link) == 0)
      throw cannot_create(path, "it is a broken link");
    if (errno != ENOENT) throw cannot_create(path, reason(errno));
    if (path.back() == '/') throw cannot_create(path, "Is a directory");
    return path;
  }
  if (S_ISDIR(status.st_mode)) throw cannot_create(path, reason(EISDIR));
  if (!S_ISREG(status.st_mode)) throw cannot_create(path, "it exists and is not a regular file");
  if (::access(path.c_str(), W_OK) != 0) throw cannot_create(path, reason(errno));
  *old_mode = status.st_mode & 07777;
  const std::unique_ptr<char, decltype(&std::free)> resolved(::realpath(path.c_str(), nullptr), &std::free);
  if (!resolved) throw cannot_create(path, reason(errno));
  return resolved.get();
}

/// Locks a new temporary file, so that others know that it is not abandoned. False where another process took
/// it for abandoned before it was locked.
bool keep_from_removal(int fd) {
  struct stat status {};
  return try_lock(fd) != LockResult::held_by_another && ::fstat(fd, &status) == 0 && status.st_nlink > 0;
}

/// Creates a new file of a fresh name beside `target`. Throws cannot_create.
FileDescriptor create_temporary(const std::string& path, const std::string& target, std::string* name) {
  static std::atomic<unsigned> counter{0};
  const std::string directory = directory_of(target);
  const std::string stem = (directory == "/" ? "" : directory) + "/.firesteel-" + host_name() + "-" +
                           std::to_string(::getpid()) + "-";
  // Processes in other containers that share the directory may have the same pid.
  for (int attempt = 0; attempt < 1000; ++attempt) {
    *name = stem + std::to_string(counter++) + ".tmp";
    FileDescriptor file(::open(name->c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    if (file.open() && keep_from_removal(file.get())) return file;
    if (file.open()) continue;
    const int error = errno;
    if (error == EINTR) continue;
    // Some file systems, /proc for one, say ENOENT in a directory that is there.
    if (error == ENOENT && ::access(directory.c_str(), F_OK) != 0)
      throw cannot_create(path, "the directory " + directory + " does not exist");
    if (error != EEXIST) throw cannot_create(path, reason(error));
  }
  throw cannot_create(path, "the directory is full of abandoned .firesteel-*.tmp files; remove them");
}

void write_fully(int fd, const std::string& path, Index offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(fd, bytes.data(), std::min(bytes.size(), std::size_t{1} << 30), offset);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) throw write_failed(path, written < 0 ? errno : ENOSPC);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
    offset += written;
  }
}

/// 0 or an errno. Some file systems cannot sync (EINVAL, ENOTSUP): nothing more can be done there.
int sync_descriptor(int fd) {
  while (::fsync(fd) != 0) {
    if (errno == EINTR) continue;
    return errno == EINVAL || errno == ENOTSUP ? 0 : errno;
  }
  return 0;
}

void sync_file(int fd, const std::string& path) {
  if (const int code = sync_descriptor(fd); code != 0) throw write_failed(path, code);
}

}  // namespace

FileDescriptor::FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept {
  if (this != &other) {
    close();
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}
FileDescriptor::~FileDescriptor() { close(); }
int FileDescriptor::close() {
  if (fd_ < 0) return 0;
  return ::close(std::exchange(fd_, -1)) == 0 ? 0 : errno;
}

void check_can_create(const std::string& path) {
  const AtomicFile probe(path);  // what it creates, its destructor removes
  remove_abandoned_files(directory_of(probe.temporary_path()));
}

AtomicFile::AtomicFile(const std::string& path) : path_(path) {
  mode_t old_mode = 0;
  target_ = resolve_target(path, &old_mode);
  file_ = create_temporary(path, target_, &temporary_);
  slot_ = remember(temporary_);
  if (old_mode != 0 && ::fchmod(file_.get(), old_mode) != 0 && errno != EPERM && errno != ENOTSUP) {
    const int code = errno;
    ::unlink(temporary_.c_str());
    forget(slot_);
    throw cannot_create(path, reason(code));
  }
}

AtomicFile::~AtomicFile() {
  file_.close();
  if (!committed_) ::unlink(temporary_.c_str());
  forget(slot_);
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  write_at(end_, bytes);
  end_ += static_cast<Index>(bytes.size());
}

void AtomicFile::write_at(Index offset, std::span<const std::byte> bytes) const {
  write_fully(file_.get(), path_, offset, bytes);
}

void AtomicFile::resize(Index bytes) const {
  while (::ftruncate(file_.get(), bytes) != 0)
    if (errno != EINTR) throw write_failed(path_, errno);
}

void AtomicFile::sync() { sync_file(file_.get(), path_); }

void AtomicFile::commit() {
  sync();
  // Network file systems report a full disk at close.
  if (const int code = file_.close(); code != 0) throw write_failed(path_, code);
  if (::rename(temporary_.c_str(), target_.c_str()) != 0) throw write_failed(path_, errno);
  committed_ = true;
  forget(std::exchange(slot_, -1));
  const FileDescriptor directory(::open(directory_of(target_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory.open()) return;
  if (const int code = sync_descriptor(directory.get()); code != 0)
    throw Error(ErrorCode::io_failed, "syncing the directory of " + path_ + " failed: " + reason(code) +
                                          "; the file is there and whole, but may not outlive this machine");
}

SharedAtomicFile::SharedAtomicFile(Communicator& comm, const std::string& path) : comm_(comm), path_(path) {
  comm_.collectively([&] {
    if (comm_.rank() == 0) temporary_ = owned_.emplace(path).temporary_path();
  });
  temporary_ = comm_.broadcast_text(std::move(temporary_), 0);
  comm_.collectively([&] {
    if (comm_.rank() == 0) return;
    joined_ = FileDescriptor(::open(temporary_.c_str(), O_RDWR | O_CLOEXEC));
    if (!joined_.open())
      throw cannot_create(path, "rank " + std::to_string(comm_.rank()) +
                                    " cannot open what rank 0 created (" + reason(errno) +
                                    "): all ranks must see the same directory");
  });
}

void SharedAtomicFile::write_at(Index offset, std::span<const std::byte> bytes) const {
  if (owned_)
    owned_->write_at(offset, bytes);
  else
    write_fully(joined_.get(), path_, offset, bytes);
}

void SharedAtomicFile::finish() {
  if (owned_) return;  // appear() syncs rank 0's bytes
  sync_file(joined_.get(), path_);
  if (const int code = joined_.close(); code != 0) throw write_failed(path_, code);
}

void SharedAtomicFile::appear() {
  if (owned_) owned_->commit();
}

void SharedAtomicFile::commit() {
  comm_.collectively([&] { finish(); });
  comm_.collectively([&] { appear(); });
}

void remove_temporary_files() noexcept {
  for (auto& entry : temporary_names)
    if (entry.state == 2) ::unlink(entry.name.data());
}

}  // namespace firesteel
