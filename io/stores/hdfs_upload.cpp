// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/stores/hdfs_upload.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "firesteel/core/atomic_file.hpp"
#include "firesteel/core/error.hpp"
#include "firesteel/io/stores/hdfs_access.hpp"
#include "firesteel/io/stores/http_ranges.hpp"

namespace firesteel {

namespace {

constexpr Index kLeastBytes = Index{1} << 20;            // HDFS has no smaller blocks
constexpr Index kUsualBlockBytes = Index{128} << 20;     // where it is not said
constexpr std::size_t kMostSources = std::size_t{3000};  // of a URL

Error not_written(const std::string& path, const HttpAnswer& answer) {
  return {ErrorCode::io_failed,
          "writing " + path + " failed: " + hdfs_says(answer) + "; an older file stays as it was"};
}

FileDescriptor open_to_read(const std::string& local) {
  FileDescriptor file(::open(local.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.open()) throw Error(ErrorCode::io_failed, local + ": cannot be uploaded");
  return file;
}

void remove_temporary(const Url& url, const std::string& temporary) {
  hdfs_call("DELETE", hdfs_operation(url, temporary, "DELETE"));
}

/// The name of a piece: that of the temporary file, with the number before its end.
std::string piece_name(const std::string& id, Index number) {
  return id.substr(0, id.rfind('.')) + "-" + std::to_string(number) + ".tmp";
}

/// Appends pieces [1, …) to piece 0, as many at a time as a URL holds. The failure, or nothing.
std::optional<HttpAnswer> concatenate(const Url& url, const std::string& id,
                                      const std::vector<std::string>& told) {
  const std::string target = piece_name(id, 0);
  Index bytes = parse_length(told.front());
  for (std::size_t next = 1; next < told.size();) {
    std::string sources;
    for (; next < told.size() && sources.size() < kMostSources; ++next) {
      sources += (sources.empty() ? "" : ",") + piece_name(id, static_cast<Index>(next));
      bytes += parse_length(told[next]);
    }
    HttpAnswer answer =
        hdfs_call("POST", hdfs_operation(url, target, "CONCAT", "&sources=" + percent_encode(sources, true)));
    // A lost answer to an attempt that went through looks like sources that are not there.
    if (answer.good()) continue;
    const auto now = hdfs_status(url, target);
    if (!now || now->bytes != bytes) return answer;
  }
  return std::nullopt;
}

}  // namespace

void hdfs_put(const std::string& path, const std::string& local) {
  const Url url = parse_url(path);
  const FileDescriptor file = open_to_read(local);
  const Index bytes = ::lseek(file.get(), 0, SEEK_END);
  const std::string temporary = hdfs_temporary_name(url.path);
  HttpAnswer answer = hdfs_create(url, temporary, {file.get(), 0, bytes});
  if (answer.good()) answer = hdfs_rename(url, temporary, url.path);
  if (answer.good()) return;
  remove_temporary(url, temporary);
  throw not_written(path, answer);
}

PiecesBegun hdfs_begin_pieces(const std::string& path, Index bytes, int processes) {
  const Url url = parse_url(path);
  // CONCAT's sources stand in one text, with commas between them.
  if (processes == 1 || bytes <= kLeastBytes || url.path.find(',') != std::string::npos) return {};
  const HttpAnswer answer = http_attempt({.method = "GET",
                                          .url = hdfs_operation(url, "/", "GETSERVERDEFAULTS"),
                                          .headers = {},
                                          .body = {},
                                          .take = {}});
  Index block = answer.good() ? parse_hdfs_block_bytes(answer.body) : 0;
  if (block == 0) block = kUsualBlockBytes;
  if (bytes <= block) return {};
  return {.id = hdfs_temporary_name(url.path),
          .piece_bytes = std::max(block, (bytes + processes - 1) / processes)};
}

std::string hdfs_put_piece(const std::string& path, const std::string& id, Index number,
                           const std::string& local, Index begin, Index end) {
  const FileDescriptor file = open_to_read(local);
  const HttpAnswer answer =
      hdfs_create(parse_url(path), piece_name(id, number), {file.get(), begin, end - begin});
  if (!answer.good()) throw not_written(path, answer);
  return std::to_string(end - begin);
}

bool hdfs_join_pieces(const std::string& path, const std::string& id, const std::vector<std::string>& told) {
  const Url url = parse_url(path);
  if (const auto failure = concatenate(url, id, told)) {
    if (failure->failure.empty() && failure->status >= 400 && failure->status < 500) return false;
    throw not_written(path, *failure);
  }
  const HttpAnswer answer = hdfs_rename(url, piece_name(id, 0), url.path);
  if (!answer.good()) throw not_written(path, answer);
  return true;
}

void hdfs_give_up_pieces(const std::string& path, const std::string& id, Index count) noexcept {
  try {
    const Url url = parse_url(path);
    for (Index number = 0; number < count; ++number) {
      const HttpAnswer answer = hdfs_call("DELETE", hdfs_operation(url, piece_name(id, number), "DELETE"));
      if (!answer.failure.empty()) return;  // the server is not there, and would be waited for again
    }
  } catch (...) {
  }
}

}  // namespace firesteel
