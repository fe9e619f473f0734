// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/regular_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <system_error>

namespace firesteel {

RegularFile open_regular_file(const std::string& path) {
  RegularFile file;
  // Without O_NONBLOCK the open of a pipe waits for somebody to write; a terminal must not become ours.
  FileDescriptor opened(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  struct stat status {};
  if (!opened.open() || ::fstat(opened.get(), &status) != 0) {
    // A socket, or a device without hardware behind it, is not opened at all.
    const int failure = errno;
    file.problem = failure == ENXIO ? "not a regular file" : std::generic_category().message(failure);
  } else if (S_ISDIR(status.st_mode)) {
    file.problem = "not a regular file but a directory";
  } else if (!S_ISREG(status.st_mode)) {
    file.problem = "not a regular file: its parts could not be read in parallel; copy it into a file first";
  } else {
    file.descriptor = std::move(opened);
    file.bytes = status.st_size;
  }
  return file;
}

}  // namespace firesteel
