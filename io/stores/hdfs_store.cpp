// SPDX-License-Identifier: Apache-2.0
// hdfs://host:port/path by WebHDFS.
#include <fcntl.h>
#include <pwd.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <utility>

#include "firesteel/core/atomic_file.hpp"
#include "firesteel/core/file_lock.hpp"
#include "firesteel/io/stores/http_ranges.hpp"
#include "firesteel/io/stores/remote_stores.hpp"
#include "firesteel/io/stores/store_answers.hpp"
#include "firesteel/io/stores/url.hpp"

namespace firesteel {

namespace {

constexpr int kDefaultPort = 9870;

std::string user_name() {
  for (const auto* name : {"HADOOP_USER_NAME", "USER"})
    if (const char* value = std::getenv(name); value != nullptr && *value != '\0') return value;
  const passwd* const entry = ::getpwuid(::geteuid());
  return entry == nullptr ? "firesteel" : entry->pw_name;
}

/// Where the NameNode answers HTTP. The port of an hdfs:// URL is that of WebHDFS, unless it is one that
/// NameNodes listen on for Hadoop's own protocol.
std::string address_of(const Url& url) {
  if (const char* named = std::getenv("FIRESTEEL_WEBHDFS"); named != nullptr && *named != '\0') {
    const Url gateway = parse_url(named);
    if ((gateway.scheme != "http" && gateway.scheme != "https") || gateway.path != "/" ||
        !gateway.query.empty())
      throw bad_parameter("FIRESTEEL_WEBHDFS: expected http://HOST:PORT or https://HOST:PORT, got '" +
                          without_secrets(named) + "'");
    return gateway.scheme + "://" + gateway.host +
           (gateway.port == 0 ? "" : ":" + std::to_string(gateway.port));
  }
  const bool other = url.scheme == "hdfs" && (url.port == 8020 || url.port == 9000 || url.port == 9820);
  return "http://" + url.host + ":" + std::to_string(url.port == 0 || other ? kDefaultPort : url.port);
}

std::string operation(const Url& url, const std::string& path, const std::string& name,
                      const std::string& arguments = {}) {
  static const std::string user = percent_encode(user_name());
  return address_of(url) + "/webhdfs/v1" + percent_encode(path, true) + "?op=" + name + "&user.name=" + user +
         arguments;
}

HttpAnswer call(const std::string& method, const std::string& url) {
  return http_request({.method = method, .url = url, .headers = {}, .body = {}, .take = {}});
}

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
    return {.url = operation(url_, url_.path, "OPEN",
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
    const HttpAnswer answer = call("GET", operation(url, url.path, "GETFILESTATUS"));
    if (answer.status == 404) return std::nullopt;
    if (!answer.good()) throw hdfs_error(path, answer);
    return described(path, parsed(path, [&] { return parse_hdfs_status(answer.body); }));
  }

  std::vector<StoredFile> list(const std::string& directory) override {
    const Url url = parse_url(directory);
    const HttpAnswer answer = call("GET", operation(url, url.path, "LISTSTATUS"));
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
    const HttpAnswer answer = http_attempt({.method = "GET",
                                            .url = operation(url, url.path, "GETFILEBLOCKLOCATIONS", range),
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
    const HttpAnswer there = call("GET", operation(url, url.path, "GETFILESTATUS"));
    if (there.good() && parsed(path, [&] { return parse_hdfs_status(there.body); }).directory)
      throw Error(ErrorCode::cannot_create, "cannot create " + path + ": Is a directory");
    const FileDescriptor nothing(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    const std::string temporary = temporary_name(url.path);
    const HttpAnswer answer = create(url, temporary, {nothing.get(), 0, 0});
    if (!answer.good()) {
      const std::string said = parse_hdfs_error(answer.body);
      throw Error(
          answer.status >= 400 && answer.status < 500 ? ErrorCode::cannot_create : ErrorCode::unavailable,
          "cannot create " + path + ": " + answer.says() + (said.empty() ? "" : ", " + said));
    }
    call("DELETE", operation(url, temporary, "DELETE"));
  }

  void put(const std::string& path, const std::string& local) override {
    const Url url = parse_url(path);
    const FileDescriptor file(::open(local.c_str(), O_RDONLY | O_CLOEXEC));
    const Index bytes = ::lseek(file.get(), 0, SEEK_END);
    if (!file.open() || bytes < 0) throw Error(ErrorCode::io_failed, local + ": cannot be uploaded");
    const std::string temporary = temporary_name(url.path);
    HttpAnswer answer = create(url, temporary, {file.get(), 0, bytes});
    bool done = answer.good();
    if (done) {
      answer =
          call("PUT", operation(url, temporary, "RENAME",
                                "&renameoptions=OVERWRITE&destination=" + percent_encode(url.path, true)));
      done = answer.good();
    }
    if (done) return;
    call("DELETE", operation(url, temporary, "DELETE"));
    const std::string said = parse_hdfs_error(answer.body);
    throw Error(ErrorCode::io_failed, "writing " + path + " failed: " + answer.says() +
                                          (said.empty() ? "" : ", " + said) +
                                          "; an older file stays as it was");
  }

  void remove(const std::string& path) override {
    const Url url = parse_url(path);
    const HttpAnswer answer = call("DELETE", operation(url, url.path, "DELETE", "&recursive=false"));
    if (answer.good() || answer.status == 404) return;
    const std::string said = parse_hdfs_error(answer.body);
    throw Error(ErrorCode::io_failed,
                "removing " + path + " failed: " + answer.says() + (said.empty() ? "" : ", " + said));
  }
  void remove_directory(const std::string& path) override { remove(path); }

 private:
  static StoredFile described(const std::string& path, const HdfsStatus& status) {
    return {.path = path,
            .directory = status.directory,
            .bytes = status.bytes,
            .version = std::to_string(status.modified_ms) + " " + std::to_string(status.bytes)};
  }

  static std::string temporary_name(const std::string& path) {
    static std::atomic<unsigned> counter{0};
    return path.substr(0, path.rfind('/') + 1) + "_firesteel-" + host_name() + "-" +
           std::to_string(::getpid()) + "-" + std::to_string(counter++) + ".tmp";
  }

  /// Asks the NameNode where to write, then writes there; from the start again where that fails.
  static HttpAnswer create(const Url& url, const std::string& path, const HttpUpload& upload) {
    Retries retries(path);
    for (;;) {
      HttpAnswer answer = http_attempt({.method = "PUT",
                                        .url = operation(url, path, "CREATE", "&overwrite=true"),
                                        .headers = {},
                                        .body = {},
                                        .redirects = false,
                                        .take = {}});
      const std::string place = answer.header("location");
      if (answer.failure.empty() && answer.status == 307 && !place.empty())
        answer = http_attempt({.method = "PUT",
                               .url = place,
                               .headers = {"Content-Type: application/octet-stream"},
                               .body = {},
                               .upload = upload,
                               .take = {}});
      if (answer.good() || !answer.may_try_again || !retries.again(answer)) {
        answer.attempts = retries.told();
        return answer;
      }
    }
  }
};

}  // namespace

std::unique_ptr<Store> make_hdfs_store() { return std::make_unique<HdfsStore>(); }

}  // namespace firesteel
