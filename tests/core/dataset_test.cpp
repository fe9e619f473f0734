// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/dataset.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>

namespace firesteel {
namespace {

constexpr Index kBlockRows = 32;

/// A context with `threads` threads and small blocks, so that few rows make many blocks.
Context small_blocks(int threads = 2) {
  setenv("FIRESTEEL_BLOCK_ROWS", "32", 1);
  return Context({.threads = threads, .monitor = nullptr});
}

/// Sizes differ by nine orders, so that another order of summation gives other bits.
double rough(Index row) {
  const double u = philox_uniform(3, 1, static_cast<std::uint64_t>(row)) - 0.5;
  return row % 7 == 0 ? u * 1e9 : u;
}

/// The definition of a reduction: a fold over each block, blocks combined by the tree, in plain recursion.
template <class Fold>
double tree_sum(Index first, Index end, int level, const Fold& fold) {
  if (end - first == 1) return fold(first);
  const Index middle = first + (Index{1} << (level - 1));
  if (middle >= end) return tree_sum(first, end, level - 1, fold);
  return tree_sum(first, middle, level - 1, fold) + tree_sum(middle, end, level - 1, fold);
}
template <class Fold>
double reference_sum(Index rows, const Fold& fold) {
  const Index blocks = (rows + kBlockRows - 1) / kBlockRows;
  int levels = 0;
  while ((Index{1} << levels) < blocks) ++levels;
  return tree_sum(0, blocks, levels, fold);
}

bool same_bits(double a, double b) { return std::memcmp(&a, &b, sizeof a) == 0; }

const auto kPlus = [](double a, double b) { return a + b; };

TEST(Dataset, aggregate_has_the_bits_of_the_defined_order_for_any_ranks_and_threads) {
  for (const Index rows : {1, 31, 33, 64, 1000, 4099}) {
    const double expected = reference_sum(rows, [&](Index block) {
      double sum = 0;
      for (Index row = block * kBlockRows; row < std::min(rows, (block + 1) * kBlockRows); ++row)
        if (row % 3 != 0) sum += rough(row);
      return sum;
    });
    for (const int threads : {1, 2, 4}) {
      const Context context = small_blocks(threads);
      const auto values = Dataset<Index>::range(context, rows)
                              .filter([](Index row) { return row % 3 != 0; })
                              .map([](Index row) { return rough(row); });
      EXPECT_TRUE(same_bits(values.aggregate(0.0, kPlus, kPlus), expected)) << rows << " rows";
    }
  }
}

TEST(Dataset, a_plain_sum_has_other_bits) {
  // The comparison above must be able to fail.
  double plain = 0;
  for (Index row = 0; row < 4099; ++row) plain += rough(row);
  const Context context = small_blocks();
  const auto sum = generate(context, 4099, rough).reduce(kPlus);
  ASSERT_TRUE(sum.has_value());
  EXPECT_FALSE(same_bits(*sum, plain));
  EXPECT_NEAR(*sum, plain, 1e-3);
}

TEST(Dataset, reduce_keeps_order_for_an_operation_that_does_not_commute) {
  const Context context = small_blocks();
  const auto words = generate(context, 500, [](Index row) { return std::to_string(row) + " "; });
  std::string expected;
  for (Index row = 0; row < 500; ++row) expected += std::to_string(row) + " ";
  EXPECT_EQ(words.reduce([](std::string a, const std::string& b) { return std::move(a) + b; }), expected);
}

TEST(Dataset, reduce_of_nothing_is_empty_or_the_identity) {
  const Context context = small_blocks();
  const auto none = Dataset<Index>::range(context, 0);
  EXPECT_EQ(none.reduce(std::plus<Index>()), std::nullopt);
  EXPECT_EQ(none.reduce(42, std::plus<Index>()), 42);
  const auto filtered = Dataset<Index>::range(context, 1000).filter([](Index) { return false; });
  EXPECT_EQ(filtered.reduce(std::plus<Index>()), std::nullopt);
  EXPECT_EQ(filtered.count(), 0);
  EXPECT_TRUE(filtered.collect().empty());
  EXPECT_TRUE(filtered.take(3).empty());
}

TEST(Dataset, rows_in_one_block_leave_the_other_ranks_empty) {
  const Context context = small_blocks();
  const auto few = generate(context, 5, [](Index row) { return static_cast<double>(row); });
  EXPECT_EQ(few.reduce(0.0, kPlus), 10.0);
  EXPECT_EQ(few.count(), 5);
  EXPECT_EQ(few.collect(), (std::vector<double>{0, 1, 2, 3, 4}));
  EXPECT_EQ(few.zip_with_index().count(), 5);
}

TEST(Dataset, narrow_operations_chain_in_order) {
  const Context context = small_blocks();
  const auto chain =
      Dataset<Index>::range(context, 300)
          .flat_map([](Index row) {
            return std::vector<std::string>(static_cast<std::size_t>(row % 3), std::to_string(row));
          })
          .map([](const std::string& text) { return text + "!"; })
          .filter([](const std::string& text) { return text.front() != '1'; });
  std::vector<std::string> expected;
  for (int row = 0; row < 300; ++row)
    for (int copy = 0; copy < row % 3; ++copy)
      if (std::to_string(row).front() != '1') expected.push_back(std::to_string(row) + "!");
  EXPECT_EQ(chain.collect(), expected);
  EXPECT_EQ(chain.count(), static_cast<Index>(expected.size()));
  for (const Index n : {0, 1, 17, 150, 100000}) {
    const auto end = expected.begin() + std::min<Index>(n, static_cast<Index>(expected.size()));
    EXPECT_EQ(chain.take(n), std::vector<std::string>(expected.begin(), end));
  }
  const auto on_last = chain.collect_on(context.size() - 1);
  EXPECT_EQ(on_last.size(), context.rank() == context.size() - 1 ? expected.size() : 0);
  const auto indexed = chain.zip_with_index().collect();
  ASSERT_EQ(indexed.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i)
    EXPECT_EQ(indexed[i], (std::pair<Index, std::string>(static_cast<Index>(i), expected[i])));
}

TEST(Dataset, map_partitions_sees_blocks_cut_by_row_number) {
  const Context context = small_blocks();
  const auto sizes = Dataset<Index>::range(context, 100)
                         .filter([](Index row) { return row != 40; })
                         .map_partitions([](const std::vector<Index>& rows) {
                           return std::vector<Index>{rows.front(), static_cast<Index>(rows.size())};
                         });
  EXPECT_EQ(sizes.collect(), (std::vector<Index>{0, 32, 32, 31, 64, 32, 96, 4}));
  std::vector<std::atomic<int>> seen(100);
  Dataset<Index>::range(context, 100).for_each_partition([&](const std::vector<Index>& rows) {
    for (const Index row : rows) ++seen[static_cast<std::size_t>(row)];
  });
  std::vector<std::int64_t> counts(seen.begin(), seen.end());
  context.comm().allreduce_sum(counts);
  EXPECT_EQ(counts, std::vector<std::int64_t>(100, 1));
}

TEST(Dataset, sample_keeps_the_same_elements_on_any_ranks) {
  const Context context = small_blocks();
  const auto doubled = Dataset<Index>::range(context, 20000).flat_map([](Index row) {
    return std::vector<Index>{row, -row};
  });
  const auto kept = doubled.sample(0.25, 11).collect();
  std::vector<Index> expected;
  for (Index row = 0; row < 20000; ++row)
    for (const std::uint64_t ordinal : {0, 1})
      if (philox_uniform(11, (std::uint64_t{0x73616D70} << 32) + ordinal, static_cast<std::uint64_t>(row)) <
          0.25)
        expected.push_back(ordinal == 0 ? row : -row);
  EXPECT_EQ(kept, expected);
  EXPECT_NEAR(static_cast<double>(kept.size()), 10000, 4 * std::sqrt(40000 * 0.25 * 0.75));
  EXPECT_EQ(doubled.sample(1, 5).count(), 40000);
  EXPECT_EQ(doubled.sample(0, 5).count(), 0);
  EXPECT_THROW(doubled.sample(1.5, 5), Error);
}

TEST(Dataset, is_lazy_and_cache_computes_each_row_once) {
  const Context context = small_blocks();
  auto calls = std::make_shared<std::atomic<Index>>(0);
  const auto counted = generate(context, 1000, [calls](Index row) {
    ++*calls;
    return rough(row);
  });
  const auto cached = counted.filter([](double x) { return x > 0; }).cache();
  EXPECT_EQ(calls->load(), 0);
  const auto first = cached.collect();
  const auto again = cached.map([](double x) { return x; }).collect();
  EXPECT_EQ(first, again);
  EXPECT_EQ(context.comm().sum(calls->load()), 1000);
  counted.count();
  EXPECT_EQ(context.comm().sum(calls->load()), 2000);
}

TEST(Dataset, from_local_keeps_rank_order_and_parallelize_the_vectors) {
  const Context context = small_blocks();
  // Rank r holds r·50 texts: the first none.
  std::vector<std::string> mine;
  std::vector<std::string> all;
  for (int rank = 0; rank < context.size(); ++rank)
    for (int i = 0; i < rank * 50; ++i) {
      all.push_back(std::to_string(rank) + "/" + std::to_string(i));
      if (rank == context.rank()) mine.push_back(all.back());
    }
  const auto gathered = from_local(context, mine);
  EXPECT_EQ(gathered.collect(), all);
  EXPECT_EQ(gathered.partition().rows(), static_cast<Index>(all.size()));
  EXPECT_EQ(parallelize(context, all).collect(), all);
  std::vector<bool> bits(77);
  for (std::size_t i = 0; i < bits.size(); ++i) bits[i] = i % 3 == 0;
  EXPECT_EQ(
      parallelize(context, bits).map([](bool b) { return !b; }).map([](bool b) { return !b; }).collect(),
      bits);
}

TEST(Dataset, one_type_holds_any_chain) {
  const Context context = small_blocks();
  Dataset<double> any = generate(context, 200, rough);
  const double plain = *any.reduce(kPlus);
  any = any.map([](double x) { return x; }).cache();
  EXPECT_TRUE(same_bits(*any.reduce(kPlus), plain));
  EXPECT_TRUE(same_bits(*any.reduce(kPlus), plain));
}

TEST(Dataset, counts_words_by_aggregate_into_a_map) {
  const Context context = small_blocks();
  using Counts = std::map<std::string, Index>;
  const auto counts =
      generate(context, 999, [](Index row) { return std::string("w").append(std::to_string(row % 10)); })
          .aggregate(
              Counts(), [](Counts& seen, const std::string& word) { ++seen[word]; },
              [](Counts& left, const Counts& right) {
                for (const auto& [word, n] : right) left[word] += n;
              });
  ASSERT_EQ(counts.size(), 10u);
  EXPECT_EQ(counts.at("w0"), 100);
  EXPECT_EQ(counts.at("w9"), 99);
}

TEST(Dataset, a_partial_of_megabytes_crosses_ranks_whole) {
  const Context context = small_blocks();
  const auto rows = generate(context, 128, [](Index row) { return std::vector<Index>(10000, row); });
  const auto joined = rows.reduce([](std::vector<Index> a, const std::vector<Index>& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
  });
  ASSERT_TRUE(joined.has_value());
  ASSERT_EQ(joined->size(), 1280000u);
  for (std::size_t i = 0; i < joined->size(); i += 9999)
    EXPECT_EQ((*joined)[i], static_cast<Index>(i / 10000));
}

TEST(Dataset, broadcast_replicates_the_roots_value) {
  const Context context = small_blocks();
  const int last = context.size() - 1;
  const std::vector<std::string> value(3, "from rank " + std::to_string(context.rank()));
  EXPECT_EQ(broadcast(context, value, last),
            std::vector<std::string>(3, "from rank " + std::to_string(last)));
}

/// The error of `action`, which must be thrown alike by every rank.
template <class Action>
Error error_of(const Context& context, Action&& action) {
  try {
    action();
  } catch (const Error& error) {
    const std::vector<std::string> mine{error.what()};
    const auto all = context.comm().allgather_texts(mine);
    EXPECT_EQ(all, std::vector<std::string>(all.size(), mine[0]));
    EXPECT_TRUE(error.agreed());
    return error;
  }
  ADD_FAILURE() << "did not throw";
  return internal_error("");
}

TEST(Dataset, an_error_names_the_smallest_row_on_every_rank) {
  const Context context = small_blocks(4);
  const auto failing = Dataset<Index>::range(context, 3000).map([](Index row) {
    if (row == 1777 || row == 2500 || row == 2999) throw std::out_of_range("value is odd");
    return row;
  });
  const auto expect = [&](const Error& error) {
    EXPECT_STREQ(error.what(), "row 1777: value is odd");
    EXPECT_EQ(error.code(), ErrorCode::bad_input);
    EXPECT_EQ(error.place().offset, 1777);
  };
  expect(error_of(context, [&] { failing.count(); }));
  expect(error_of(context, [&] { failing.collect(); }));
  expect(error_of(context, [&] { failing.reduce(std::plus<Index>()); }));
  expect(error_of(context, [&] { failing.cache().collect_local(); }));
  expect(error_of(context, [&] { failing.for_each_partition([](const std::vector<Index>&) {}); }));
  expect(error_of(context, [&] { failing.filter([](Index) { return true; }).zip_with_index(); }));
  expect(error_of(context, [&] { failing.take(2000); }));
  EXPECT_EQ(failing.take(100).size(), 100u);  // stops before it
}

TEST(Dataset, errors_of_merge_of_blocks_and_with_codes) {
  const Context context = small_blocks();
  const auto rows = Dataset<Index>::range(context, 640);
  const auto of_merge = error_of(context, [&] {
    rows.aggregate(Index{0}, std::plus<Index>(), [](Index a, Index b) -> Index {
      if (a + b > 50000) throw std::runtime_error("too much");
      return a + b;
    });
  });
  EXPECT_STREQ(of_merge.what(), "too much");
  EXPECT_EQ(of_merge.code(), ErrorCode::bad_input);
  const auto of_block = error_of(context, [&] {
    rows.map_partitions([](const std::vector<Index>& block) {
          if (block.front() == 64) throw Error(ErrorCode::io_failed, "disk");
          return block;
        })
        .count();
  });
  EXPECT_STREQ(of_block.what(), "rows 64 to 95: disk");
  EXPECT_EQ(of_block.code(), ErrorCode::io_failed);
  EXPECT_EQ(rows.count(), 640);  // and the next action works
}

TEST(Dataset, ranks_that_disagree_on_the_rows_are_told) {
  const Context context = small_blocks();
  if (context.size() == 1) return;
  const auto error = error_of(context, [&] { Dataset<Index>::range(context, 10 + context.rank()); });
  EXPECT_EQ(error.code(), ErrorCode::bad_parameter);
  const auto negative = error_of(context, [&] { Dataset<Index>::range(context, -1); });
  EXPECT_EQ(negative.code(), ErrorCode::bad_parameter);
}

}  // namespace
}  // namespace firesteel
