// SPDX-License-Identifier: Apache-2.0
// http:// and https://: files that are read by ranges.
#include <utility>

#include "firesteel/io/stores/http_ranges.hpp"
#include "firesteel/io/stores/remote_stores.hpp"

namespace firesteel {

namespace {

/// What a web server says of a file, as a version: how it gives parts, entity tag, date.
struct HttpVersion {
  bool whole = false;
  std::string entity_tag;
  std::string modified;

  std::string text() const { return (whole ? "whole\n" : "parts\n") + entity_tag + "\n" + modified; }
  static HttpVersion parse(const std::string& text) {
    const auto first = text.find('\n');
    const auto second = text.find('\n', first + 1);
    return {text.starts_with("whole"), text.substr(first + 1, second - first - 1), text.substr(second + 1)};
  }
};

class HttpFileRanges final : public HttpRanges {
 public:
  HttpFileRanges(const StoredFile& file, const HttpVersion& version)
      : HttpRanges(file.path, file.bytes, version.whole ? Way::whole : Way::header, version.entity_tag,
                   version.modified),
        url_(full_url(file.path)) {}

 protected:
  HttpRequest request(Index, Index) override {
    HttpRequest wanted{.url = url_, .headers = {}, .body = {}, .take = {}};
    // The server sends the whole of another version, which is noticed. Weak tags do not serve for that.
    if (whole_only()) return wanted;
    if (!entity_tag().empty() && !entity_tag().starts_with("W/"))
      wanted.headers.push_back("If-Range: " + entity_tag());
    else if (!modified().empty())
      wanted.headers.push_back("If-Range: " + modified());
    return wanted;
  }

 private:
  std::string url_;
};

/// Ends a transfer whose headers say enough.
struct Enough {};

class HttpStore final : public Store {
 public:
  std::optional<StoredFile> look_at(const std::string& path) override {
    HttpAnswer answer;
    HttpRequest wanted{.url = full_url(path), .headers = {"Range: bytes=0-0"}, .body = {}, .take = {}};
    wanted.take = [&](const HttpAnswer& so_far, std::span<const char>) {
      answer = so_far;
      if (so_far.status != 206) throw Enough{};
    };
    try {
      answer = http_request(wanted);
    } catch (const Enough&) {
    }
    if (answer.status == 404 || answer.status == 410) return std::nullopt;
    const ContentRange range = parse_content_range(answer.header("content-range"));
    StoredFile found{.path = path, .bytes = 0, .version = {}};
    HttpVersion version{.whole = answer.status != 206,
                        .entity_tag = answer.header("etag"),
                        .modified = answer.header("last-modified")};
    if (answer.status == 416 && range.total == 0) {
      found.bytes = 0;
    } else if (!answer.good()) {
      throw http_error(path, answer, false);
    } else {
      found.bytes = version.whole ? parse_length(answer.header("content-length")) : range.total;
      if (found.bytes < 0)
        throw Error(ErrorCode::no_input,
                    "cannot read '" + path +
                        "': the server does not say how long it is, so that ranks cannot share it: "
                        "copy it into a file first");
    }
    found.version = version.text();
    return found;
  }

  std::vector<StoredFile> list(const std::string& directory) override {
    throw Error(ErrorCode::no_input, "cannot read '" + directory + "': a web server does not list its files");
  }
  bool lists() const override { return false; }

  std::shared_ptr<const InputFile> open(const StoredFile& file) override {
    return std::make_shared<RemoteFile>(
        file, std::make_unique<HttpFileRanges>(file, HttpVersion::parse(file.version)));
  }

  void check_can_create(const std::string& path) override { refuse(path); }
  void put(const std::string& path, const std::string&) override { refuse(path); }
  void remove(const std::string& path) override { refuse(path); }

 private:
  [[noreturn]] static void refuse(const std::string& path) {
    throw Error(
        ErrorCode::cannot_create,
        "cannot create " + path + ": web servers are only read; write a file, or to s3:// or hdfs://");
  }
};

}  // namespace

std::unique_ptr<Store> make_http_store() { return std::make_unique<HttpStore>(); }

}  // namespace firesteel
