// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "firesteel/core/communicator.hpp"
#include "firesteel/io/read_options.hpp"
#include "firesteel/io/store.hpp"

namespace firesteel {

/// The files of one data set, in order, and what the folders they lie in say. Replicated.
struct InputFiles {
  std::vector<std::string> paths;  ///< as messages name them
  /// Columns that folders `key=value` between an input and its files make, as Hive and Spark write them.
  std::vector<std::string> folder_keys;
  std::vector<std::vector<std::string>> folder_values;  ///< of each key, one a file; empty: missing
  std::vector<std::string> empty;                       ///< files of 0 bytes that were passed over
  std::vector<StoredFile> found;  ///< as they were found; on rank 0 only, but for those of a URL
};

/// The files that `inputs` name: paths, or URLs of a store (store.hpp). A directory stands for the files in
/// it and in its folders `key=value`, without hidden ones and such as begin with `_`; a glob for its matches,
/// directories among them included; both in byte order. Keys come from the folders below the directory that
/// was named, and of a glob from its first wildcard on. Files of 0 bytes that were not named themselves are
/// passed over. On rank 0, then broadcast. Collective; throws 66 where nothing is found or a file cannot be
/// read, 65 where folders have different keys or all files are empty.
InputFiles find_inputs(Communicator& comm, const std::vector<std::string>& inputs);

/// Throws 74 where a file is not what it was when the inputs were found. Collective.
void check_unchanged(Communicator& comm, const InputFiles& files);

/// What the format is, as detect_format() of all files, which must agree. On rank 0, then broadcast.
/// Collective; throws 65.
std::string format_of_inputs(Communicator& comm, const InputFiles& files, const ReadOptions& options);

}  // namespace firesteel
