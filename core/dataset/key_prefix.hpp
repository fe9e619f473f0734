// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "firesteel/core/dataset/keys.hpp"

namespace firesteel::detail {

/// The start of a key as a number: where a is before b by Ascending, the number of a is at most that of b. So
/// that most comparisons of a sort are of numbers, or are none at all.
template <class K>
struct KeyPrefix {
  static constexpr bool kKnown = false;
  static constexpr bool kWhole = false;  ///< equal numbers mean equal keys
};

template <std::integral K>
struct KeyPrefix<K> {
  static constexpr bool kKnown = true;
  static constexpr bool kWhole = true;
  static std::uint64_t of(K key) {
    if constexpr (std::is_signed_v<K>)
      return static_cast<std::uint64_t>(static_cast<std::int64_t>(key)) ^ (std::uint64_t{1} << 63);
    else
      return static_cast<std::uint64_t>(key);
  }
};

template <class K>
requires(std::same_as<K, float> || std::same_as<K, double>) struct KeyPrefix<K> {
  static constexpr bool kKnown = true;
  static constexpr bool kWhole = true;
  static std::uint64_t of(K key) {
    if (std::isnan(key)) return ~std::uint64_t{0};
    const auto bits = std::bit_cast<std::uint64_t>(static_cast<double>(key) + 0.0);  // −0 is 0
    return (bits >> 63) != 0 ? ~bits : bits | (std::uint64_t{1} << 63);
  }
};

/// Up to eight characters; what is missing is 0, before all others.
inline std::uint64_t text_prefix(const void* text, std::size_t length) {
  std::array<unsigned char, 8> start{};
  std::memcpy(start.data(), text, std::min(length, start.size()));
  return __builtin_bswap64(std::bit_cast<std::uint64_t>(start));
}

template <class K>
requires(std::same_as<K, std::string> || std::same_as<K, std::string_view>) struct KeyPrefix<K> {
  static constexpr bool kKnown = true;
  static constexpr bool kWhole = false;
  static std::uint64_t of(std::string_view key) { return text_prefix(key.data(), key.size()); }
};

template <std::size_t N>
requires(N > 0) struct KeyPrefix<std::array<unsigned char, N>> {
  static constexpr bool kKnown = true;
  static constexpr bool kWhole = N <= 8;
  static std::uint64_t of(const std::array<unsigned char, N>& key) { return text_prefix(key.data(), N); }
};

/// A pair's is its first's. Not of floating point, where pairs compare NaN in a way of their own.
template <class A, class B>
requires(KeyPrefix<A>::kKnown && !std::floating_point<A>) struct KeyPrefix<std::pair<A, B>> {
  static constexpr bool kKnown = true;
  static constexpr bool kWhole = false;
  static std::uint64_t of(const std::pair<A, B>& key) { return KeyPrefix<A>::of(key.first); }
};

/// The prefix by an order of keys.
template <class K, class Less>
struct OrderPrefix : KeyPrefix<void> {};
template <class K>
struct OrderPrefix<K, Ascending> : KeyPrefix<K> {};
template <class K>
requires(KeyPrefix<K>::kKnown) struct OrderPrefix<K, Descending> : KeyPrefix<K> {
  static std::uint64_t of(const K& key) { return ~KeyPrefix<K>::of(key); }
};

}  // namespace firesteel::detail
