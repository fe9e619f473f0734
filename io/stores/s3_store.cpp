// SPDX-License-Identifier: Apache-2.0
// s3://bucket/key
#include <utility>

#include "firesteel/io/stores/http_ranges.hpp"
#include "firesteel/io/stores/local_store.hpp"
#include "firesteel/io/stores/remote_stores.hpp"
#include "firesteel/io/stores/s3_client.hpp"
#include "firesteel/io/stores/store_answers.hpp"

namespace firesteel {

namespace {

class S3Ranges final : public HttpRanges {
 public:
  explicit S3Ranges(const StoredFile& file)
      : HttpRanges(file.path, file.bytes, Way::header, file.version, {}), place_(s3_place(file.path)) {}

 protected:
  HttpRequest request(Index, Index) override {
    S3Client::Pairs headers;
    if (!entity_tag().empty()) headers["if-match"] = entity_tag();
    return s3_client().request("GET", place_, {}, headers);
  }

 private:
  S3Place place_;
};

class S3Store final : public Store {
 public:
  std::optional<StoredFile> look_at(const std::string& path) override {
    const S3Place place = s3_place(path);
    if (!place.key.empty() && place.key.back() != '/') {
      const HttpAnswer answer = s3_client().call("HEAD", place, {});
      if (answer.good()) {
        const Index bytes = parse_length(answer.header("content-length"));
        if (bytes < 0)
          throw Error(ErrorCode::no_input,
                      "cannot read '" + path + "': the store does not say how long it is");
        return StoredFile{.path = path, .bytes = bytes, .version = answer.header("etag")};
      }
      if (answer.status != 404) throw s3_error(path, answer, false);
    }
    const S3Listing page = list_page(path, folder(place), {}, 1);
    if (page.objects.empty() && page.prefixes.empty()) return std::nullopt;
    return StoredFile{.path = path, .directory = true, .version = {}};
  }

  std::vector<StoredFile> list(const std::string& directory) override {
    const S3Place place = folder(s3_place(directory));
    const std::string base = "s3://" + place.bucket + "/";
    std::vector<StoredFile> found;
    for (std::string token;;) {
      const S3Listing page = list_page(directory, place, token, 1000);
      for (const auto& object : page.objects)
        if (object.key != place.key)
          found.push_back({.path = base + object.key, .bytes = object.bytes, .version = object.entity_tag});
      for (const auto& prefix : page.prefixes)
        found.push_back(
            {.path = base + prefix.substr(0, prefix.size() - 1), .directory = true, .version = {}});
      if (page.next.empty()) return found;
      token = page.next;
    }
  }

  std::shared_ptr<const InputFile> open(const StoredFile& file) override {
    return std::make_shared<RemoteFile>(file, std::make_unique<S3Ranges>(file));
  }

  void check_can_create(const std::string& path) override { s3_try_upload(path); }
  void put(const std::string& path, const std::string& local) override { s3_upload(path, local); }
  PiecesBegun begin_pieces(const std::string& path, Index bytes, int processes) override {
    return s3_begin_pieces(path, bytes, processes);
  }
  std::string put_piece(const std::string& path, const std::string& id, Index number,
                        const std::string& local, Index begin, Index end) override {
    return s3_upload_part(path, id, number, *open_local(local), begin, end);
  }
  bool join_pieces(const std::string& path, const std::string& id,
                   const std::vector<std::string>& told) override {
    s3_complete(path, id, told);
    return true;
  }
  void give_up_pieces(const std::string& path, const std::string& id, Index) noexcept override {
    s3_give_up(path, id);
  }
  void remove(const std::string& path) override {
    const HttpAnswer answer = s3_client().call("DELETE", s3_place(path), {});
    if (answer.good() || answer.status == 404) return;
    const std::string said = parse_s3_error(answer.body);
    throw Error(ErrorCode::io_failed,
                "removing " + path + " failed: " + answer.says() + (said.empty() ? "" : ", " + said));
  }

 private:
  /// The place whose key ends with a slash, or is empty.
  static S3Place folder(S3Place place) {
    if (!place.key.empty() && place.key.back() != '/') place.key += '/';
    return place;
  }

  static S3Listing list_page(const std::string& path, const S3Place& folder, const std::string& token,
                             int most) {
    S3Client::Pairs query{
        {"list-type", "2"}, {"delimiter", "/"}, {"max-keys", std::to_string(most)}, {"encoding-type", "url"}};
    if (!folder.key.empty()) query["prefix"] = folder.key;
    if (!token.empty()) query["continuation-token"] = token;
    const HttpAnswer answer = s3_client().call("GET", {folder.bucket, {}}, query);
    if (!answer.good()) throw s3_error(path, answer, false);
    try {
      return parse_s3_listing(answer.body);
    } catch (const Error& error) {
      throw Error(error.code(), path + ": " + error.what());
    }
  }
};

}  // namespace

std::unique_ptr<Store> make_s3_store() { return std::make_unique<S3Store>(); }

}  // namespace firesteel
