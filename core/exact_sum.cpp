// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/exact_sum.hpp"

#include <cmath>
#include <limits>

namespace firesteel {

namespace {
__extension__ using Wide = unsigned __int128;
constexpr int kDigitBits = 32;
constexpr std::int64_t kDigitMask = (std::int64_t{1} << kDigitBits) - 1;
constexpr std::int32_t kMostUncarried = 1 << 28;  // each adds less than 2^32 to a digit of 63 bits
}  // namespace

void ExactSum::add_scaled(std::int64_t mantissa, int exponent) {
  int shift = exponent - kLowest;
  if (shift < 0) {  // below the lowest digit: only of squares
    mantissa = shift <= -63 ? 0 : mantissa / (std::int64_t{1} << -shift);
    shift = 0;
  }
  const auto digit = static_cast<std::size_t>(shift / kDigitBits);
  const int bits = shift % kDigitBits;
  const bool negative = mantissa < 0;
  const auto size = static_cast<std::uint64_t>(negative ? -mantissa : mantissa);
  // 53 bits, moved by up to 31: three digits.
  const std::uint64_t low = size << bits;
  const std::uint64_t high = bits == 0 ? 0 : size >> (64 - bits);
  const std::int64_t parts[3] = {static_cast<std::int64_t>(low & static_cast<std::uint64_t>(kDigitMask)),
                                 static_cast<std::int64_t>(low >> kDigitBits),
                                 static_cast<std::int64_t>(high)};
  for (std::size_t i = 0; i < 3; ++i) digits_[digit + i] += negative ? -parts[i] : parts[i];
  if (++uncarried_ >= kMostUncarried) carry();
}

void ExactSum::add(double value) {
  if (!std::isfinite(value)) {
    ++digits_[kDigits + (std::isnan(value) ? 0 : value > 0 ? 1 : 2)];
    return;
  }
  if (value == 0) return;
  int exponent = 0;
  const double mantissa = std::frexp(value, &exponent);
  add_scaled(static_cast<std::int64_t>(std::ldexp(mantissa, 53)), exponent - 53);
}

void ExactSum::add_square(double value) {
  if (!std::isfinite(value)) {
    ++digits_[kDigits + (std::isnan(value) ? 0 : 1)];
    return;
  }
  if (value == 0) return;
  int exponent = 0;
  const double mantissa = std::frexp(value, &exponent);  // its square does not over- or underflow
  const double high = mantissa * mantissa;
  const double low = std::fma(mantissa, mantissa, -high);
  for (const double part : {high, low}) {
    if (part == 0) continue;
    int own = 0;
    const double fraction = std::frexp(part, &own);
    add_scaled(static_cast<std::int64_t>(std::ldexp(fraction, 53)), own - 53 + 2 * exponent);
  }
}

void ExactSum::add(const ExactSum& other) {
  ExactSum carried = other;
  carried.carry();
  carry();
  for (std::size_t i = 0; i < digits_.size(); ++i) digits_[i] += carried.digits_[i];
  uncarried_ = 1;
}

void ExactSum::carry() {
  for (std::size_t i = 0; i + 1 < kDigits; ++i) {
    const std::int64_t over = digits_[i] >> kDigitBits;  // rounds down: digits end up in [0, 2^32)
    digits_[i] -= over * (kDigitMask + 1);
    digits_[i + 1] += over;
  }
  uncarried_ = 0;
}

std::span<std::int64_t> ExactSum::digits() {
  carry();
  uncarried_ = kMostUncarried - 1;  // others may be added: carry before anything else
  return digits_;
}

ExactSum::Rounded ExactSum::rounded() const {
  const auto infinite = std::numeric_limits<double>::infinity();
  const auto nan = std::numeric_limits<double>::quiet_NaN();
  const std::int64_t nans = digits_[kDigits];
  const std::int64_t plus = digits_[kDigits + 1];
  const std::int64_t minus = digits_[kDigits + 2];
  if (nans > 0 || (plus > 0 && minus > 0)) return {nan, 0};
  if (plus > 0 || minus > 0) return {plus > 0 ? infinite : -infinite, 0};
  const auto round = [](ExactSum sum) {
    sum.carry();
    const bool negative = sum.digits_[kDigits - 1] < 0;
    if (negative) {
      for (std::size_t i = 0; i < kDigits; ++i) sum.digits_[i] = -sum.digits_[i];
      sum.carry();
    }
    std::size_t top = kDigits;
    while (top > 0 && sum.digits_[top - 1] == 0) --top;
    if (top == 0) return 0.0;
    // The leading 64 bits, of which the last is set where anything lies below: then one rounding is right.
    Wide lead = 0;
    const std::size_t first = top >= 4 ? top - 4 : 0;
    int dropped = 0;
    for (std::size_t i = top; i-- > first;)
      lead = lead << kDigitBits | static_cast<std::uint64_t>(sum.digits_[i]);
    bool sticky = false;
    for (std::size_t i = 0; i < first; ++i) sticky = sticky || sum.digits_[i] != 0;
    while ((lead >> 62) != 0) {
      sticky = sticky || (lead & 1) != 0;
      lead >>= 1;
      ++dropped;
    }
    const auto bits = static_cast<std::int64_t>(lead) | (sticky ? 1 : 0);
    const double size =
        std::ldexp(static_cast<double>(bits), kLowest + static_cast<int>(first) * kDigitBits + dropped);
    return negative ? -size : size;
  };
  Rounded result;
  result.high = round(*this);
  if (!std::isfinite(result.high)) return result;
  ExactSum rest = *this;
  rest.carry();
  rest.add(-result.high);
  result.low = round(rest);
  return result;
}

}  // namespace firesteel
