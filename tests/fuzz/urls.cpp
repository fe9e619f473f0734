// SPDX-License-Identifier: Apache-2.0
// URLs, and what stores answer: listings, statuses, headers, files of keys.
#include "firesteel/core/error.hpp"
#include "firesteel/io/stores/http_ranges.hpp"
#include "firesteel/io/stores/store_answers.hpp"
#include "firesteel/io/stores/url.hpp"
#include "support.hpp"

using namespace firesteel;

namespace {

/// A URL that is taken has parts that make it again, and is shown without a secret that it holds.
std::string take_url(const std::string& text) {
  const Url url = parse_url(text);
  std::string again =
      url.scheme + "://" + url.host + (url.port == 0 ? "" : ":" + std::to_string(url.port)) + url.path;
  if (!url.query.empty()) again += "?" + url.query;
  const Url second = parse_url(again);
  fuzz::require_equal("host", url.host, second.host);
  fuzz::require_equal("path", url.path, second.path);
  fuzz::require_equal("query", url.query, second.query);
  if (url.port != second.port) fuzz::broken("a port changes");
  if (url.host.empty() || url.path.empty() || url.path.front() != '/')
    fuzz::broken("a URL without host or path");
  fuzz::require_equal("shown twice", without_secrets(text), without_secrets(without_secrets(text)));
  const std::string secret = "fuzzedsecret";
  if (url.query.empty() &&
      text.find(secret) == std::string::npos) {  // libFuzzer learns what it is compared with
    const std::string with = again + (url.scheme.starts_with("http") ? "?token=" + secret : "");
    if (without_secrets(with).find(secret) != std::string::npos) fuzz::broken("a secret is shown: " + with);
  }
  return again;
}

void check_index(Index value) {
  if (value < -1) fuzz::broken("a negative number: " + std::to_string(value));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Choices choices(data, size);
  const std::uint8_t kind = choices.byte();
  const std::string text(choices.rest());
  switch (kind % 6) {
    case 0:
      fuzz::outcome([&] { return take_url(text); });
      return 0;
    case 1:
      fuzz::outcome([&] {
        const S3Listing listing = parse_s3_listing(text);
        for (const auto& object : listing.objects)
          if (object.bytes < 0 || object.key.empty()) fuzz::broken("an object without key or size");
        return listing.next;
      });
      parse_s3_error(text);
      xml_element(text, "UploadId");
      return 0;
    case 2:
      fuzz::outcome([&] {
        for (const auto& status : parse_hdfs_list(text))
          check_index(std::min(status.bytes, status.modified_ms));
        return std::string();
      });
      fuzz::outcome([&] {
        for (const auto& block : parse_hdfs_blocks(text)) {
          if (block.begin < 0 || block.end < block.begin) fuzz::broken("a block that ends before it begins");
          for (const auto& host : block.hosts)
            if (host.empty()) fuzz::broken("a host without a name");
        }
        return std::string();
      });
      return 0;
    case 3:
      fuzz::outcome([&] {
        const HdfsStatus status = parse_hdfs_status(text);
        check_index(status.bytes);
        return status.name;
      });
      fuzz::outcome([&] { return std::string(parse_hdfs_boolean(text) ? "yes" : "no"); });
      if (parse_hdfs_error(text).find('\n') != std::string::npos) fuzz::broken("a message of two lines");
      return 0;
    case 4: {
      const ContentRange range = parse_content_range(text);
      check_index(range.begin);
      check_index(range.total);
      if (range.begin >= 0 && (range.end <= range.begin || (range.total >= 0 && range.end > range.total)))
        fuzz::broken("an impossible range");
      check_index(parse_length(text));
      fuzz::require_equal("percent", text, percent_decode(percent_encode(text)));
      return 0;
    }
    default:
      for (const auto& pair : parse_ini_section(text, {"default", "profile x"}))
        if (pair.first.find('\n') != std::string::npos) fuzz::broken("a key of two lines");
      return 0;
  }
}
