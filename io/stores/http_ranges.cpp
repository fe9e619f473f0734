// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/stores/http_ranges.hpp"

namespace firesteel {

Index parse_length(std::string_view text) {
  if (text.empty() || text.size() > 18) return -1;
  Index value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return -1;
    value = 10 * value + (c - '0');
  }
  return value;
}

ContentRange parse_content_range(std::string_view text) {
  ContentRange range;
  if (!text.starts_with("bytes ")) return range;
  text.remove_prefix(6);
  const auto slash = text.find('/');
  if (slash == std::string_view::npos) return range;
  range.total = parse_length(text.substr(slash + 1));
  text = text.substr(0, slash);
  const auto dash = text.find('-');
  if (dash == std::string_view::npos) return range;
  const Index first = parse_length(text.substr(0, dash));
  const Index last = parse_length(text.substr(dash + 1));
  if (first < 0 || last < first || (range.total >= 0 && last >= range.total)) return range;
  range.begin = first;
  range.end = last + 1;
  return range;
}

void HttpRanges::changed(const std::string& how) const {
  throw Error(ErrorCode::io_failed, path_ + " changed while it was read: " + how);
}

void HttpRanges::check(const HttpAnswer& answer, Index begin, Index end) const {
  const std::string tag = answer.header("etag");
  if (!entity_tag_.empty() && !tag.empty() && tag != entity_tag_)
    changed("its entity tag was " + entity_tag_ + " and is " + tag);
  const std::string date = answer.header("last-modified");
  if (entity_tag_.empty() && !modified_.empty() && !date.empty() && date != modified_)
    changed("it was of " + modified_ + " and is of " + date);
  const Index length = parse_length(answer.header("content-length"));
  if (way_ == Way::header) {
    if (answer.status != 206) changed("the server sends another version, or parts of it no more");
    const ContentRange range = parse_content_range(answer.header("content-range"));
    if (range.total >= 0 && range.total != bytes_)
      changed("it had " + std::to_string(bytes_) + " bytes and has " + std::to_string(range.total));
    if (range.begin != begin || range.end > end)
      throw Error(ErrorCode::io_failed, path_ + ": the server sends other bytes than were asked for: '" +
                                            answer.header("content-range") + "' for " +
                                            std::to_string(begin) + "-" + std::to_string(end - 1));
  } else if (way_ == Way::whole && length >= 0 && length != bytes_) {
    changed("it had " + std::to_string(bytes_) + " bytes and has " + std::to_string(length));
  } else if (way_ == Way::url && length >= 0 && length != end - begin) {
    changed("of its bytes " + std::to_string(begin) + " to " + std::to_string(end) + " there are " +
            std::to_string(length));
  }
}

void HttpRanges::read(Index begin, Index end, const Take& take, const std::atomic<bool>& cancelled) {
  Retries retries(path_ + std::to_string(begin));
  Index at = begin;
  while (at < end) {
    const Index from = way_ == Way::whole ? 0 : at;
    Index place = from;
    HttpRequest wanted = request(from, end);
    if (way_ == Way::header)
      wanted.headers.push_back("Range: bytes=" + std::to_string(from) + "-" + std::to_string(end - 1));
    wanted.cancelled = &cancelled;
    wanted.take = [&](const HttpAnswer& answer, std::span<const char> bytes) {
      if (place == from) check(answer, from, end);
      if (static_cast<Index>(bytes.size()) > end - place)
        changed("it is longer than the " + std::to_string(bytes_) + " bytes that it had");
      // Where only the whole can be had, a further attempt brings again what is there.
      const auto known = std::min<Index>(static_cast<Index>(bytes.size()), std::max<Index>(0, at - place));
      place += static_cast<Index>(bytes.size());
      bytes = bytes.subspan(static_cast<std::size_t>(known));
      if (bytes.empty()) return;
      take(at, bytes);
      at += static_cast<Index>(bytes.size());
      retries.progress(static_cast<Index>(bytes.size()));
    };
    HttpAnswer answer = http_attempt(wanted);
    if (at == end) return;
    if (answer.good() && place > from && way_ == Way::header)
      continue;  // a server may send less than was asked for
    if (answer.status == 412 || answer.status == 416)
      changed("the server has another version of it (" + std::to_string(answer.status) + ")");
    if (answer.status == 404 || answer.status == 410)
      throw Error(ErrorCode::io_failed, path_ + " went away while it was read: " + answer.says());
    if (answer.good()) {
      answer.failure = "the answer ends at byte " + std::to_string(at) + ", expected " + std::to_string(end);
      answer.may_try_again = true;
    }
    if (!answer.may_try_again || !retries.again(answer, &cancelled)) {
      answer.attempts = retries.told();
      throw http_error(path_, answer, true);
    }
  }
}

}  // namespace firesteel
