// SPDX-License-Identifier: Apache-2.0
// Which files inputs name: globs, directories, folders `key=value`.
#include <fnmatch.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "firesteel/core/error.hpp"
#include "firesteel/core/regular_file.hpp"
#include "firesteel/io/input_files.hpp"
#include "firesteel/io/parts_manifest.hpp"
#include "firesteel/io/stores/url.hpp"

namespace firesteel {

namespace {

namespace fs = std::filesystem;

[[noreturn]] void cannot_read(const std::string& path, const std::string& why, Index file) {
  throw Error(ErrorCode::no_input, "cannot read '" + path + "': " + why, {file, 0});
}

/// A file with the folders `key=value` above it.
struct FoundFile {
  StoredFile file;
  std::vector<std::pair<std::string, std::string>> folders;
  bool named = false;  ///< by the user, not found in a directory or by a glob
};

/// A folder's name as key and value; no key where it is another name.
std::pair<std::string, std::string> key_and_value(const std::string& name) {
  const auto equals = name.find('=');
  if (equals == std::string::npos || equals == 0) return {};
  std::string value = percent_decode(name.substr(equals + 1));
  if (value == "__HIVE_DEFAULT_PARTITION__") value.clear();
  return {percent_decode(name.substr(0, equals)), std::move(value)};
}

bool is_hidden(const std::string& name) { return name.front() == '.' || name.front() == '_'; }

/// The last part of a path.
std::string name_of(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path.substr(path.rfind('/') + 1);
}

/// Files and directories in a directory, in byte order.
std::vector<StoredFile> sorted_list(Store& store, const std::string& directory) {
  auto entries = store.list(directory);
  std::sort(entries.begin(), entries.end(),
            [](const StoredFile& a, const StoredFile& b) { return name_of(a.path) < name_of(b.path); });
  return entries;
}

/// Appends the files of a directory and of its folders `key=value`, in byte order.
void list_directory(Store& store, const std::string& directory,
                    std::vector<std::pair<std::string, std::string>>& folders,
                    std::vector<FoundFile>& found) {
  auto entries = sorted_list(store, directory);
  auto parts = files_of_manifest(store, directory, entries);
  for (auto& part : parts) found.push_back({std::move(part), folders});
  if (!parts.empty()) return;
  for (auto& entry : entries) {
    const std::string name = name_of(entry.path);
    if (name.empty() || is_hidden(name) || (!entry.directory && entry.version.empty())) continue;
    if (!entry.directory) {
      found.push_back({std::move(entry), folders});
    } else if (auto pair = key_and_value(name); !pair.first.empty()) {
      folders.push_back(std::move(pair));
      list_directory(store, entry.path, folders, found);
      folders.pop_back();
    }
  }
}

bool has_wildcard(std::string_view input) { return input.find_first_of("*?[") != std::string_view::npos; }

/// Folders of a path that a pattern matched, from the pattern's first part with a wildcard on; the last part
/// is the match itself and counts only where it is a directory.
std::vector<std::pair<std::string, std::string>> folders_of_match(const std::string& pattern,
                                                                  const std::string& match, bool directory) {
  std::vector<std::pair<std::string, std::string>> folders;
  const fs::path parts(match);
  const fs::path wanted(pattern);
  auto part = parts.begin();
  bool wild = false;
  for (auto want = wanted.begin(); want != wanted.end() && part != parts.end(); ++want, ++part) {
    wild = wild || has_wildcard(want->string());
    if (!wild || (!directory && std::next(part) == parts.end())) continue;
    if (auto pair = key_and_value(part->string()); !pair.first.empty()) folders.push_back(std::move(pair));
  }
  return folders;
}

/// Appends what matches the parts of a pattern from `begin` on, below `base`.
void match(Store& store, const std::string& base, std::string_view pattern,
           std::vector<StoredFile>& matches) {
  const auto wild = pattern.find_first_of("*?[");
  if (wild == std::string_view::npos) {
    if (auto found = store.look_at(base + std::string(pattern))) matches.push_back(std::move(*found));
    return;
  }
  const auto slash = pattern.rfind('/', wild);
  const std::string directory =
      base + std::string(pattern.substr(0, slash == std::string_view::npos ? 0 : slash + 1));
  pattern.remove_prefix(slash == std::string_view::npos ? 0 : slash + 1);
  const std::string part(pattern.substr(0, pattern.find('/')));
  pattern.remove_prefix(part.size());
  std::vector<StoredFile> entries;
  try {
    entries = sorted_list(store, directory.empty() ? "." : directory);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::no_input) throw;
    return;  // a directory that is not there, or not to be listed, has no match
  }
  for (auto& entry : entries) {
    const std::string name = name_of(entry.path);
    if (::fnmatch(part.c_str(), name.c_str(), FNM_PERIOD) != 0) continue;
    entry.path = directory + name;
    if (pattern.empty())
      matches.push_back(std::move(entry));
    else if (entry.directory)
      match(store, entry.path, pattern, matches);
  }
}

/// Matches of a pattern in byte order, whatever the locale.
void expand_glob(Store& store, const std::string& pattern, Index file, std::vector<FoundFile>& found) {
  std::vector<StoredFile> matches;
  // The host or bucket of a URL is no pattern.
  const auto begin =
      is_url(pattern) ? std::min(pattern.find('/', pattern.find("://") + 3), pattern.size()) : 0;
  match(store, pattern.substr(0, begin), std::string_view(pattern).substr(begin), matches);
  std::sort(matches.begin(), matches.end(),
            [](const StoredFile& a, const StoredFile& b) { return a.path < b.path; });
  const std::size_t before = found.size();
  for (auto& each : matches) {
    auto folders = folders_of_match(pattern, each.path, each.directory);
    if (each.directory && key_and_value(name_of(each.path)).first.empty()) continue;
    if (each.directory)
      list_directory(store, each.path, folders, found);
    else
      found.push_back({std::move(each), std::move(folders)});
  }
  if (found.size() == before) cannot_read(pattern, "no file matches this pattern", file);
}

/// Throws 66 where a local file cannot be read in parts.
void check_readable(const StoredFile& file, Index number) {
  if (is_url(file.path)) return;
  const std::string problem = open_regular_file(file.path).problem;
  if (!problem.empty()) cannot_read(file.path, problem, number);
}

void expand(const std::string& named, Index file, std::vector<FoundFile>& found) {
  const std::string input = shown_name(named);
  Store& store = store_of(input);
  const bool pattern = has_wildcard(input) && store.lists();
  std::optional<StoredFile> there;
  try {
    there = store.look_at(input);
  } catch (const Error& error) {
    if (!pattern || error.code() != ErrorCode::no_input) throw Error(error.code(), error.what(), {file, 0});
  }
  if (there && there->directory) {
    const std::size_t before = found.size();
    std::vector<std::pair<std::string, std::string>> folders;
    list_directory(store, input, folders, found);
    if (found.size() == before) cannot_read(input, "the directory has no files", file);
  } else if (pattern && !there) {
    expand_glob(store, input, file, found);
  } else {
    if (!there && is_url(input)) cannot_read(input, "it does not exist", file);
    if (!there) check_readable({.path = input, .version = {}}, file);
    found.push_back(
        {.file = there.value_or(StoredFile{.path = input, .version = {}}), .folders = {}, .named = true});
  }
}

void add_folders(InputFiles& inputs, const FoundFile& found, const FoundFile& first) {
  std::vector<std::string> keys;
  for (const auto& folder : found.folders) keys.push_back(folder.first);
  if (inputs.paths.empty()) {
    inputs.folder_keys = keys;
    inputs.folder_values.resize(keys.size());
    auto sorted = keys;
    std::sort(sorted.begin(), sorted.end());
    if (const auto twice = std::adjacent_find(sorted.begin(), sorted.end()); twice != sorted.end())
      throw bad_input(found.file.path + ": two folders above it are called '" + *twice + "=...'");
  }
  const auto listed = [](const std::vector<std::string>& all) {
    std::string text;
    for (const auto& key : all) text += (text.empty() ? "'" : ", '") + key + "'";
    return text.empty() ? "no folders key=value" : "folders " + text;
  };
  if (keys != inputs.folder_keys)
    throw bad_input(found.file.path + " lies in " + listed(keys) + ", but " + first.file.path + " in " +
                        listed(inputs.folder_keys) + ": all files must have the same columns",
                    {static_cast<Index>(inputs.paths.size()), 0});
  for (std::size_t i = 0; i < keys.size(); ++i) inputs.folder_values[i].push_back(found.folders[i].second);
}

InputFiles find_on_this_rank(const std::vector<std::string>& inputs) {
  if (inputs.empty()) throw bad_parameter("--input: expected at least one file");
  std::vector<FoundFile> found;
  for (const auto& input : inputs) expand(input, static_cast<Index>(found.size()), found);
  InputFiles files;
  const FoundFile* first = nullptr;
  for (std::size_t i = 0; i < found.size(); ++i) {
    StoredFile& file = found[i].file;
    check_readable(file, static_cast<Index>(i));
    if (file.bytes == 0 && !found[i].named) {
      files.empty.push_back(file.path);
      continue;
    }
    if (first == nullptr) first = &found[i];
    add_folders(files, found[i], *first);
    files.paths.push_back(file.path);
    files.found.push_back(file);
  }
  if (files.paths.empty())
    throw bad_input(files.empty.front() + " is empty" +
                    (files.empty.size() > 1
                         ? ", as are all " + std::to_string(files.empty.size()) + " input files"
                         : ""));
  return files;
}

/// A local file's version ends with its inode.
std::string inode_of(const StoredFile& file) { return file.version.substr(file.version.rfind(' ') + 1); }

/// What rank 0 found at URLs, for all: they need not look themselves, and read the same version. Collective.
void share_found(Communicator& comm, const std::vector<std::string>& inputs, InputFiles& files) {
  if (!comm.any(std::any_of(files.paths.begin(), files.paths.end(), is_url))) return;
  std::vector<std::string> versions;
  std::vector<Index> bytes;
  for (const auto& file : files.found) {
    versions.push_back(file.version);
    bytes.push_back(file.bytes);
  }
  versions = comm.allgather_texts(versions);
  bytes = comm.allgatherv(std::span<const Index>(bytes));
  comm.collectively([&] {
    for (const auto& input : inputs) shown_name(input);
    for (std::size_t i = 0; i < files.paths.size(); ++i) {
      if (is_url(files.paths[i]))
        adopt_input({.path = files.paths[i], .bytes = bytes[i], .version = versions[i]});
    }
  });
}

}  // namespace

