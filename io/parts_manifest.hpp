// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "firesteel/io/store.hpp"

namespace firesteel {

/// The file of a directory of parts that names them.
inline constexpr const char* kManifestName = "_manifest.json";
/// What stands in a store's directory while parts are written there, before the token of the job.
inline constexpr const char* kUnfinishedName = "_unfinished-";

/// A part as the manifest names it.
struct ManifestPart {
  std::string file;  ///< without directories
  Index rows = 0;
  Index bytes = 0;
};

/// A rank's number in the name of its part, "00003".
std::string part_number(int rank);

/// The text of a manifest.
std::string manifest_text(const std::vector<ManifestPart>& parts);
/// The parts that a manifest names, in order. `path` is what messages call it. Throws 65 where the text is no
/// such list, or of another version.
std::vector<ManifestPart> parse_manifest(std::string_view text, const std::string& path);

/// A file's name without the directories above it.
std::string name_in_directory(const StoredFile& file);
/// The file of a name among what Store::list() gave; nullptr where it is not there.
const StoredFile* find_file(const std::vector<StoredFile>& entries, std::string_view name);
/// All bytes of a manifest, as they lie there now. Throws 65 where it is too long to be one; 74.
std::string read_manifest(Store& store, const StoredFile& manifest);

/// The files that the manifest of a directory names, in order; empty where it has none. `entries` are what
/// Store::list() gave of it. Throws 65 where the manifest is damaged or a file is not as long as it says, 66
/// where a file is not there, or where there is no manifest yet because a job is writing the first one.
/// Local.
std::vector<StoredFile> files_of_manifest(Store& store, const std::string& directory,
                                          const std::vector<StoredFile>& entries);

}  // namespace firesteel
