// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/stores/url.hpp"

#include <algorithm>
#include <array>

#include "firesteel/core/error.hpp"
#include "firesteel/io/store.hpp"

namespace firesteel {

namespace {

constexpr std::size_t kMostBytes = 8192;

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string lowered(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), lower);
  return text;
}

/// Length of "scheme" in scheme://…, 0 where there is none.
std::size_t scheme_length(std::string_view text) {
  std::size_t i = 0;
  while (i < text.size() && (is_letter(text[i]) || (i > 0 && (is_digit(text[i]) || text[i] == '+'))) &&
         i < 16)
    ++i;
  return i >= 2 && text.substr(i).starts_with("://") ? i : 0;
}

[[noreturn]] void wrong(const std::string& text, const std::string& what) {
  std::string shown = without_secrets(text);
  for (char& c : shown)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  if (shown.size() > 200) shown = shown.substr(0, 200) + "...";
  throw bad_parameter("'" + shown + "': " + what);
}

int parse_port(const std::string& url, std::string_view digits) {
  int port = 0;
  for (const char c : digits) {
    if (!is_digit(c) || port > 65535) wrong(url, "expected a port in 1 ... 65535");
    port = 10 * port + (c - '0');
  }
  if (port < 1 || port > 65535) wrong(url, "expected a port in 1 ... 65535");
  return port;
}

/// "host", "host:port", "[v6]:port".
void parse_authority(const std::string& text, std::string_view authority, Url& url) {
  if (authority.find('@') != std::string_view::npos)
    wrong(
        text,
        "a user or password in a URL can be seen by everybody on this machine: leave it out, and put it into "
        "~/.netrc (http) or ~/.aws/credentials (s3)");
  const bool bracketed = authority.starts_with('[');
  const auto host_end = bracketed ? authority.find(']') : std::min(authority.find(':'), authority.size());
  if (host_end == std::string_view::npos) wrong(text, "expected ']' after the address");
  url.host = std::string(authority.substr(0, host_end + (bracketed ? 1 : 0)));
  std::string_view rest = authority.substr(url.host.size());
  if (rest.starts_with(':'))
    url.port = parse_port(text, rest.substr(1));
  else if (!rest.empty())
    wrong(text, "expected ':' and a port after the address");
  const std::string_view inner =
      bracketed ? authority.substr(1, host_end - 1) : authority.substr(0, host_end);
  if (inner.empty()) wrong(text, url.scheme == "s3" ? "expected s3://BUCKET/KEY" : "expected a host");
  for (const char c : inner)
    if (!is_letter(c) && !is_digit(c) && c != '-' && c != '.' && c != '_' && !(bracketed && c == ':'))
      wrong(text, url.scheme == "s3" ? "a bucket has letters, digits, '-', '.' and '_' only"
                                     : "a host has letters, digits, '-', '.' and '_' only");
  if (url.scheme == "s3" && (url.port != 0 || bracketed))
    wrong(text, "expected s3://BUCKET/KEY; where the server is, the variable AWS_ENDPOINT_URL says");
}

bool may_be_secret(std::string_view name) {
  static constexpr std::array kWords{"sig",    "token",  "key",  "cred", "pass",
                                     "secret", "policy", "auth", "code", "session"};
  const std::string small = lowered(std::string(name));
  return std::any_of(kWords.begin(), kWords.end(),
                     [&](const char* word) { return small.find(word) != std::string::npos; });
}

int hexadecimal(char c) {
  if (is_digit(c)) return c - '0';
  const char small = lower(c);
  return small >= 'a' && small <= 'f' ? small - 'a' + 10 : -1;
}

}  // namespace

bool is_url(const std::string& path) { return scheme_length(path) > 0; }

Url parse_url(const std::string& text) {
  const std::size_t length = scheme_length(text);
  if (length == 0) wrong(text, "expected a URL");
  if (text.size() > kMostBytes) wrong(text, "a URL of more than 8192 bytes");
  Url url;
  url.scheme = lowered(text.substr(0, length));
  const bool http = url.scheme == "http" || url.scheme == "https";
  if (url.scheme == "file") wrong(text, "a local file is given by its path alone: leave out 'file://'");
  if (url.scheme == "s3a" || url.scheme == "s3n") url.scheme = "s3";  // as Hadoop calls it
  if (!http && url.scheme != "s3" && url.scheme != "hdfs" && url.scheme != "webhdfs")
    wrong(text, "expected a URL of http, https, s3 or hdfs");
  std::string_view rest = std::string_view(text).substr(length + 3);
  const auto authority_end = std::min(rest.find_first_of(http ? "/?#" : "/"), rest.size());
  parse_authority(text, rest.substr(0, authority_end), url);
  rest.remove_prefix(authority_end);
  for (const char c : rest) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) wrong(text, "a URL has no control characters");
    if (http && (byte <= 0x20 || byte > 0x7e || c == '"' || c == '<' || c == '>'))
      wrong(text, "blanks and characters beyond ASCII are written as %20 and the like in an http URL");
  }
  if (http) {
    if (rest.find('#') != std::string_view::npos) wrong(text, "'#' is written as %23 in an http URL");
    if (const auto mark = rest.find('?'); mark != std::string_view::npos) {
      url.query = std::string(rest.substr(mark + 1));
      rest = rest.substr(0, mark);
    }
  }
  url.path = rest.empty() ? "/" : std::string(rest);
  return url;
}

std::string without_secrets(const std::string& url) {
  const std::size_t length = scheme_length(url);
  if (length == 0) return url;
  std::string text = url;
  const std::size_t begin = length + 3;
  const auto authority_end = std::min(text.find_first_of("/?#", begin), text.size());
  if (const auto at = text.rfind('@', authority_end);
      at != std::string::npos && at >= begin && at < authority_end)
    text.replace(begin, at - begin, "...");
  const std::string scheme = lowered(url.substr(0, length));
  const auto mark = text.find('?', begin);
  if ((scheme != "http" && scheme != "https") || mark == std::string::npos) return text;
  std::string shown = text.substr(0, mark + 1);
  std::string_view query = std::string_view(text).substr(mark + 1);
  while (!query.empty()) {
    const auto end = std::min(query.find_first_of("&;"), query.size());
    const std::string_view parameter = query.substr(0, end);
    const auto equals = parameter.find('=');
    if (equals != std::string_view::npos && may_be_secret(parameter.substr(0, equals)))
      shown += std::string(parameter.substr(0, equals + 1)) + "...";
    else
      shown += parameter;
    if (end < query.size()) shown += query[end];
    query.remove_prefix(std::min(end + 1, query.size()));
  }
  return shown;
}

std::string percent_encode(std::string_view text, bool keep_slashes) {
  static constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    if (is_letter(c) || is_digit(c) || c == '-' || c == '.' || c == '_' || c == '~' ||
        (keep_slashes && c == '/')) {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += {'%', kDigits[byte >> 4], kDigits[byte & 15]};
    }
  }
  return out;
}

std::string percent_decode(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const int high = text[i] == '%' && i + 2 < text.size() ? hexadecimal(text[i + 1]) : -1;
    const int low = high >= 0 ? hexadecimal(text[i + 2]) : -1;
    if (low < 0) {
      plain += text[i];
      continue;
    }
    plain += static_cast<char>(16 * high + low);
    i += 2;
  }
  return plain;
}

}  // namespace firesteel
