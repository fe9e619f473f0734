// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/input_files.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <utility>

#include "firesteel/core/error.hpp"
#include "firesteel/io/compressed_file.hpp"
#include "firesteel/io/matrix_market.hpp"

namespace firesteel {

namespace {

namespace fs = std::filesystem;

std::string lower_extension(const std::string& path) {
  // A query of a URL is no part of its name.
  const std::string name = is_url(path) ? path.substr(0, path.find('?')) : path;
  std::string extension = fs::path(without_compression(name)).extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return extension;
}

std::string first_bytes(const InputFile& file) {
  std::array<char, 4096> bytes{};
  const std::size_t count = file.read_at(0, bytes);
  return {bytes.data(), count};
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

/// "csv, libsvm or hdf5".
std::string listed_formats() {
  const auto& known = data_formats();
  std::string text;
  for (std::size_t i = 0; i < known.size(); ++i)
    text += (i == 0 ? "" : i + 1 == known.size() ? " or " : ", ") + known[i];
  return text;
}

std::string format_of_bytes(const std::string& path) {
  using namespace std::string_view_literals;
  const auto file = open_input(path);
  std::string bytes = first_bytes(*file);
  refuse_cut_short(path, bytes, 0);
  if (const Compression compression = compression_of(bytes); compression != Compression::none)
    bytes = begin_of_text(path, file->bytes(), compression);
  if (bytes.starts_with("\x89HDF\r\n\x1a\n"sv)) return "hdf5";
  if (bytes.starts_with("\x93NUMPY"sv) || bytes.starts_with("PK\x03\x04"sv)) return "numpy";
  if (bytes.starts_with(kMatrixMarketBanner)) return "mtx";
  if (bytes.starts_with("PAR1"sv)) return "parquet";
  if (bytes.starts_with("ARROW1"sv)) return "arrow";
  if (bytes.starts_with("ORC"sv)) return "orc";
  const auto first = bytes.find_first_not_of(" \t\r\n");
  if (first != std::string::npos && bytes.compare(first, 2, "{\"") == 0) return "jsonl";
  if (bytes.starts_with("\xff\xfe"sv) || bytes.starts_with("\xfe\xff"sv))
    throw bad_input(path + " is UTF-16 text: convert it to UTF-8 first");
  if (bytes.find('\0') != std::string::npos)
    throw bad_input(path + ": cannot say the format from its name or first bytes: give --format " +
                    listed_formats());
  return looks_like_libsvm(bytes) ? "libsvm" : "csv";
}

}  // namespace

const std::vector<std::string>& data_formats() {
  static const std::vector<std::string> formats{"csv",   "libsvm",  "hdf5",  "numpy", "mtx",
                                                "jsonl", "parquet", "arrow", "orc",   "packed"};
  return formats;
}

std::string detect_format(const std::string& path, const ReadOptions& options) {
  const auto& known = data_formats();
  if (!options.format.empty()) {
    if (std::find(known.begin(), known.end(), options.format) == known.end())
      throw bad_parameter("--format: expected " + listed_formats() + ", got '" + options.format + "'");
    return options.format;
  }
  static constexpr std::pair<const char*, const char*> kExtensions[] = {
      {".csv", "csv"},         {".tsv", "csv"},    {".libsvm", "libsvm"}, {".svm", "libsvm"},
      {".svmlight", "libsvm"}, {".h5", "hdf5"},    {".hdf5", "hdf5"},     {".npy", "numpy"},
      {".npz", "numpy"},       {".mtx", "mtx"},    {".jsonl", "jsonl"},   {".ndjson", "jsonl"},
      {".parquet", "parquet"}, {".pq", "parquet"}, {".arrow", "arrow"},   {".feather", "arrow"},
      {".orc", "orc"},         {".fsp", "packed"}};
  const std::string extension = lower_extension(path);
  for (const auto& [ending, format] : kExtensions)
    if (extension == ending) return format;
  return format_of_bytes(path);
}

std::string format_of_inputs(Communicator& comm, const InputFiles& files, const ReadOptions& options) {
  std::string format;
  comm.collectively([&] {
    if (comm.rank() != 0) return;
    for (const auto& path : files.paths) {
      const std::string found = detect_format(path, options);
      if (!format.empty() && found != format)
        throw bad_input(files.paths.front() + " is " + format + ", but " + path + " is " + found +
                        ": all inputs must have one format; --format says which");
      format = found;
    }
  });
  return comm.broadcast_text(format, 0);
}

}  // namespace firesteel
