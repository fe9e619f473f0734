// SPDX-License-Identifier: Apache-2.0
// Operations that move elements between ranks, against plain loops over all rows.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>
#include <map>
#include <numeric>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "firesteel/core/dataset.hpp"

namespace firesteel {
namespace {

constexpr Index kBlockRows = 32;
using Pair = std::pair<Index, double>;
using Text = std::pair<std::string, Index>;

Context small_blocks(int threads = 2) {
  setenv("FIRESTEEL_BLOCK_ROWS", "32", 1);
  return Context({.threads = threads, .monitor = nullptr});
}

double draw(Index row, std::uint64_t purpose = 1) {
  return philox_uniform(9, purpose, static_cast<std::uint64_t>(row));
}
/// Sizes differ by nine orders, so that another order of summation gives other bits.
double rough(Index row) { return (draw(row, 2) - 0.5) * (row % 7 == 0 ? 1e9 : 1.0); }
Index key_of(Index row, Index keys) {
  return static_cast<Index>(draw(row, 3) * static_cast<double>(keys)) - 2;
}
std::string word_of(Index row) {
  return std::string(static_cast<std::size_t>(row % 5), 'w') + std::to_string(row % 11);
}

auto pairs(const Context& context, Index rows, Index keys) {
  return generate(context, rows, [keys](Index row) { return Pair(key_of(row, keys), rough(row)); });
}
std::vector<Pair> all_pairs(Index rows, Index keys) {
  std::vector<Pair> all;
  for (Index row = 0; row < rows; ++row) all.emplace_back(key_of(row, keys), rough(row));
  return all;
}

/// Sum of the present partials of blocks [first, end) in the shape of the tree; absent ones are left out.
std::optional<double> tree_sum(const std::map<Index, double>& of_block, Index first, int level) {
  const Index end = first + (Index{1} << level);
  if (of_block.lower_bound(first) == of_block.lower_bound(end)) return std::nullopt;
  if (level == 0) return of_block.at(first);
  const auto left = tree_sum(of_block, first, level - 1);
  const auto right = tree_sum(of_block, first + (Index{1} << (level - 1)), level - 1);
  if (left && right) return *left + *right;
  return left ? left : right;
}

const auto kPlus = [](double a, double b) { return a + b; };

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

TEST(WideDataset, reduce_by_key_has_the_bits_of_the_defined_order_for_any_ranks_and_threads) {
  for (const Index rows : {0, 1, 33, 1000, 4099}) {
    for (const Index keys : {1, 7, 500}) {
      std::map<Index, std::map<Index, double>> partials;
      for (Index row = 0; row < rows; ++row) {
        auto& of_block = partials[key_of(row, keys)];
        const auto [place, first] = of_block.emplace(row / kBlockRows, rough(row));
        if (!first) place->second += rough(row);
      }
      std::vector<Pair> expected;
      for (const auto& [key, of_block] : partials) expected.emplace_back(key, *tree_sum(of_block, 0, 20));
      for (const int threads : {1, 2, 4}) {
        const Context context = small_blocks(threads);
        const auto sums = pairs(context, rows, keys).reduce_by_key(kPlus);
        EXPECT_TRUE(same_bits(sums.collect(), expected)) << rows << " rows, " << keys << " keys";
        const auto folded = pairs(context, rows, keys).aggregate_by_key(0.0, kPlus, kPlus);
        EXPECT_TRUE(same_bits(folded.collect(), expected)) << rows << " rows, " << keys << " keys";
      }
    }
  }
}

TEST(WideDataset, a_plain_sum_by_key_has_other_bits) {
  // The comparison above must be able to fail.
  std::map<Index, double> plain;
  for (const auto& [key, value] : all_pairs(4099, 7)) plain[key] += value;
  const auto sums = pairs(small_blocks(), 4099, 7).reduce_by_key(kPlus).collect();
  EXPECT_FALSE(same_bits(sums, std::vector<Pair>(plain.begin(), plain.end())));
  for (const auto& [key, sum] : sums) EXPECT_NEAR(sum, plain[key], 1e-3);
}

TEST(WideDataset, texts_are_keys_and_values) {
  const Context context = small_blocks();
  std::map<std::string, Index> counts;
  std::map<std::string, std::string> joined;
  for (Index row = 0; row < 700; ++row) {
    ++counts[word_of(row)];
    joined[word_of(row)] += std::to_string(row) + ",";
  }
  const auto words = generate(context, 700, word_of);
  using Counts = std::vector<Text>;
  EXPECT_EQ(words.count_by_value().collect(), Counts(counts.begin(), counts.end()));
  const auto texts = generate(context, 700, [](Index row) {
    return std::pair<std::string, std::string>(word_of(row), std::to_string(row) + ",");
  });
  using Texts = std::vector<std::pair<std::string, std::string>>;
  const auto concatenated = texts.reduce_by_key([](std::string& a, const std::string& b) { a += b; });
  EXPECT_EQ(concatenated.collect(),
            Texts(joined.begin(), joined.end()));  // in order of rows: not commutative
}

Index scrambled_length(Index row) { return static_cast<Index>(draw(row, 5) * 40); }
/// Texts of every length that is kept in another way, many alike but for one character.
std::string key_text(Index row) {
  std::string text(static_cast<std::size_t>(scrambled_length(row)), 'k');
  if (!text.empty())
    text[text.size() * static_cast<std::size_t>(row % 3) / 3] = static_cast<char>('a' + row % 5);
  if (row % 41 == 0) text += std::string(static_cast<std::size_t>(row % 2), '\0');
  return text;
}

TEST(WideDataset, views_of_texts_are_keys) {
  const Index rows = 30000;
  std::map<std::string, Index> expected;
  for (Index row = 0; row < rows; ++row)
    if (row % 7 != 0)
      for (Index i = 0; i < row % 4; ++i) ++expected[key_text(row * 4 + i)];
  EXPECT_GT(expected.size(), 200U);
  for (const int threads : {1, 3}) {
    const Context context = small_blocks(threads);
    const auto words = generate(context, rows, [](Index row) {
                         return row;
                       }).filter([](Index row) {
                           return row % 7 != 0;
                         }).flat_map_to<std::string_view>([](Index row, const auto& emit) {
      for (Index i = 0; i < row % 4; ++i) emit(std::string_view(key_text(row * 4 + i)));
    });
    const std::vector<std::pair<std::string, Index>> all(expected.begin(), expected.end());
    EXPECT_EQ(words.count_by_value().collect(), all);
    const auto ones = words.map([](std::string_view word) { return std::pair(word, Index{1}); });
    EXPECT_EQ(ones.reduce_by_key(std::plus<>()).collect(), all);
    // The same by the order of blocks, which whole numbers do not notice.
    EXPECT_EQ(ones.reduce_by_key([](Index a, Index b) { return a + b; }).collect(), all);
    std::vector<std::string> keys;
    for (const auto& [word, count] : expected) keys.push_back(word);
    EXPECT_EQ(words.distinct().collect(), keys);
  }
}

TEST(WideDataset, exact_functions_see_values_in_order_of_rows) {
  const Index rows = 5000;
  std::map<std::string, std::string> joined;
  std::map<Index, Index> sums;
  for (Index row = 0; row < rows; ++row) {
    joined[word_of(row)] += std::to_string(row) + ",";
    sums[key_of(row, 50)] += row;
  }
  for (const int threads : {1, 3}) {
    const Context context = small_blocks(threads);
    // Associative, and every order of values gives another text.
    const auto texts =
        generate(context, rows, [](Index row) {
          return std::pair(word_of(row), std::to_string(row) + ",");
        }).reduce_by_key(exact([](std::string& left, const std::string& right) { left += right; }));
    EXPECT_EQ(texts.collect(),
              (std::vector<std::pair<std::string, std::string>>(joined.begin(), joined.end())));
    const auto numbers = generate(context, rows, [](Index row) { return std::pair(key_of(row, 50), row); });
    const std::vector<std::pair<Index, Index>> all(sums.begin(), sums.end());
    EXPECT_EQ(numbers.reduce_by_key(std::plus<Index>()).collect(), all);
    EXPECT_EQ(numbers.aggregate_by_key(Index{0}, std::plus<>(), exact(std::plus<>())).collect(), all);
  }
}

TEST(WideDataset, group_by_key_keeps_the_order_of_values) {
  const Context context = small_blocks();
  std::map<Index, std::vector<double>> expected;
  for (const auto& [key, value] : all_pairs(900, 13)) expected[key].push_back(value);
  using Groups = std::vector<std::pair<Index, std::vector<double>>>;
  EXPECT_EQ(pairs(context, 900, 13).group_by_key().collect(), Groups(expected.begin(), expected.end()));
  // All keys equal: everything comes to one rank and is still right.
  const auto one =
      pairs(context, 900, 13).map([](const Pair& p) { return Pair(5, p.second); }).group_by_key();
  EXPECT_EQ(one.count(), 1);
  EXPECT_EQ(one.collect()[0].second.size(), 900U);
}

TEST(WideDataset, joins_are_those_of_two_nested_loops) {
  const Context context = small_blocks();
  const auto left =
      generate(context, 150, [](Index row) { return std::pair<Index, Index>(row * 7 % 40, row); });
  const auto right =
      generate(context, 90, [](Index row) { return Text(word_of(row), row); }).map([](const Text& t) {
        return std::pair<Index, std::string>(t.second % 60, t.first);
      });
  const auto lefts = left.collect();
  const auto rights = right.collect();
  using Row = std::pair<Index, std::pair<std::optional<Index>, std::optional<std::string>>>;
  std::vector<Row> inner, with_left, with_right, full;
  for (Index key = 0; key < 60; ++key) {
    bool any_left = false;
    for (const auto& l : lefts) {
      if (l.first != key) continue;
      any_left = true;
      bool any = false;
      for (const auto& r : rights) {
        if (r.first != key) continue;
        any = true;
        for (auto* rows : {&inner, &with_left, &with_right, &full})
          rows->push_back({key, {l.second, r.second}});
      }
      if (!any)
        for (auto* rows : {&with_left, &full}) rows->push_back({key, {l.second, std::nullopt}});
    }
    if (any_left) continue;
    for (const auto& r : rights)
      if (r.first == key)
        for (auto* rows : {&with_right, &full}) rows->push_back({key, {std::nullopt, r.second}});
  }
  ASSERT_GT(inner.size(), 100U);
  ASSERT_GT(full.size(), with_left.size());
  const auto as_rows = [](const auto& joined) {
    std::vector<Row> rows;
    for (const auto& [key, values] : joined.collect()) rows.push_back({key, {values.first, values.second}});
    return rows;
  };
  EXPECT_EQ(as_rows(left.join(right)), inner);
  EXPECT_EQ(as_rows(left.left_join(right)), with_left);
  EXPECT_EQ(as_rows(left.right_join(right)), with_right);
  EXPECT_EQ(as_rows(left.full_join(right)), full);
  std::size_t joined = 0;
  for (const auto& [key, sides] : left.cogroup(right).collect()) {
    std::vector<Index> mine;
    for (const auto& l : lefts)
      if (l.first == key) mine.push_back(l.second);
    EXPECT_EQ(sides.first, mine);
    joined += sides.first.size() * sides.second.size();
  }
  EXPECT_EQ(joined, inner.size());
}

TEST(WideDataset, sets) {
  const Context context = small_blocks();
  const auto a = generate(context, 300, [](Index row) { return row * 13 % 50; });
  const auto b = generate(context, 40, [](Index row) { return row % 25 * 3; });
  const auto left = a.collect();
  const auto right = b.collect();
  const std::set<Index> as(left.begin(), left.end());
  const std::set<Index> bs(right.begin(), right.end());
  EXPECT_EQ(a.distinct().collect(), std::vector<Index>(as.begin(), as.end()));
  std::vector<Index> both;
  std::set_intersection(as.begin(), as.end(), bs.begin(), bs.end(), std::back_inserter(both));
  EXPECT_EQ(a.intersection(b).collect(), both);
  std::vector<Index> rest;
  for (const Index value : left)
    if (!bs.contains(value)) rest.push_back(value);
  std::sort(rest.begin(), rest.end());
  ASSERT_FALSE(rest.empty());
  EXPECT_EQ(a.subtract(b).collect(), rest);
  std::vector<Index> all(left);
  all.insert(all.end(), right.begin(), right.end());
  EXPECT_EQ(a.union_(b).collect(), all);
}

TEST(WideDataset, sequences) {
  const Context context = small_blocks();
  for (const Index rows : {0, 1, 40, 500}) {
    const auto kept =
        Dataset<Index>::range(context, rows).filter([](Index row) { return row % 3 != 1 && row % 64 < 50; });
    const auto elements = kept.collect();
    EXPECT_EQ(kept.repack().collect(), elements);
    EXPECT_EQ(kept.repack().partition().rows(), static_cast<Index>(elements.size()));
    std::vector<Index> sums(elements.size());
    std::partial_sum(elements.begin(), elements.end(), sums.begin());
    EXPECT_EQ(kept.prefix_sum([](Index a, Index b) { return a + b; }).collect(), sums);
    for (const Index size : {1, 2, 5, 70}) {
      std::vector<Index> windows;
      for (std::size_t i = 0; i + static_cast<std::size_t>(size) <= elements.size(); ++i)
        windows.push_back(elements[i] - 2 * elements[i + static_cast<std::size_t>(size) - 1]);
      const auto f = [](std::span<const Index> part) { return part.front() - 2 * part.back(); };
      EXPECT_EQ(kept.window(size, f).collect(), windows) << rows << " rows, windows of " << size;
    }
    const auto other = kept.map([](Index row) { return std::to_string(row); });
    const auto zipped = kept.zip(other).collect();
    ASSERT_EQ(zipped.size(), elements.size());
    for (std::size_t i = 0; i < zipped.size(); ++i) {
      EXPECT_EQ(zipped[i].first, elements[i]);
      EXPECT_EQ(zipped[i].second, std::to_string(elements[i]));
    }
  }
  const auto short_one = Dataset<Index>::range(context, 9);
  EXPECT_THROW(short_one.zip(Dataset<Index>::range(context, 10)), Error);
}

TEST(WideDataset, prefix_sums_are_the_same_bits_for_any_ranks) {
  std::vector<double> expected;
  double before = 0;
  double running = 0;
  for (Index row = 0; row < 1000; ++row) {
    if (row % kBlockRows == 0 && row > 0) before = row == kBlockRows ? running : before + running;
    running = row % kBlockRows == 0 ? rough(row) : running + rough(row);
    expected.push_back(row < kBlockRows ? running : before + running);
  }
  for (const int threads : {1, 3})
    EXPECT_TRUE(
        same_bits(generate(small_blocks(threads), 1000, rough).prefix_sum(kPlus).collect(), expected));
}

TEST(WideDataset, smallest_largest_quantiles_histogram) {
  const Context context = small_blocks();
  const auto data = generate(context, 1000, [](Index row) { return std::floor(draw(row) * 200) / 8; });
  auto sorted = data.collect();
  std::sort(sorted.begin(), sorted.end());
  EXPECT_EQ(data.take_ordered(7), std::vector<double>(sorted.begin(), sorted.begin() + 7));
  EXPECT_EQ(data.top(5), std::vector<double>(sorted.rbegin(), sorted.rbegin() + 5));
  EXPECT_EQ(data.take_ordered(2000).size(), 1000U);
  const auto quantiles = data.quantiles({0, 0.25, 0.5, 0.999, 1});
  for (std::size_t i = 0; const double p : {0.0, 0.25, 0.5, 0.999, 1.0}) {
    const double place = p * 999;
    const auto low = static_cast<std::size_t>(place);
    const double next = sorted[std::min<std::size_t>(low + 1, 999)];
    EXPECT_DOUBLE_EQ(quantiles[i++], sorted[low] + (place - std::floor(place)) * (next - sorted[low]));
  }
  const std::vector<double> edges{1, 5, 7.5, 25};
  std::vector<Index> counts(3, 0);
  for (const double value : sorted)
    for (std::size_t i = 0; i < 3; ++i)
      if (value >= edges[i] && (value < edges[i + 1] || (i == 2 && value == edges[3]))) ++counts[i];
  EXPECT_EQ(data.histogram(edges), counts);
  EXPECT_TRUE(std::isnan(generate(context, 0, rough).quantiles({0.5})[0]));
  EXPECT_THROW(data.quantiles({1.5}), Error);
  EXPECT_THROW(data.histogram({1, 1}), Error);
}

TEST(WideDataset, random_split_puts_each_element_into_one_part_whatever_the_ranks) {
  const Context alone(MPI_COMM_SELF, {.threads = 1});
  const Context context = small_blocks();
  const std::vector<double> weights{3, 1, 0, 2};
  const auto parts = Dataset<Index>::range(context, 6000).random_split(weights, 5);
  const auto parts_alone = Dataset<Index>::range(alone, 6000).random_split(weights, 5);
  std::vector<Index> all;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const auto rows = parts[i].collect();
    EXPECT_EQ(rows, parts_alone[i].collect());
    // Within five standard deviations of what the weight says.
    const double share = weights[i] / 6;
    EXPECT_NEAR(static_cast<double>(rows.size()), 6000 * share, 5 * std::sqrt(6000 * share * (1 - share)));
    all.insert(all.end(), rows.begin(), rows.end());
  }
  std::sort(all.begin(), all.end());
  EXPECT_EQ(all, Dataset<Index>::range(context, 6000).collect());
  EXPECT_THROW(Dataset<Index>::range(context, 10).random_split({0, 0}, 1), Error);
}

TEST(WideDataset, an_error_in_a_wide_operation_is_the_same_on_every_rank_and_names_the_row) {
  const Context context = small_blocks();
  const auto failing = Dataset<Index>::range(context, 500).map([](Index row) {
    if (row == 411) throw bad_input("no such thing");
    return Pair(row % 5, 1.0);
  });
  for (const int which : {0, 1, 2}) {
    try {
      if (which == 0) failing.reduce_by_key(kPlus);
      if (which == 1) failing.sort_by([](const Pair& p) { return p.first; });
      if (which == 2) failing.join(failing);
      ADD_FAILURE() << "nothing was thrown";
    } catch (const Error& error) {
      EXPECT_STREQ(error.what(), "row 411: no such thing");
    }
  }
}

}  // namespace
}  // namespace firesteel
