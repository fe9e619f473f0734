// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace firesteel {

/// How S3 is reached: from the environment, else from ~/.aws/credentials and ~/.aws/config. Never printed.
struct S3Access {
  std::string key_id;  ///< empty: requests are not signed, for public buckets
  std::string secret;
  std::string session_token;
  std::string region = "us-east-1";
  std::string endpoint;  ///< "http://host:port"; empty: Amazon's

  bool signs() const { return !key_id.empty(); }
};

/// AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, or the profile AWS_PROFILE (default) of
/// AWS_SHARED_CREDENTIALS_FILE and AWS_CONFIG_FILE; AWS_REGION or AWS_DEFAULT_REGION; AWS_ENDPOINT_URL_S3 or
/// AWS_ENDPOINT_URL. Throws 64 where half of it is there, or the endpoint is no URL.
S3Access s3_access();

/// A request of S3 before it is signed. Names of headers in small letters; values of the query plain.
struct S3Call {
  std::string method = "GET";
  std::string host;  ///< with its port where that is not the scheme's
  std::string path;  ///< percent-encoded
  std::map<std::string, std::string> query;
  std::map<std::string, std::string> headers;
  std::string payload_hash;  ///< hex, or UNSIGNED-PAYLOAD
};

/// The query, encoded and sorted.
std::string s3_query(const std::map<std::string, std::string>& query);

/// The headers to send, "Name: value", with the Authorization of Signature Version 4
/// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html) at `time`,
/// as 20130524T000000Z.
std::vector<std::string> s3_signed_headers(const S3Call& call, const S3Access& access,
                                           const std::string& time);

/// SHA-256 in hexadecimal.
std::string sha256_hex(std::string_view bytes);

}  // namespace firesteel
