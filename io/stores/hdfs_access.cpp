// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/stores/hdfs_access.hpp"

#include <pwd.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>

#include "firesteel/core/error.hpp"
#include "firesteel/core/file_lock.hpp"

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

}  // namespace

std::string hdfs_operation(const Url& url, const std::string& path, const std::string& name,
                           const std::string& arguments) {
  static const std::string user = percent_encode(user_name());
  return address_of(url) + "/webhdfs/v1" + percent_encode(path, true) + "?op=" + name + "&user.name=" + user +
         arguments;
}

HttpAnswer hdfs_call(const std::string& method, const std::string& url) {
  return http_request({.method = method, .url = url, .headers = {}, .body = {}, .take = {}});
}

HttpAnswer hdfs_create(const Url& url, const std::string& path, const HttpUpload& upload) {
  Retries retries(path);
  for (;;) {
    HttpAnswer answer = http_attempt({.method = "PUT",
                                      .url = hdfs_operation(url, path, "CREATE", "&overwrite=true"),
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

HttpAnswer hdfs_rename(const Url& url, const std::string& from, const std::string& to) {
  const auto before = hdfs_status(url, from);
  HttpAnswer answer =
      hdfs_call("PUT", hdfs_operation(url, from, "RENAME",
                                      "&renameoptions=OVERWRITE&destination=" + percent_encode(to, true)));
  if (answer.status != 404 || !before || before->id == 0) return answer;
  // A lost answer to an attempt that went through looks like a file that is not there.
  if (const auto now = hdfs_status(url, to); now && now->id == before->id) answer.status = 200;
  return answer;
}

std::optional<HdfsStatus> hdfs_status(const Url& url, const std::string& path) {
  const HttpAnswer answer = hdfs_call("GET", hdfs_operation(url, path, "GETFILESTATUS"));
  if (!answer.good()) return std::nullopt;
  try {
    return parse_hdfs_status(answer.body);
  } catch (const Error&) {
    return std::nullopt;
  }
}

std::string hdfs_temporary_name(const std::string& path) {
  static std::atomic<unsigned> counter{0};
  return path.substr(0, path.rfind('/') + 1) + "_firesteel-" + host_name() + "-" +
         std::to_string(::getpid()) + "-" + std::to_string(counter++) + ".tmp";
}

std::string hdfs_says(const HttpAnswer& answer) {
  const std::string said = parse_hdfs_error(answer.body);
  return answer.says() + (said.empty() ? "" : ", " + said);
}

}  // namespace firesteel
