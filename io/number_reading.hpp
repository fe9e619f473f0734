// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>

namespace firesteel {

/// Bytes that must be readable past the end of a text buffer, so that digits can be loaded eight at a time.
inline constexpr std::size_t kTextPadding = 64;

namespace detail {

/// The same as read_number for any decimal, by fast_float.
const char* read_any_number(const char* text, const char* limit, double& value);

/// Sets value = ±mantissa / 10^digits, rounded to nearest, for a mantissa above 2^53; digits ≤ 27. Returns
/// `end`, so that read_number can end with a call of it and keeps nothing over the call.
const char* finish_long_number(const char* end, std::uint64_t mantissa, int digits, bool negative,
                               double& value);

inline constexpr std::array<double, 23> kPowersOfTen = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                                        1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                                        1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
inline constexpr std::array<std::uint64_t, 9> kIntegerPowers = {1,      10,      100,      1000,     10000,
                                                                100000, 1000000, 10000000, 100000000};

/// Appends the run of digits at `text` (up to 8) to `mantissa`; returns its length. Loads 8 bytes, finds the
/// first that is no digit, shifts the digits to the end and folds them pairwise.
inline int append_digits(const char* text, std::uint64_t& mantissa) {
  static_assert(std::endian::native == std::endian::little);
  std::uint64_t bytes;
  std::memcpy(&bytes, text, sizeof bytes);
  bytes ^= 0x3030303030303030;
  const std::uint64_t others = ((bytes + 0x7676767676767676) | bytes) & 0x8080808080808080;
  if (others & 0x80) return 0;
  const int count = others == 0 ? 8 : std::countr_zero(others) / 8;
  bytes <<= 64 - 8 * count;
  bytes = bytes * 10 + (bytes >> 8);
  const std::uint64_t digits = ((bytes & 0x000000FF000000FF) * 0x000F424000000064 +
                                ((bytes >> 16) & 0x000000FF000000FF) * 0x0000271000000001) >>
                               32;
  mantissa = mantissa * kIntegerPowers[static_cast<std::size_t>(count)] + digits;
  return count;
}

inline int append_all_digits(const char* text, std::uint64_t& mantissa) {
  int total = append_digits(text, mantissa);
  for (int count = total; count == 8 && total <= 24;) total += count = append_digits(text + total, mantissa);
  return total;
}

}  // namespace detail

/// Reads the decimal number that starts at `text`: strtod's value to the bit, without hexadecimals and the
/// locale; also inf and nan in any case. Returns the byte past it, nullptr where no number starts. `limit` is
/// the end of the text; *limit must be readable and no part of a number ('\n'), and kTextPadding bytes after
/// it readable. Up to 19 digits fit a whole number; where that is at most 2^53 and the power of ten at most
/// 22, one division is exact (Clinger 1990, doi:10.1145/93548.93557).
inline const char* read_number(const char* text, const char* limit, double& value) {
  const char* p = text;
  const bool negative = *p == '-';
  p += static_cast<int>(negative) | static_cast<int>(*p == '+');  // signs are not predictable: no branch
  // The whole part is short, and its length is guessed right more often than not: a loop lets the reading of
  // the next field begin before this one is done.
  std::uint64_t mantissa = 0;
  const char* const whole = p;
  while (static_cast<unsigned char>(*p - '0') < 10)
    mantissa = mantissa * 10 + static_cast<unsigned char>(*p++ - '0');
  int digits = static_cast<int>(p - whole);
  int exponent = 0;
  if (*p == '.') {
    const int fraction = detail::append_all_digits(p + 1, mantissa);
    p += 1 + fraction;
    digits += fraction;
    exponent = -fraction;
  }
  const bool plain = digits > 0 && digits <= 19 && (*p | 0x20) != 'e';
  if (!plain || p > limit) return detail::read_any_number(text, limit, value);
  if (mantissa > std::uint64_t{1} << 53)
    return detail::finish_long_number(p, mantissa, -exponent, negative, value);
  const double magnitude =
      static_cast<double>(mantissa) / detail::kPowersOfTen[static_cast<std::size_t>(-exponent)];
  value = std::bit_cast<double>(std::bit_cast<std::uint64_t>(magnitude) | static_cast<std::uint64_t>(negative)
                                                                              << 63);
  return p;
}

}  // namespace firesteel