InputFiles find_inputs(Communicator& comm, const std::vector<std::string>& inputs) {
  InputFiles files =
      comm.collectively([&] { return comm.rank() == 0 ? find_on_this_rank(inputs) : InputFiles{}; });
  files.paths = comm.allgather_texts(files.paths);
  files.folder_keys = comm.allgather_texts(files.folder_keys);
  files.empty = comm.allgather_texts(files.empty);
  files.folder_values.resize(files.folder_keys.size());
  for (auto& values : files.folder_values) values = comm.allgather_texts(values);
  share_found(comm, inputs, files);
  return files;
}

void check_unchanged(Communicator& comm, const InputFiles& files) {
  comm.collectively([&] {
    if (comm.rank() != 0) return;
    for (std::size_t i = 0; i < files.paths.size(); ++i) {
      const auto file = static_cast<Index>(i);
      const StoredFile& before = files.found[i];
      std::optional<StoredFile> now;
      std::string why = "No such file or directory";
      try {
        now = store_of(before.path).look_at(before.path);
      } catch (const Error& error) {
        why = error.what();
      }
      if (!now)
        throw Error(ErrorCode::io_failed, before.path + " went away while it was read: " + why, {file, 0});
      if (now->bytes == before.bytes && now->version == before.version) continue;
      std::string what = "it was written to";
      if (now->bytes != before.bytes)
        what = "it had " + std::to_string(before.bytes) + " bytes and has " + std::to_string(now->bytes);
      else if (!is_url(before.path) && inode_of(*now) != inode_of(before))
        what = "another file took its place";
      throw Error(ErrorCode::io_failed, before.path + " changed while it was read: " + what, {file, 0});
    }
  });
}

std::vector<std::string> resolve_inputs(Communicator& comm, const std::vector<std::string>& inputs) {
  return find_inputs(comm, inputs).paths;
}

}  // namespace firesteel
