// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/scratch_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <system_error>

#include "firesteel/core/error.hpp"
#include "firesteel/core/memory_pool.hpp"

namespace firesteel {

namespace {

std::string reason(int code) { return std::generic_category().message(code); }

Error cannot_use(const std::string& directory, const std::string& why) {
  return {ErrorCode::cannot_create,
          "scratch directory " + directory + ": " + why + "; --scratch names another, --memory more memory"};
}

/// A file without a name. Where the file system has no such thing, one whose name is taken away at once.
FileDescriptor open_unnamed(const std::string& directory, int flags) {
#ifdef O_TMPFILE
  if (FileDescriptor file(::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC | flags, 0600));
      file.open() || (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT && errno != EINVAL))
    return file;
#endif
  std::string name = directory + "/.firesteel-scratch-XXXXXX";
  FileDescriptor file(::mkostemp(name.data(), O_CLOEXEC | flags));
  if (file.open()) ::unlink(name.c_str());
  return file;
}

std::string free_text(const std::string& directory) {
  struct statvfs status {};
  if (::statvfs(directory.c_str(), &status) != 0) return "no room";
  return bytes_text(static_cast<Index>(status.f_bavail) * static_cast<Index>(status.f_frsize)) + " free";
}

}  // namespace

std::string scratch_directory(const std::string& named) {
  if (!named.empty()) return named;
  const char* variable = std::getenv("TMPDIR");
  return variable != nullptr && *variable != '\0' ? variable : "/tmp";
}

FileDescriptor open_scratch(const std::string& directory) {
  FileDescriptor file = open_unnamed(directory, 0);
  if (!file.open()) throw cannot_use(directory, reason(errno));
  return file;
}

ScratchFile::ScratchFile(const std::string& directory, Index bytes) : directory_(directory) {
  file_ = open_unnamed(directory_, O_DIRECT);
  direct_ = file_.open();
  if (!direct_ && errno == EINVAL) file_ = open_unnamed(directory_, 0);
  if (!file_.open()) throw cannot_use(directory_, reason(errno));
  int result = 0;
  do {
    result = ::fallocate(file_.get(), 0, 0, std::max(bytes, kScratchAlignment)) == 0 ? 0 : errno;
  } while (result == EINTR);
  if (result == ENOSPC || result == EDQUOT || result == EFBIG)
    throw cannot_use(directory_, bytes_text(bytes) + " are needed by a rank, " + free_text(directory_));
  // Other refusals only mean that room cannot be reserved: a disk that fills is met when it is written.
}

void ScratchFile::write(Index offset, const std::byte* from, Index bytes) const {
  while (bytes > 0) {
    const ssize_t done = ::pwrite(file_.get(), from, static_cast<std::size_t>(bytes), offset);
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0)
      throw Error(ErrorCode::io_failed, "writing to the scratch directory " + directory_ + " failed: " +
                                            reason(done < 0 ? errno : ENOSPC) + " (" + free_text(directory_) +
                                            "); make room there; --scratch names another");
    from += done;
    offset += done;
    bytes -= done;
  }
}

Error ScratchFile::read_error(int code) const {
  return {ErrorCode::io_failed, "reading from the scratch directory " + directory_ +
                                    " failed: " + (code == 0 ? "the file ends early" : reason(code))};
}

void ScratchFile::read(Index offset, std::byte* to, Index bytes) const {
  while (bytes > 0) {
    const ssize_t done = ::pread(file_.get(), to, static_cast<std::size_t>(bytes), offset);
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) throw read_error(done < 0 ? errno : 0);
    to += done;
    offset += done;
    bytes -= done;
  }
}

}  // namespace firesteel
