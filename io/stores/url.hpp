// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace firesteel {

/// The parts of a URL, as they were written.
struct Url {
  std::string scheme;  ///< in small letters
  std::string host;    ///< of s3 the bucket
  int port = 0;        ///< 0: none was given
  std::string path;    ///< with its leading slash; of http percent-encoded, of others plain
  std::string query;   ///< http alone
};

/// Takes a URL apart. Throws 64, without what may be a password in the message: unknown scheme, no host, a
/// user or password, an impossible port, characters that cannot be.
Url parse_url(const std::string& text);

/// The URL with the values of query parameters that may be secrets (signatures, tokens, keys) left out, and
/// without user and password.
std::string without_secrets(const std::string& url);

/// Percent-encodes all but letters, digits and -._~, and but slashes where they are kept.
std::string percent_encode(std::string_view text, bool keep_slashes = false);
/// Undoes it; what is no escape stays.
std::string percent_decode(std::string_view text);

}  // namespace firesteel
