// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/libsvm_scan.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

namespace firesteel {

namespace {

constexpr Index kBeyondAnyIndex = Index{1} << 40;  // the second sweep refuses it, with its place

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// The index that ends before `end`, not looking before `begin`; −1 where there is none. As many digits as a
/// lead may hold are none: a piece that begins among them does not see whether they belong to a qid.
Index number_before(const char* begin, const char* end) {
  Index value = 0;
  Index unit = 1;
  const char* p = end;
  for (; p > begin && is_digit(p[-1]); --p) {
    if (unit < kBeyondAnyIndex) value += (p[-1] - '0') * unit;
    if (unit < kBeyondAnyIndex) unit *= 10;
  }
  if (p == end || end - p >= kLibsvmLeadBytes) return -1;
  const bool word_begins = p == begin || p[-1] == ' ' || p[-1] == '\t' || p[-1] == '\r' || p[-1] == '\n';
  return word_begins ? value : -1;
}

const char* find(const char* begin, const char* end, char wanted) {
  const void* hit = std::memchr(begin, wanted, static_cast<std::size_t>(end - begin));
  return hit == nullptr ? end : static_cast<const char*>(hit);
}

/// How often `wanted` stands in the text: 64 counts of a byte each, so that registers of bytes are compared
/// and added.
Index count_byte(const char* begin, const char* end, char wanted) {
  constexpr std::ptrdiff_t kLanes = 64;
  Index total = 0;
  while (end - begin >= kLanes) {
    std::array<std::uint8_t, kLanes> counts{};
    for (int step = 0; step < 255 && end - begin >= kLanes; ++step, begin += kLanes)
      for (std::size_t i = 0; i < counts.size(); ++i)
        counts[i] = static_cast<std::uint8_t>(counts[i] + static_cast<std::uint8_t>(begin[i] == wanted));
    for (const std::uint8_t count : counts) total += count;
  }
  return total + std::count(begin, end, wanted);
}

}  // namespace

LibsvmCount count_libsvm(std::span<const char> text, std::size_t lead) {
  const char* const begin = text.data() + lead;
  const char* const end = text.data() + text.size();
  const bool has_comments = find(begin, end, '#') < end;
  LibsvmCount count;
  count.entries = count_byte(begin, end, ':');
  for (const char* line = begin; line < end;) {
    const char* line_end = find(line, end, '\n');
    const char* content_end = has_comments ? find(line, line_end, '#') : line_end;
    // The last colon may be that of a qid, or of a fault, which the second sweep finds: then the one before.
    Index index = -1;
    for (const char* p = content_end; p > line && index < 0; --p)
      if (p[-1] == ':') index = number_before(text.data(), p - 1);
    Index& largest = line == begin ? count.first_line_index : count.largest_index;
    largest = std::max(largest, index);
    line = line_end + 1;
  }
  return count;
}

}  // namespace firesteel
