// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <functional>
#include <ranges>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "firesteel/core/dataset/text_index.hpp"
#include "firesteel/core/index.hpp"

namespace firesteel {

/// Ascending order of keys: `<`, with NaN behind every number and equal to itself, so that data with NaN have
/// an order at all. The default of every operation that sorts.
struct Ascending {
  template <class K>
  bool operator()(const K& a, const K& b) const {
    if constexpr (std::floating_point<K>)
      return a < b || (std::isnan(b) && !std::isnan(a));
    else
      return a < b;
  }
};

/// The reverse: NaN first.
struct Descending {
  template <class K>
  bool operator()(const K& a, const K& b) const {
    return Ascending()(b, a);
  }
};

/// A hash of a key, equal where Ascending finds keys equal. It decides speed, never a result. Specialise it
/// for your own key type, or give that a std::hash. Numbers, texts, pairs, tuples and vectors of such are
/// given here.
template <class K>
struct KeyHash;

namespace detail {

inline std::uint64_t mix(std::uint64_t bits) {
  bits = (bits ^ (bits >> 32)) * 0xd6e8feb86659fd93;
  bits = (bits ^ (bits >> 32)) * 0xd6e8feb86659fd93;
  return bits ^ (bits >> 32);
}

template <class K>
std::uint64_t key_hash(const K& key) {
  return KeyHash<K>()(key);
}

template <class K>
bool same_key(const K& a, const K& b) {
  return !Ascending()(a, b) && !Ascending()(b, a);
}

}  // namespace detail

template <class K>
struct KeyHash {
  std::uint64_t operator()(const K& key) const {
    if constexpr (std::floating_point<K>) {
      if (std::isnan(key)) return 1;
      return detail::mix(std::bit_cast<std::uint64_t>(static_cast<double>(key) + 0.0));  // −0 is 0
    } else if constexpr (std::integral<K> || std::is_enum_v<K>) {
      return detail::mix(static_cast<std::uint64_t>(key));
    } else if constexpr (std::ranges::range<K> && !requires { std::hash<K>()(key); }) {
      std::uint64_t hash = 0;
      for (const auto& element : key) hash = detail::mix(hash + 1) ^ detail::key_hash(element);
      return hash;
    } else {
      return std::hash<K>()(key);
    }
  }
};
template <class A, class B>
struct KeyHash<std::pair<A, B>> {
  std::uint64_t operator()(const std::pair<A, B>& key) const {
    return detail::mix(detail::key_hash(key.first)) ^ detail::key_hash(key.second);
  }
};
template <class... Ts>
struct KeyHash<std::tuple<Ts...>> {
  std::uint64_t operator()(const std::tuple<Ts...>& key) const {
    std::uint64_t hash = 0;
    std::apply([&](const auto&... parts) { ((hash = detail::mix(hash + 1) ^ detail::key_hash(parts)), ...); },
               key);
    return hash;
  }
};

namespace detail {

/// Numbers keys in the order in which they first come. Local. Open addressing, at most half full.
template <class K>
class KeyIndex {
 public:
  /// The number of `key`, a new one where it was not seen before.
  Index number(const K& key) {
    if (keys_.size() * 2 >= slots_.size()) grow();
    const std::uint64_t hash = mix(key_hash(key));
    std::size_t slot = hash & (slots_.size() - 1);
    for (; slots_[slot] >= 0; slot = (slot + 1) & (slots_.size() - 1)) {
      const auto found = static_cast<std::size_t>(slots_[slot]);
      if (hashes_[found] == hash && same_key(keys_[found], key)) return slots_[slot];
    }
    keys_.push_back(key);
    hashes_.push_back(hash);
    return slots_[slot] = static_cast<Index>(keys_.size()) - 1;
  }
  Index size() const { return static_cast<Index>(keys_.size()); }
  const K& key(Index number) const { return keys_[static_cast<std::size_t>(number)]; }
  /// What it holds, about, without what keys hold outside of themselves. Local.
  Index bytes() const {
    return static_cast<Index>(keys_.capacity() * sizeof(K) + hashes_.capacity() * sizeof(std::uint64_t) +
                              slots_.capacity() * sizeof(Index));
  }

 private:
  void grow() {
    constexpr std::size_t kFirstSlots = 64;
    std::vector<Index> wider(std::max(kFirstSlots, slots_.size() * 2), -1);
    for (std::size_t i = 0; i < keys_.size(); ++i) {
      std::size_t slot = hashes_[i] & (wider.size() - 1);
      while (wider[slot] >= 0) slot = (slot + 1) & (wider.size() - 1);
      wider[slot] = static_cast<Index>(i);
    }
    slots_ = std::move(wider);
  }

  std::vector<K> keys_;
  std::vector<std::uint64_t> hashes_;
  std::vector<Index> slots_;
};

/// Texts, as std::string_view.
template <>
class KeyIndex<std::string> {
 public:
  Index number(std::string_view key) { return texts_.number(key); }
  Index size() const { return texts_.size(); }
  std::string key(Index number) const { return texts_.key(number); }
  Index bytes() const { return texts_.bytes(); }
  TextIndex& texts() { return texts_; }

 private:
  TextIndex texts_;
};

/// A view of characters as the text that it shows, within pairs too; other types as they are: what a wide
/// operation keeps of an element that is gone with its row.
template <class T>
struct OwnedType {
  using type = T;
};
template <>
struct OwnedType<std::string_view> {
  using type = std::string;
};
template <class A, class B>
struct OwnedType<std::pair<A, B>> {
  using type = std::pair<typename OwnedType<A>::type, typename OwnedType<B>::type>;
};
template <class T>
using Owned = typename OwnedType<std::remove_cvref_t<T>>::type;

}  // namespace detail

}  // namespace firesteel
