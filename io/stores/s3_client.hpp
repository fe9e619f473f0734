// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "firesteel/io/store.hpp"
#include "firesteel/io/stores/http.hpp"
#include "firesteel/io/stores/s3_access.hpp"

namespace firesteel {

/// An object, or a bucket where the key is empty.
struct S3Place {
  std::string bucket;
  std::string key;
};
S3Place s3_place(const std::string& path);

/// Signs and sends requests. Local; any thread.
class S3Client {
 public:
  S3Client();

  using Pairs = std::map<std::string, std::string>;
  /// A signed request, good for a quarter of an hour. `body` of PUT and POST.
  HttpRequest request(const std::string& method, const S3Place& place, const Pairs& query,
                      const Pairs& headers, std::string body = {});
  /// Sends it, signed anew for every attempt. The last answer.
  HttpAnswer call(const std::string& method, const S3Place& place, const Pairs& query, std::string body = {});

 private:
  std::string region_of(const std::string& bucket);
  /// True where the answer says that the bucket is elsewhere, as is known from then on.
  bool learn_region(const std::string& bucket, const HttpAnswer& answer);

  S3Access access_;
  std::mutex mutex_;
  std::map<std::string, std::string> regions_;
};

/// Of this process; made when the first s3:// URL is met. Throws 64.
S3Client& s3_client();

/// http_error() with what S3 said.
Error s3_error(const std::string& path, const HttpAnswer& answer, bool midway);

/// Makes an object of a local file's bytes: by one request, or in parts of 8 MiB or more, so that it appears
/// whole or not at all. Throws 73, 74.
void s3_upload(const std::string& path, const std::string& local);
/// The steps of an upload in parts, numbered from 0, by one process or several. Throw 74; the first 73, 69.
std::string s3_begin_upload(const std::string& path);
std::string s3_upload_part(const std::string& path, const std::string& id, Index number,
                           const InputFile& file, Index begin, Index end);
void s3_complete(const std::string& path, const std::string& id, const std::vector<std::string>& tags);
void s3_give_up(const std::string& path, const std::string& id) noexcept;
/// As Store::begin_pieces(): parts of 8 MiB or more, where the object has more than 16 MiB.
PiecesBegun s3_begin_pieces(const std::string& path, Index bytes, int processes);
/// Begins an upload and gives it up, which shows whether there may be one. Throws 73, 69.
void s3_try_upload(const std::string& path);

}  // namespace firesteel
