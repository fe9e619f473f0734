// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/number_reading.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>

namespace firesteel {
namespace {

/// Reads `text` as it would stand in a file; checks value and end against strtod.
void expect_as_strtod(const std::string& text) {
  const std::string buffer = text + std::string(1 + kTextPadding, '\n');
  double value = 0;
  const char* end = read_number(buffer.data(), buffer.data() + text.size(), value);
  char* expected_end = nullptr;
  const double expected = std::strtod(buffer.c_str(), &expected_end);
  ASSERT_NE(end, nullptr) << text;
  EXPECT_EQ(end, expected_end) << text;
  EXPECT_EQ(std::signbit(value), std::signbit(expected)) << text;
  EXPECT_EQ(value, expected) << text;
}

std::string digits(std::mt19937_64& random, std::size_t count) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i) text += static_cast<char>('0' + random() % 10);
  return text;
}

std::string sign(std::mt19937_64& random) { return random() % 3 == 0 ? "-" : random() % 5 == 0 ? "+" : ""; }

/// Digits, a point or none, an exponent or none.
std::string random_decimal(std::mt19937_64& random, std::size_t longest) {
  const std::size_t whole = random() % longest;
  std::string text = sign(random) + (random() % 8 == 0 ? "00" : "") + digits(random, whole);
  if (random() % 2 == 0 || whole == 0)
    text += "." + digits(random, random() % longest + (whole == 0 ? 1 : 0));
  if (random() % 4 == 0)
    text += std::string(random() % 2 == 0 ? "e" : "E") +
            (random() % 2 == 0   ? "-"
             : random() % 2 == 0 ? "+"
                                 : "") +
            std::to_string(random() % (random() % 2 == 0 ? 30 : 345));
  return text;
}

/// A finite double of random bits, subnormal ones often; exponents near 0 where `moderate`.
double random_double(std::mt19937_64& random, bool moderate) {
  for (;;) {
    std::uint64_t bits = random();
    if (moderate) bits = (bits & ~(0x7ffULL << 52)) | ((0x3ff - 40 + random() % 80) << 52);
    if (!moderate && random() % 8 == 0) bits &= ~(0x7ffULL << 52);
    double number;
    std::memcpy(&number, &bits, sizeof number);
    if (std::isfinite(number)) return number;
  }
}

std::string printed(const char* format, int precision, double number) {
  std::array<char, 400> text{};
  std::snprintf(text.data(), text.size(), format, precision, number);
  return text.data();
}

TEST(NumberReading, equals_strtod_on_random_texts) {
  std::mt19937_64 random(7);
  for (int i = 0; i < 400000 && !HasFailure(); ++i)
    expect_as_strtod(random_decimal(random, i % 1000 == 0 ? 800 : i % 3 == 0 ? 25 : 9));
}

TEST(NumberReading, equals_strtod_on_printed_doubles) {
  std::mt19937_64 random(8);
  for (int i = 0; i < 400000 && !HasFailure(); ++i) {
    const double number = random_double(random, i % 4 != 0);
    const int precision = static_cast<int>(random() % 20);
    // Decimals of a large number would be 300 digits, which others look at.
    const bool fixed = i % 2 == 0 && std::abs(number) < 1e16;
    expect_as_strtod(printed(fixed ? "%.*f" : "%.*g", precision, number));
  }
}

/// The number midway between two doubles, in full (to the even one), a little more (to the upper one) and a
/// little less (to the lower one).
TEST(NumberReading, equals_strtod_at_halfway_numbers) {
  std::mt19937_64 random(9);
  for (int i = 0; i < 100000 && !HasFailure(); ++i) {
    const std::uint64_t even_or_odd = (std::uint64_t{1} << 52) + random() % (std::uint64_t{1} << 52);
    // (2m + 1) / 2^shift with 2m + 1 of 54 bits, halfway between m and m + 1; a long double holds it exactly.
    const int shift = static_cast<int>(random() % 12);
    const long double half = std::ldexp(static_cast<long double>(2 * even_or_odd + 1), -shift);
    std::array<char, 64> buffer{};
    std::snprintf(buffer.data(), buffer.size(), "%.*Lf", shift, half);
    std::string text = buffer.data();
    expect_as_strtod(text);
    expect_as_strtod((text.find('.') == std::string::npos ? text + "." : text) + "0000000000000000000001");
    text.back() = static_cast<char>(text.back() - 1);  // an odd number or a fraction ends in an odd digit
    expect_as_strtod(text);
  }
}

TEST(NumberReading, equals_strtod_where_rounding_is_hard) {
  for (const auto* text : {"0",
                           "-0",
                           "-0.0",
                           "1",
                           "9007199254740993",
                           "9007199254740992.5",
                           "9007199254740992.50000000000000000000000001",
                           "2.2250738585072011e-308",
                           "4.9406564584124654e-324",
                           "2.4703282292062327e-324",
                           "2.4703282292062328e-324",
                           "1.7976931348623157e308",
                           "1.7976931348623159e308",
                           "1e23",
                           "8.5e22",
                           "0.1",
                           "0.30000000000000004",
                           "179769313486231580793728971405303415079934132710037826936173778980444968292764750"
                           "946649017977587207096330286416"
                           "692887910946555547851940402630657488671505820681908902000708383676273854845817711"
                           "531764475730270069855571366959"
                           "622842914819860834936475292719074168444365510704342711559699508093042880",
                           "0.000000000000000000000000000000000000000000001",
                           "1234567890123456789",
                           "12345678901234567890",
                           "99999999999999999999",
                           "18446744073709551616",
                           "1.",
                           "1.e5",
                           "1e5",
                           "1e",
                           "1e+",
                           "1.5x",
                           ".5",
                           "-.5",
                           "+.5",
                           "+1.5",
                           "00012.500",
                           "0000000000000000000000001",
                           "0.00000000000000000000",
                           "-0.000000000000000000001",
                           "9007199254740992",
                           "9007199254740993.0",
                           "90071992547409.93",
                           "900719925474.0993",
                           "0.9007199254740993",
                           "1844674407370955161.5",
                           "1.844674407370955161",
                           "9.999999999999999999",
                           "99999999.99999999999",
                           "123456789012345678.9",
                           "1.5e",
                           "1.5e-",
                           "1.5E+7",
                           "1e400",
                           "-1e400",
                           "1e-400",
                           "-1e-400",
                           "5e-324",
                           "2.2250738585072014e-308",
                           "1.2.3",
                           "123456789.12345678"})
    expect_as_strtod(text);
}

TEST(NumberReading, refuses_what_is_no_number) {
  for (const std::string text : {"", "-", "+", ".", "abc", "e5", "+-1", "-.e1", "--1"}) {
    const std::string buffer = text + std::string(1 + kTextPadding, '\n');
    double value = 0;
    EXPECT_EQ(read_number(buffer.data(), buffer.data() + text.size(), value), nullptr) << text;
  }
}

TEST(NumberReading, seventeen_digits_read_back) {
  std::mt19937_64 random(11);
  for (int i = 0; i < 100000 && !HasFailure(); ++i) {
    const double number = random_double(random, i % 2 == 0);
    const std::string text = printed("%.*g", 17, number);
    const std::string buffer = text + std::string(1 + kTextPadding, '\n');
    double value = 0;
    ASSERT_NE(read_number(buffer.data(), buffer.data() + text.size(), value), nullptr);
    ASSERT_EQ(value, number) << text;
  }
}

}  // namespace
}  // namespace firesteel
