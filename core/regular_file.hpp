// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "firesteel/core/atomic_file.hpp"
#include "firesteel/core/index.hpp"

namespace firesteel {

/// A file open for reading, or why it is not.
struct RegularFile {
  FileDescriptor descriptor;
  Index bytes = 0;      ///< when it was opened
  std::string problem;  ///< empty where it is open; else the end of a sentence: "No such file or directory"
};

/// Opens a file that a user has named, for reading. Never waits for a writer: pipes, devices, directories and
/// sockets are a problem like an absent file, because what is read here is read in parts, by several ranks
/// and more than once. Every path of a user's is opened by this function. Local; does not throw.
RegularFile open_regular_file(const std::string& path);

}  // namespace firesteel
