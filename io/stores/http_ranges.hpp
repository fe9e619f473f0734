// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "firesteel/io/stores/http.hpp"
#include "firesteel/io/stores/remote_file.hpp"

namespace firesteel {

/// Fetches ranges by HTTP: asks again for what is missing where a transfer ends early or the server is busy,
/// and notices by entity tag, date and length that the file is another one now.
class HttpRanges : public RangeReader {
 public:
  /// How a server gives a part of a file: by a Range header (206), by the URL (200), or not at all.
  enum class Way { header, url, whole };
  HttpRanges(std::string path, Index bytes, Way way, std::string entity_tag, std::string modified)
      : path_(std::move(path)),
        bytes_(bytes),
        way_(way),
        entity_tag_(std::move(entity_tag)),
        modified_(std::move(modified)) {}

  void read(Index begin, Index end, const Take& take, const std::atomic<bool>& cancelled) override;
  bool whole_only() const override { return way_ == Way::whole; }

 protected:
  /// The request for [begin, end), with all but the Range header.
  virtual HttpRequest request(Index begin, Index end) = 0;
  const std::string& entity_tag() const { return entity_tag_; }
  const std::string& modified() const { return modified_; }

 private:
  [[noreturn]] void changed(const std::string& how) const;
  void check(const HttpAnswer& answer, Index begin, Index end) const;

  std::string path_;
  Index bytes_;
  Way way_;
  std::string entity_tag_;
  std::string modified_;
};

/// "bytes 0-9/100"; −1 for what is '*' or is not there.
struct ContentRange {
  Index begin = -1;
  Index end = -1;  ///< past the last byte
  Index total = -1;
};
ContentRange parse_content_range(std::string_view text);

/// A length in decimal digits; −1 where it is none.
Index parse_length(std::string_view text);

}  // namespace firesteel
