// SPDX-License-Identifier: Apache-2.0
// The places of sorted elements, and elements moved there within their memory, against plain loops.
#include "firesteel/core/dataset/sorted_order.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <functional>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

#include "firesteel/core/dataset/keys.hpp"
#include "firesteel/core/dataset/permute.hpp"
#include "firesteel/core/philox.hpp"

namespace firesteel::detail {
namespace {

constexpr Index kCount = 100'000;  // several ranges of prefixes

std::uint64_t draw(Index i) { return philox_bits(3, 1, static_cast<std::uint64_t>(i)); }

template <class Keys, class Less = Ascending>
void expect_stable_order(const Keys& keys, const Less& less = {}) {
  std::vector<Index> expected(keys.size());
  std::iota(expected.begin(), expected.end(), 0);
  std::stable_sort(expected.begin(), expected.end(),
                   [&](Index a, Index b) { return less(keys[at(a)], keys[at(b)]); });
  for (const int threads : {1, 2, 4}) {
    const auto order = sorted_order(
        threads, static_cast<Index>(keys.size()),
        [&](Index place) -> decltype(auto) { return keys[at(place)]; }, less);
    std::vector<Index> found;
    for (const SortEntry& entry : order) found.push_back(entry.place);
    EXPECT_EQ(found, expected) << threads << " threads";
  }
}

template <class F>
auto keys_by(Index count, const F& f) {
  std::vector<decltype(f(Index{0}))> keys;
  for (Index i = 0; i < count; ++i) keys.push_back(f(i));
  return keys;
}

TEST(SortedOrder, is_stable_however_keys_are_spread) {
  for (const Index count : {Index{0}, Index{1}, Index{2}, Index{5000}, kCount}) {
    expect_stable_order(keys_by(count, [](Index i) { return draw(i); }));
    expect_stable_order(keys_by(count, [](Index i) { return i; }));                          // sorted
    expect_stable_order(keys_by(count, [](Index i) { return -i / 3; }));                     // backwards
    expect_stable_order(keys_by(count, [](Index) { return std::uint64_t{7}; }));             // all alike
    expect_stable_order(keys_by(count, [](Index i) { return draw(i) % 2 == 0 ? 5 : -5; }));  // two kinds
    expect_stable_order(
        keys_by(count, [](Index i) { return i % 1000 == 0 ? draw(i) : 0; }));  // one most often
    expect_stable_order(keys_by(count, [](Index i) { return draw(i) >> (draw(-i) % 64); }));  // of any size
    expect_stable_order(keys_by(count, [](Index i) { return draw(i) % 100; }), Descending());
    expect_stable_order(keys_by(count, [](Index i) { return draw(i) % 100; }),
                        std::greater<>());  // no prefix
  }
}

TEST(SortedOrder, of_texts_whose_starts_are_alike_is_that_of_the_whole) {
  expect_stable_order(
      keys_by(kCount, [](Index i) { return "the same start " + std::to_string(draw(i) % 500); }));
  expect_stable_order(keys_by(kCount, [](Index i) { return std::to_string(draw(i) % 5000); }));
}

/// 40 bytes with its number at both ends.
struct Element {
  Index number;
  std::array<char, 24> between;
  Index again;
  friend bool operator==(const Element&, const Element&) = default;
};

void expect_moved(const std::vector<Index>& places) {
  BulkVector<Element> elements;
  SortEntries order;
  for (std::size_t i = 0; i < places.size(); ++i) {
    const auto number = static_cast<Index>(i);
    elements.push_back({number, {}, ~number});
    order.push_back({0, places[i]});
  }
  for (const int threads : {1, 2, 4}) {
    auto moved = elements;
    permute(threads, moved, order);
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < places.size(); ++i) wrong += moved[i] == elements[at(places[i])] ? 0 : 1;
    EXPECT_EQ(wrong, 0) << threads << " threads";
  }
}

TEST(Permute, moves_elements_whatever_the_cycles) {
  const auto places_by = [](Index count, const auto& f) {
    std::vector<Index> places;
    for (Index i = 0; i < count; ++i) places.push_back(f(i));
    return places;
  };
  for (const Index count : {Index{0}, Index{1}, Index{2}, Index{15}, Index{9000}, Index{40'000}}) {
    expect_moved(places_by(count, [](Index i) { return i; }));
    expect_moved(places_by(count, [&](Index i) { return count - 1 - i; }));
    // One cycle of all, in steps that chains of any number meet each other at.
    for (const Index step : {Index{1}, count / 64, count / 32, count / 16, count - 1})
      expect_moved(places_by(count, [&](Index i) { return (i + step) % count; }));
    expect_moved(places_by(count - count % 2, [](Index i) { return i ^ 1; }));  // pairs
    std::vector<Index> any = places_by(count, [](Index i) { return i; });
    for (Index i = count - 1; i > 0; --i)
      std::swap(any[at(i)], any[at(static_cast<Index>(draw(i) % static_cast<std::uint64_t>(i + 1)))]);
    expect_moved(any);
  }
}

}  // namespace
}  // namespace firesteel::detail
