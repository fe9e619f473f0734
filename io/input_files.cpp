// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <glob.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "firesteel/core/error.hpp"
#include "firesteel/io/read_options.hpp"

namespace firesteel {

namespace {

namespace fs = std::filesystem;

[[noreturn]] void cannot_read(const std::string& path, const std::string& why, Index file) {
  throw Error(ErrorCode::no_input, "cannot read '" + path + "': " + why, {file, 0});
}

bool has_wildcard(const std::string& input) { return input.find_first_of("*?[") != std::string::npos; }

/// Matches of a glob in byte order, whatever the locale; directories among them are left out.
std::vector<std::string> expand_glob(const std::string& pattern, Index file) {
  glob_t matches{};
  const int code = ::glob(pattern.c_str(), GLOB_NOSORT, nullptr, &matches);
  std::vector<std::string> paths;
  for (std::size_t i = 0; code == 0 && i < matches.gl_pathc; ++i) paths.emplace_back(matches.gl_pathv[i]);
  ::globfree(&matches);
  std::erase_if(paths, [](const std::string& path) { return fs::is_directory(path); });
  if (paths.empty()) cannot_read(pattern, "no file matches this pattern", file);
  std::sort(paths.begin(), paths.end());
  return paths;
}

/// The regular files of a directory in byte order, without hidden ones and markers such as _SUCCESS.
std::vector<std::string> list_directory(const std::string& directory, Index file) {
  std::vector<std::string> paths;
  std::error_code failure;
  for (fs::directory_iterator entry(directory, failure), end; !failure && entry != end;
       entry.increment(failure)) {
    const std::string name = entry->path().filename().string();
    if (name.front() != '.' && name.front() != '_' && entry->is_regular_file())
      paths.push_back((fs::path(directory) / name).string());
  }
  if (failure) cannot_read(directory, failure.message(), file);
  if (paths.empty()) cannot_read(directory, "the directory has no files", file);
  std::sort(paths.begin(), paths.end());
  return paths;
}

void check_readable(const std::string& path, Index file) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) cannot_read(path, std::strerror(errno), file);
  struct stat status {};
  const bool regular = ::fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode);
  ::close(descriptor);
  if (!regular)
    cannot_read(
        path, "not a regular file: its parts could not be read in parallel; copy it into a file first", file);
}

std::vector<std::string> expand(const std::string& input, Index file) {
  std::error_code ignored;
  if (fs::is_directory(input, ignored)) return list_directory(input, file);
  if (has_wildcard(input) && !fs::exists(input, ignored)) return expand_glob(input, file);
  return {input};
}

std::string lower_extension(const std::string& path) {
  std::string extension = fs::path(path).extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return extension;
}

std::string first_bytes(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) cannot_read(path, std::strerror(errno), 0);
  std::array<char, 4096> bytes{};
  const ssize_t count = ::pread(descriptor, bytes.data(), bytes.size(), 0);
  const int code = errno;
  ::close(descriptor);
  if (count < 0) throw Error(ErrorCode::io_failed, path + ": reading failed: " + std::strerror(code));
  return {bytes.data(), static_cast<std::size_t>(count)};
}

bool is_index_and_value(std::string_view word) {
  const auto colon = word.find(':');
  return colon != std::string_view::npos && colon > 0 && colon + 1 < word.size() &&
         std::all_of(word.begin(), word.begin() + static_cast<std::ptrdiff_t>(colon),
                     [](char c) { return c >= '0' && c <= '9'; });
}

/// True if the first line that is not blank or a comment has a word `index:value` in first or second place.
bool looks_like_libsvm(std::string_view text) {
  while (!text.empty()) {
    const auto line_end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, line_end);
    text.remove_prefix(std::min(line_end + 1, text.size()));
    line = line.substr(0, line.find('#'));
    for (int word = 0; word < 2; ++word) {
      line.remove_prefix(std::min(line.find_first_not_of(" \t\r"), line.size()));
      const auto length = std::min(line.find_first_of(" \t\r"), line.size());
      if (is_index_and_value(line.substr(0, length))) return line.find(',') == std::string_view::npos;
      if (length == 0) break;
      line.remove_prefix(length);
      if (word == 1) return false;
    }
  }
  return false;
}

std::string format_of_bytes(const std::string& path) {
  using namespace std::string_view_literals;
  const std::string bytes = first_bytes(path);
  if (bytes.starts_with("\x89HDF\r\n\x1a\n"sv)) return "hdf5";
  if (bytes.starts_with("\x1f\x8b"sv)) throw bad_input(path + " is compressed by gzip: unpack it first");
  if (bytes.starts_with("\xff\xfe"sv) || bytes.starts_with("\xfe\xff"sv))
    throw bad_input(path + " is UTF-16 text: convert it to UTF-8 first");
  if (bytes.find('\0') != std::string::npos)
    throw bad_input(path +
                    ": cannot say the format from its name or first bytes: give --format csv, libsvm or "
                    "hdf5");
  return looks_like_libsvm(bytes) ? "libsvm" : "csv";
}

}  // namespace

std::vector<std::string> resolve_inputs(Communicator& comm, const std::vector<std::string>& inputs) {
  std::vector<std::string> paths;
  comm.collectively([&] {
    if (comm.rank() != 0) return;
    if (inputs.empty()) throw bad_parameter("--input: expected at least one file");
    for (const auto& input : inputs) {
      for (auto& path : expand(input, static_cast<Index>(paths.size()))) {
        check_readable(path, static_cast<Index>(paths.size()));
        paths.push_back(std::move(path));
      }
    }
  });
  return comm.allgather_texts(paths);
}

std::string detect_format(const std::string& path, const ReadOptions& options) {
  if (!options.format.empty()) {
    for (const auto* known : {"csv", "libsvm", "hdf5"})
      if (options.format == known) return known;
    throw bad_parameter("--format: expected csv, libsvm or hdf5, got '" + options.format + "'");
  }
  const std::string extension = lower_extension(path);
  for (const auto* known : {".csv", ".tsv"})
    if (extension == known) return "csv";
  for (const auto* known : {".libsvm", ".svm", ".svmlight"})
    if (extension == known) return "libsvm";
  for (const auto* known : {".h5", ".hdf5"})
    if (extension == known) return "hdf5";
  return format_of_bytes(path);
}

}  // namespace firesteel
