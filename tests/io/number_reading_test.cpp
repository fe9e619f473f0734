// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/number_reading.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
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

TEST(NumberReading, equals_strtod_on_random_texts) {
  std::mt19937_64 random(7);
  for (int i = 0; i < 100000; ++i) {
    const std::size_t longest = i % 100 == 0 ? 800 : i % 3 == 0 ? 25 : 9;
    std::string text = random() % 3 == 0 ? "-" : random() % 5 == 0 ? "+" : "";
    const std::size_t whole = random() % longest;
    text += digits(random, whole);
    if (random() % 2 == 0 || whole == 0)
      text += "." + digits(random, random() % longest + (whole == 0 ? 1 : 0));
    if (random() % 4 == 0)
      text += std::string(random() % 2 == 0 ? "e" : "E") +
              (random() % 2 == 0   ? "-"
               : random() % 2 == 0 ? "+"
                                   : "") +
              std::to_string(random() % (random() % 2 == 0 ? 30 : 345));
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
  for (int i = 0; i < 100000; ++i) {
    const std::uint64_t bits = random();
    double number;
    std::memcpy(&number, &bits, sizeof number);
    if (!std::isfinite(number)) continue;
    char text[40];
    std::snprintf(text, sizeof text, "%.17g", number);
    const std::string buffer = text + std::string(1 + kTextPadding, '\n');
    double value = 0;
    ASSERT_NE(read_number(buffer.data(), buffer.data() + std::strlen(text), value), nullptr);
    ASSERT_EQ(value, number) << text;
  }
}

}  // namespace
}  // namespace firesteel
