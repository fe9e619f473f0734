// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/stores/s3_client.hpp"

#include <array>
#include <ctime>

#include "firesteel/io/stores/store_answers.hpp"
#include "firesteel/io/stores/url.hpp"

namespace firesteel {

namespace {

std::string time_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y%m%dT%H%M%SZ", &parts);
  return text.data();
}

}  // namespace

S3Place s3_place(const std::string& path) {
  const Url url = parse_url(path);
  return {url.host, url.path.substr(1)};
}

S3Client::S3Client() : access_(s3_access()) {}

std::string S3Client::region_of(const std::string& bucket) {
  const std::lock_guard lock(mutex_);
  const auto known = regions_.find(bucket);
  return known == regions_.end() ? access_.region : known->second;
}

bool S3Client::learn_region(const std::string& bucket, const HttpAnswer& answer) {
  const std::string region = answer.header("x-amz-bucket-region");
  if (answer.good() || region.empty() || region.size() > 64 || region == region_of(bucket)) return false;
  const std::lock_guard lock(mutex_);
  regions_[bucket] = region;
  return true;
}

HttpRequest S3Client::request(const std::string& method, const S3Place& place, const Pairs& query,
                              const Pairs& headers, std::string body) {
  S3Access access = access_;
  access.region = region_of(place.bucket);
  S3Call call{.method = method,
              .host = {},
              .path = "/" + percent_encode(place.key, true),
              .query = query,
              .headers = headers,
              .payload_hash = sha256_hex(body)};
  std::string base;
  if (!access.endpoint.empty() || place.bucket.find('.') != std::string::npos) {
    base = access.endpoint.empty() ? "https://s3." + access.region + ".amazonaws.com" : access.endpoint;
    call.path = "/" + percent_encode(place.bucket) + (place.key.empty() ? "" : call.path);
  } else {
    base = "https://" + place.bucket + ".s3." + access.region + ".amazonaws.com";
  }
  call.host = base.substr(base.find("://") + 3);
  HttpRequest made{.method = method,
                   .url = base + call.path + (query.empty() ? "" : "?" + s3_query(query)),
                   .headers = s3_signed_headers(call, access, time_now()),
                   .body = std::move(body),
                   .redirects = false,
                   .take = {}};
  return made;
}

HttpAnswer S3Client::call(const std::string& method, const S3Place& place, const Pairs& query,
                          std::string body) {
  Retries retries(place.bucket + place.key + s3_query(query));
  for (;;) {
    HttpRequest wanted = request(method, place, query, {}, body);
    wanted.slow_answer = method == "POST";
    HttpAnswer answer = http_attempt(wanted);
    if (answer.good()) return answer;
    if (learn_region(place.bucket, answer)) continue;
    if (!answer.may_try_again || !retries.again(answer)) {
      answer.attempts = retries.told();
      return answer;
    }
  }
}

S3Client& s3_client() {
  static S3Client client;
  return client;
}

Error s3_error(const std::string& path, const HttpAnswer& answer, bool midway) {
  std::string said = parse_s3_error(answer.body);
  return http_error(path, answer, midway, said.empty() ? "" : ", " + said);
}

}  // namespace firesteel
