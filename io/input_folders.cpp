// SPDX-License-Identifier: Apache-2.0
// Which files inputs name: globs, directories, folders `key=value`.
#include <fcntl.h>
#include <glob.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "firesteel/core/atomic_file.hpp"
#include "firesteel/core/error.hpp"
#include "firesteel/io/input_files.hpp"

namespace firesteel {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t kStampNumbers = 4;

[[noreturn]] void cannot_read(const std::string& path, const std::string& why, Index file) {
  throw Error(ErrorCode::no_input, "cannot read '" + path + "': " + why, {file, 0});
}

/// A file with the folders `key=value` above it.
struct FoundFile {
  std::string path;
  std::vector<std::pair<std::string, std::string>> folders;
  bool named = false;  ///< by the user, not found in a directory or by a glob
};

int hexadecimal(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/// %20 and its like, as Hive writes characters that a path cannot have.
std::string without_escapes(const std::string& text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const int high = text[i] == '%' && i + 2 < text.size() ? hexadecimal(text[i + 1]) : -1;
    const int low = high >= 0 ? hexadecimal(text[i + 2]) : -1;
    if (low >= 0) {
      plain += static_cast<char>(16 * high + low);
      i += 2;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

/// A folder's name as key and value; no key where it is another name.
std::pair<std::string, std::string> key_and_value(const std::string& name) {
  const auto equals = name.find('=');
  if (equals == std::string::npos || equals == 0) return {};
  std::string value = without_escapes(name.substr(equals + 1));
  if (value == "__HIVE_DEFAULT_PARTITION__") value.clear();
  return {without_escapes(name.substr(0, equals)), std::move(value)};
}

bool is_hidden(const std::string& name) { return name.front() == '.' || name.front() == '_'; }

/// Appends the files of a directory and of its folders `key=value`, in byte order.
void list_directory(const fs::path& directory, std::vector<std::pair<std::string, std::string>>& folders,
                    Index file, std::vector<FoundFile>& found) {
  std::vector<std::string> names;
  std::error_code failure;
  for (fs::directory_iterator entry(directory, failure), end; !failure && entry != end;
       entry.increment(failure))
    names.push_back(entry->path().filename().string());
  if (failure) cannot_read(directory.string(), failure.message(), file);
  std::sort(names.begin(), names.end());
  for (const auto& name : names) {
    const fs::path path = directory / name;
    std::error_code ignored;
    if (is_hidden(name)) continue;
    if (fs::is_regular_file(path, ignored)) {
      found.push_back({path.string(), folders});
    } else if (auto pair = key_and_value(name); !pair.first.empty() && fs::is_directory(path, ignored)) {
      folders.push_back(std::move(pair));
      list_directory(path, folders, file, found);
      folders.pop_back();
    }
  }
}

bool has_wildcard(const std::string& input) { return input.find_first_of("*?[") != std::string::npos; }

/// Folders of a path that a glob matched, from the pattern's first part with a wildcard on; the last part is
/// the match itself and counts only where it is a directory.
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

/// Matches of a glob in byte order, whatever the locale.
void expand_glob(const std::string& pattern, Index file, std::vector<FoundFile>& found) {
  glob_t matches{};
  const int code = ::glob(pattern.c_str(), GLOB_NOSORT, nullptr, &matches);
  std::vector<std::string> paths;
  for (std::size_t i = 0; code == 0 && i < matches.gl_pathc; ++i) paths.emplace_back(matches.gl_pathv[i]);
  ::globfree(&matches);
  std::sort(paths.begin(), paths.end());
  const std::size_t before = found.size();
  for (const auto& path : paths) {
    const bool directory = fs::is_directory(path);
    auto folders = folders_of_match(pattern, path, directory);
    if (directory && key_and_value(fs::path(path).filename().string()).first.empty()) continue;
    if (directory)
      list_directory(path, folders, file, found);
    else
      found.push_back({path, std::move(folders)});
  }
  if (found.size() == before) cannot_read(pattern, "no file matches this pattern", file);
}

void expand(const std::string& input, Index file, std::vector<FoundFile>& found) {
  std::error_code ignored;
  if (fs::is_directory(input, ignored)) {
    const std::size_t before = found.size();
    std::vector<std::pair<std::string, std::string>> folders;
    list_directory(input, folders, file, found);
    if (found.size() == before) cannot_read(input, "the directory has no files", file);
  } else if (has_wildcard(input) && !fs::exists(input, ignored)) {
    expand_glob(input, file, found);
  } else {
    found.push_back({.path = input, .folders = {}, .named = true});
  }
}

/// Bytes, time of change and inode. Throws 66 where there is no regular file that can be read.
std::vector<Index> stamp_of(const std::string& path, Index file) {
  const FileDescriptor opened(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!opened.open()) cannot_read(path, std::generic_category().message(errno), file);
  struct stat status {};
  if (::fstat(opened.get(), &status) != 0 || !S_ISREG(status.st_mode))
    cannot_read(
        path, "not a regular file: its parts could not be read in parallel; copy it into a file first", file);
  return {status.st_size, status.st_mtim.tv_sec, status.st_mtim.tv_nsec, static_cast<Index>(status.st_ino)};
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
      throw bad_input(found.path + ": two folders above it are called '" + *twice + "=...'");
  }
  const auto listed = [](const std::vector<std::string>& all) {
    std::string text;
    for (const auto& key : all) text += (text.empty() ? "'" : ", '") + key + "'";
    return text.empty() ? "no folders key=value" : "folders " + text;
  };
  if (keys != inputs.folder_keys)
    throw bad_input(found.path + " lies in " + listed(keys) + ", but " + first.path + " in " +
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
    const auto stamp = stamp_of(found[i].path, static_cast<Index>(i));
    if (stamp.front() == 0 && !found[i].named) {
      files.empty.push_back(found[i].path);
      continue;
    }
    if (first == nullptr) first = &found[i];
    add_folders(files, found[i], *first);
    files.paths.push_back(found[i].path);
    files.stamps.insert(files.stamps.end(), stamp.begin(), stamp.end());
  }
  if (files.paths.empty())
    throw bad_input(files.empty.front() + " is empty" +
                    (files.empty.size() > 1
                         ? ", as are all " + std::to_string(files.empty.size()) + " input files"
                         : ""));
  return files;
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
  return files;
}

void check_unchanged(Communicator& comm, const InputFiles& files) {
  comm.collectively([&] {
    if (comm.rank() != 0) return;
    for (std::size_t i = 0; i < files.paths.size(); ++i) {
      const auto file = static_cast<Index>(i);
      std::vector<Index> now;
      try {
        now = stamp_of(files.paths[i], file);
      } catch (const Error& error) {
        throw Error(ErrorCode::io_failed, files.paths[i] + " went away while it was read: " + error.what(),
                    {file, 0});
      }
      const Index* const before = files.stamps.data() + i * kStampNumbers;
      if (std::equal(now.begin(), now.end(), before)) continue;
      std::string what = "it was written to";
      if (now[0] != before[0])
        what = "it had " + std::to_string(before[0]) + " bytes and has " + std::to_string(now[0]);
      else if (now[3] != before[3])
        what = "another file took its place";
      throw Error(ErrorCode::io_failed, files.paths[i] + " changed while it was read: " + what, {file, 0});
    }
  });
}

std::vector<std::string> resolve_inputs(Communicator& comm, const std::vector<std::string>& inputs) {
  return find_inputs(comm, inputs).paths;
}

}  // namespace firesteel
