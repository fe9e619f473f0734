// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/stores/s3_access.hpp"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <system_error>

#include "firesteel/core/error.hpp"
#include "firesteel/core/regular_file.hpp"
#include "firesteel/io/stores/store_answers.hpp"
#include "firesteel/io/stores/url.hpp"

namespace firesteel {

namespace {

std::string variable(const char* name) {
  const char* text = std::getenv(name);
  return text == nullptr ? std::string() : text;
}

std::string first_of(std::initializer_list<std::string> texts) {
  for (const auto& text : texts)
    if (!text.empty()) return text;
  return {};
}

/// Empty where there is no such file, and of /dev/null, by which one is told to be none. Throws 66 where it
/// is no file, or longer than any of its kind.
std::string contents(const std::string& path) {
  if (path == "/dev/null" || ::access(path.c_str(), F_OK) != 0) return {};
  constexpr Index kMostBytes = Index{1} << 20;
  const RegularFile file = open_regular_file(path);
  std::string problem = file.problem;
  if (problem.empty() && file.bytes > kMostBytes) problem = "longer than 1 MiB, expected a file of keys";
  std::string text(problem.empty() ? static_cast<std::size_t>(file.bytes) : 0, '\0');
  const ssize_t done = problem.empty() ? ::pread(file.descriptor.get(), text.data(), text.size(), 0) : 0;
  if (done < 0) problem = std::generic_category().message(errno);
  if (!problem.empty())
    throw Error(ErrorCode::no_input, "s3: cannot read '" + path +
                                         "': " + problem.substr(0, problem.find(':')) +
                                         "; AWS_SHARED_CREDENTIALS_FILE and AWS_CONFIG_FILE name others");
  text.resize(static_cast<std::size_t>(done));
  return text;
}

std::string value_of(const std::vector<std::pair<std::string, std::string>>& section,
                     const std::string& name) {
  for (const auto& [key, value] : section)
    if (key == name) return value;
  return {};
}

using Digest = std::array<unsigned char, 32>;

std::string hex(const Digest& digest) {
  static constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const unsigned char byte : digest) text += {kDigits[byte >> 4], kDigits[byte & 15]};
  return text;
}

std::string hmac(std::string_view key, std::string_view text) {
  Digest digest{};
  unsigned length = 0;
  if (::HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
             reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data(),
             &length) == nullptr)
    throw internal_error("HMAC failed");
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

}  // namespace

std::string sha256_hex(std::string_view bytes) {
  Digest digest{};
  if (::EVP_Digest(bytes.data(), bytes.size(), digest.data(), nullptr, EVP_sha256(), nullptr) != 1)
    throw internal_error("SHA-256 failed");
  return hex(digest);
}

S3Access s3_access() {
  const std::string home = variable("HOME");
  const std::string profile = first_of({variable("AWS_PROFILE"), "default"});
  const auto config =
      parse_ini_section(contents(first_of({variable("AWS_CONFIG_FILE"), home + "/.aws/config"})),
                        {profile == "default" ? "default" : "profile " + profile});
  S3Access access;
  access.key_id = variable("AWS_ACCESS_KEY_ID");
  access.secret = variable("AWS_SECRET_ACCESS_KEY");
  access.session_token = variable("AWS_SESSION_TOKEN");
  if (access.key_id.empty() != access.secret.empty())
    throw bad_parameter(
        "s3: of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY only one is set: set both or neither");
  if (access.key_id.empty()) {
    auto kept = parse_ini_section(
        contents(first_of({variable("AWS_SHARED_CREDENTIALS_FILE"), home + "/.aws/credentials"})), {profile});
    if (value_of(kept, "aws_access_key_id").empty()) kept = config;
    access.key_id = value_of(kept, "aws_access_key_id");
    access.secret = value_of(kept, "aws_secret_access_key");
    access.session_token = value_of(kept, "aws_session_token");
    if (access.key_id.empty() != access.secret.empty())
      throw bad_parameter("s3: profile '" + profile +
                          "' has only one of aws_access_key_id and aws_secret_access_key");
    if (access.key_id.empty() && !variable("AWS_PROFILE").empty())
      throw bad_parameter("s3: AWS_PROFILE names '" + profile + "', of which ~/.aws has no keys");
  }
  access.region = first_of(
      {variable("AWS_REGION"), variable("AWS_DEFAULT_REGION"), value_of(config, "region"), access.region});
  access.endpoint = first_of(
      {variable("AWS_ENDPOINT_URL_S3"), variable("AWS_ENDPOINT_URL"), value_of(config, "endpoint_url")});
  if (!access.endpoint.empty()) {
    const Url url = parse_url(access.endpoint);
    if ((url.scheme != "http" && url.scheme != "https") || url.path != "/" || !url.query.empty())
      throw bad_parameter("AWS_ENDPOINT_URL: expected http://HOST:PORT or https://HOST:PORT, got '" +
                          without_secrets(access.endpoint) + "'");
    access.endpoint = url.scheme + "://" + url.host + (url.port == 0 ? "" : ":" + std::to_string(url.port));
  }
  return access;
}

std::string s3_query(const std::map<std::string, std::string>& query) {
  std::string text;
  for (const auto& [name, value] : query)
    text += (text.empty() ? "" : "&") + percent_encode(name) + "=" + percent_encode(value);
  return text;
}

std::vector<std::string> s3_signed_headers(const S3Call& call, const S3Access& access,
                                           const std::string& time) {
  auto headers = call.headers;
  if (access.signs()) {
    headers["host"] = call.host;
    headers["x-amz-content-sha256"] = call.payload_hash;
    headers["x-amz-date"] = time;
    if (!access.session_token.empty()) headers["x-amz-security-token"] = access.session_token;
  }
  std::string canonical;
  std::string names;
  std::vector<std::string> sent;
  for (const auto& [name, value] : headers) {
    canonical += name + ":" + value + "\n";
    names += (names.empty() ? "" : ";") + name;
    sent.push_back(name + ": " + value);
  }
  if (!access.signs()) return sent;
  const std::string request = call.method + "\n" + call.path + "\n" + s3_query(call.query) + "\n" +
                              canonical + "\n" + names + "\n" + call.payload_hash;
  const std::string day = time.substr(0, 8);
  const std::string scope = day + "/" + access.region + "/s3/aws4_request";
  const std::string to_sign = "AWS4-HMAC-SHA256\n" + time + "\n" + scope + "\n" + sha256_hex(request);
  const std::string key =
      hmac(hmac(hmac(hmac("AWS4" + access.secret, day), access.region), "s3"), "aws4_request");
  const std::string signature = hmac(key, to_sign);
  Digest digest{};
  std::copy(signature.begin(), signature.end(), digest.begin());
  sent.push_back("Authorization: AWS4-HMAC-SHA256 Credential=" + access.key_id + "/" + scope +
                 ",SignedHeaders=" + names + ",Signature=" + hex(digest));
  return sent;
}

}  // namespace firesteel
