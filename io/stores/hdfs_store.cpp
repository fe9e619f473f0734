// SPDX-License-Identifier: Apache-2.0
// hdfs://host:port/path by WebHDFS.
#include <fcntl.h>

#include <utility>

#include "firesteel/core/atomic_file.hpp"
#include "firesteel/io/stores/hdfs_access.hpp"
#include "firesteel/io/stores/hdfs_upload.hpp"
#include "firesteel/io/stores/http_ranges.hpp"
#include "firesteel/io/stores/remote_stores.hpp"
#include "firesteel/io/stores/store_answers.hpp"

namespace firesteel {

namespace {

Error hdfs_error(const std::string& path, const HttpAnswer& answer) {
  const std::string said = parse_hdfs_error(answer.body);
  return http_error(path, answer, false, said.empty() ? "" : ", " + said);
}

/// Calls parse(); its error names the path.
template <class Parse>
auto parsed(const std::string& path, Parse&& parse) {
  try {
    return parse();
  } catch (const Error& error) {
    throw Error(error.code(), path + ": " + error.what());
  }
}

class HdfsRanges final : public HttpRanges {
 public:
  explicit HdfsRanges(const StoredFile& file)
      : HttpRanges(file.path, file.bytes, Way::url, {}, {}), url_(parse_url(file.path)) {}

 protected:
  HttpRequest request(Index begin, Index end) override {
    return {
        .url = hdfs_operation(url_, url_.path, "OPEN",
                              "&offset=" + std::to_string(begin) + "&length=" + std::to_string(end - begin)),
        .headers = {},
        .body = {},
        .take = {}};
  }

 private:
  Url url_;
};

class HdfsStore final : public Store {
 public:
  std::optional<StoredFile> look_at(const std::string& path) override {
    const Url url = parse_url(path);
    const HttpAnswer answer = hdfs_call("GET", hdfs_operation(url, url.path, "GETFILESTATUS"));
    if (answer.status == 404) return std::nullopt;
    if (!answer.good()) throw hdfs_error(path, answer);
    return described(path, parsed(path, [&] { return parse_hdfs_status(answer.body); }));
  }

  std::vector<StoredFile> list(const std::string& directory) override {
    const Url url = parse_url(directory);
    const HttpAnswer answer = hdfs_call("GET", hdfs_operation(url, url.path, "LISTSTATUS"));
    if (!answer.good()) throw hdfs_error(directory, answer);
    std::vector<StoredFile> found;
    for (const auto& status : parsed(directory, [&] { return parse_hdfs_list(answer.body); }))
      found.push_back(described(directory + (directory.back() == '/' ? "" : "/") + status.name, status));
    return found;
  }

  std::shared_ptr<const InputFile> open(const StoredFile& file) override {
    return std::make_shared<RemoteFile>(file, std::make_unique<HdfsRanges>(file));
  }

  /// One attempt: NameNodes before Hadoop 3.3, and gateways, do not know the question, and nothing depends on
  /// the answer but speed.
  std::vector<StoredBlock> blocks(const std::string& path, Index begin, Index end) override {
    const Url url = parse_url(path);
    const std::string range = "&offset=" + std::to_string(begin) + "&length=" + std::to_string(end - begin);
    const HttpAnswer answer =
        http_attempt({.method = "GET",
                      .url = hdfs_operation(url, url.path, "GETFILEBLOCKLOCATIONS", range),
                      .headers = {},
                      .body = {},
                      .take = {}});
    if (!answer.good()) return {};
    try {
      return parse_hdfs_blocks(answer.body);
    } catch (const Error&) {
      return {};
    }
  }

  /// An empty file beside it, that goes again.
  void check_can_create(const std::string& path) override {
    const Url url = parse_url(path);
    const HttpAnswer there = hdfs_call("GET", hdfs_operation(url, url.path, "GETFILESTATUS"));
    if (there.good() && parsed(path, [&] { return parse_hdfs_status(there.body); }).directory)
      throw Error(ErrorCode::cannot_create, "cannot create " + path + ": Is a directory");
    const FileDescriptor nothing(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    const std::string temporary = hdfs_temporary_name(url.path);
    const HttpAnswer answer = hdfs_create(url, temporary, {nothing.get(), 0, 0});
    if (!answer.good())
      throw Error(
          answer.status >= 400 && answer.status < 500 ? ErrorCode::cannot_create : ErrorCode::unavailable,
          "cannot create " + path + ": " + hdfs_says(answer));
    hdfs_call("DELETE", hdfs_operation(url, temporary, "DELETE"));
  }

  void put(const std::string& path, const std::string& local) override { hdfs_put(path, local); }
  PiecesBegun begin_pieces(const std::string& path, Index bytes, int processes) override {
    return hdfs_begin_pieces(path, bytes, processes);
  }
  std::string put_piece(const std::string& path, const std::string& id, Index number,
                        const std::string& local, Index begin, Index end) override {
    return hdfs_put_piece(path, id, number, local, begin, end);
  }
  bool join_pieces(const std::string& path, const std::string& id,
                   const std::vector<std::string>& told) override {
    return hdfs_join_pieces(path, id, told);
  }
  void give_up_pieces(const std::string& path, const std::string& id, Index count) noexcept override {
    hdfs_give_up_pieces(path, id, count);
  }
  void remove(const std::string& path) override {
    const Url url = parse_url(path);
    const HttpAnswer answer =
        hdfs_call("DELETE", hdfs_operation(url, url.path, "DELETE", "&recursive=false"));
    if (answer.good() || answer.status == 404) return;
    throw Error(ErrorCode::io_failed, "removing " + path + " failed: " + hdfs_says(answer));
  }
  void remove_directory(const std::string& path) override { remove(path); }

 private:
  static StoredFile described(const std::string& path, const HdfsStatus& status) {
    return {.path = path,
            .directory = status.directory,
            .bytes = status.bytes,
            .version = std::to_string(status.modified_ms) + " " + std::to_string(status.bytes)};
  }
};

}  // namespace

std::unique_ptr<Store> make_hdfs_store() { return std::make_unique<HdfsStore>(); }

}  // namespace firesteel
