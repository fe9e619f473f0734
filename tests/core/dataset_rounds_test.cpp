// SPDX-License-Identifier: Apache-2.0
// Wide operations in a context whose memory is bounded give what they give in memory, element by element.
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "firesteel/core/dataset.hpp"
#include "firesteel/core/memory.hpp"
#include "firesteel/core/philox.hpp"

namespace firesteel {
namespace {

constexpr Index kRows = 20000;

Context plain() {
  setenv("FIRESTEEL_BLOCK_ROWS", "64", 1);
  return Context({.threads = 3});
}

/// A bound that leaves little more than nothing.
Context bounded() {
  constexpr Index kMargin = Index{32} << 20;
  return Context(
      {.threads = 3, .storage = {.memory = process_memory().current + kMargin + (Index{100} << 10)}});
}

std::uint64_t scrambled(Index row) { return philox_bits(5, 1, static_cast<std::uint64_t>(row)); }

auto pairs(const Context& context, Index rows, std::uint64_t keys) {
  return generate(context, rows, [keys](Index row) {
    return std::pair<Index, std::string>(static_cast<Index>(scrambled(row) % keys),
                                         "v" + std::to_string(row));
  });
}

/// What operation(context) gives in memory and within a bound.
template <class Operation>
void expect_same(const char* name, const Operation& operation) {
  const Context memory = plain();
  const Context little = bounded();
  const auto expected = operation(memory);
  const auto found = operation(little);
  EXPECT_EQ(found.count(), expected.count()) << name;
  EXPECT_EQ(found.collect(), expected.collect()) << name;
  // The result is a dataset like any other, of blocks by row number.
  EXPECT_EQ(found.partition().rows(), expected.partition().rows()) << name;
  EXPECT_EQ(found.zip_with_index().take(7), expected.zip_with_index().take(7)) << name;
}

TEST(Rounds, there_is_more_than_one) {
  const Context little = bounded();
  EXPECT_TRUE(detail::is_bounded(little));
  EXPECT_GT(detail::rounds_for(little, kRows * 480), 4);
  EXPECT_GT(detail::rounds_for(little, kRows * 48), 1);
  EXPECT_FALSE(detail::is_bounded(plain()));
}

TEST(Rounds, sorts) {
  expect_same("few keys", [](const Context& context) {
    return pairs(context, kRows, 50).sort_by([](const auto& p) { return p.first; });
  });
  expect_same("all keys equal", [](const Context& context) {
    return pairs(context, kRows, 1).sort_by([](const auto& p) { return p.first; });
  });
  expect_same("texts, descending", [](const Context& context) {
    return pairs(context, kRows, 1000).values().sort_by([](const std::string& s) { return s; }, Descending());
  });
  expect_same("after a filter that leaves little", [](const Context& context) {
    return pairs(context, kRows, 1000)
        .filter([](const auto& p) { return p.first == 7; })
        .sort_by([](const auto& p) { return p.second; });
  });
  expect_same("nothing", [](const Context& context) {
    return pairs(context, 0, 10).sort_by([](const auto& p) { return p.first; });
  });
  expect_same("fewer rows than ranks have", [](const Context& context) {
    return pairs(context, 3, 10).sort_by([](const auto& p) { return p.first; });
  });
}

TEST(Rounds, groups_and_joins) {
  expect_same("group", [](const Context& context) { return pairs(context, kRows, 700).group_by_key(); });
  const auto left = [](const Context& context) { return pairs(context, kRows / 4, 3000); };
  const auto right = [](const Context& context) {
    return generate(context, kRows / 4, [](Index row) {
      return std::pair<Index, double>(static_cast<Index>(scrambled(row + 77777) % 4000),
                                      0.5 * static_cast<double>(row));
    });
  };
  expect_same("join", [&](const Context& context) { return left(context).join(right(context)); });
  expect_same("left", [&](const Context& context) { return left(context).left_join(right(context)); });
  expect_same("full", [&](const Context& context) { return left(context).full_join(right(context)); });
  expect_same("cogroup", [&](const Context& context) { return left(context).cogroup(right(context)); });
  expect_same("subtract",
              [&](const Context& context) { return left(context).keys().subtract(right(context).keys()); });
  expect_same("chained", [&](const Context& context) {
    return left(context).join(right(context)).sort_by([](const auto& row) { return -row.second.second; });
  });
}

TEST(Rounds, combines_by_key) {
  const auto numbers = [](const Context& context, std::uint64_t keys) {
    return generate(context, kRows, [keys](Index row) {
      return std::pair<Index, double>(static_cast<Index>(scrambled(row) % keys),
                                      1.0 / static_cast<double>(1 + row % 977));
    });
  };
  for (const std::uint64_t keys : {1, 50, 1000000})  // all equal, few, nearly all different
    expect_same(std::to_string(keys).c_str(), [&](const Context& context) {
      return numbers(context, keys).reduce_by_key([](double a, double b) { return a + b; });
    });
  expect_same("aggregate", [&](const Context& context) {
    return pairs(context, kRows, 300)
        .aggregate_by_key(
            std::string(), [](std::string text, const std::string& value) { return text + value.back(); },
            [](const std::string& a, const std::string& b) { return a + b; });
  });
  expect_same("count", [&](const Context& context) { return pairs(context, kRows, 300).count_by_key(); });
  expect_same("distinct", [&](const Context& context) {
    return pairs(context, kRows, 7000).map([](const auto& p) { return p.first; }).distinct();
  });
}

/// Rows of one key: a join of them is streamed, a group of them is one element.
TEST(Rounds, what_is_not_exact_is_combined_as_blocks_are_before_it_goes_to_scratch) {
  const auto pairs_of = [](const Context& context, Index keys) {
    return generate(context, 10 * kRows, [keys](Index row) {
      return std::pair<Index, double>(static_cast<Index>(scrambled(row)) % keys,
                                      1.0 / static_cast<double>(1 + row % 977));
    });
  };
  const auto sum = [](double a, double b) { return a + b; };
  const auto expected = pairs_of(plain(), 20).reduce_by_key(sum).collect();
  const Context little = bounded();
  const Index before = detail::RecordFile::written();
  EXPECT_EQ(pairs_of(little, 20).reduce_by_key(sum).collect(), expected);
  // Not 24 bytes of each of the 200,000 elements, twice, but partials of the keys of blocks together.
  EXPECT_LT(little.comm().sum(detail::RecordFile::written() - before), 10 * kRows * 24 / 4);
  // Tables that become full at any block.
  for (const Index keys : {700, 1'000'000})
    expect_same("many keys",
                [&](const Context& context) { return pairs_of(context, keys).reduce_by_key(sum); });
  expect_same("means", [&](const Context& context) {
    return pairs_of(context, 2000)
        .aggregate_by_key(
            std::pair<double, Index>(0.0, 0),
            [](std::pair<double, Index>& total, double value) {
              total.first += value;
              ++total.second;
            },
            [](std::pair<double, Index>& total, const std::pair<double, Index>& other) {
              total.first += other.first;
              total.second += other.second;
            });
  });
  // A result that is larger than its values goes to scratch as these.
  expect_same("large results", [&](const Context& context) {
    return pairs_of(context, 50)
        .aggregate_by_key(
            std::vector<double>(), [](std::vector<double>& all, double value) { all.push_back(value); },
            [](std::vector<double>& all, const std::vector<double>& other) {
              all.insert(all.end(), other.begin(), other.end());
            });
  });
}

TEST(Rounds, what_is_exact_is_combined_before_it_goes_to_scratch) {
  const auto word = [](Index row) { return "word " + std::to_string(scrambled(row) % 300); };
  const Context little = bounded();
  const Index before = detail::RecordFile::written();
  const auto counts = generate(little, 10 * kRows, word).count_by_value();
  // Not one of the 200,000 texts, but the keys of each thread, twice.
  const Index spilled = little.comm().sum(detail::RecordFile::written() - before);
  EXPECT_LT(spilled, little.size() * 3 * 300 * 200);
  EXPECT_EQ(counts.collect(), generate(plain(), 10 * kRows, word).count_by_value().collect());

  // Tables become full many times; the order of values is that of rows.
  expect_same("exact, many keys",
              [&](const Context& context) { return pairs(context, kRows, kRows).count_by_key(); });
  expect_same("texts, many keys",
              [](const Context& context) { return pairs(context, kRows, 1000).values().count_by_value(); });
  expect_same("texts one after another", [](const Context& context) {
    return pairs(context, kRows, 700).reduce_by_key(exact([](std::string& left, const std::string& right) {
      left += right;
    }));
  });
}

TEST(Rounds, one_hot_key) {
  const auto hot = [](const Context& context, Index rows, Index factor) {
    return generate(context, rows, [factor](Index row) {
      return std::pair<Index, Index>(row % 50 == 49 ? row : -1, row * factor);
    });
  };
  expect_same("join",
              [&](const Context& context) { return hot(context, 300, 1).join(hot(context, 200, 3)); });
  expect_same("group", [&](const Context& context) { return hot(context, 3000, 1).group_by_key(); });
  // 16 bytes a value, 300,000 of them on a rank whose bound leaves 100 KB.
  const Context little = bounded();
  const auto many = generate(little, 300'000, [](Index row) { return std::pair<Index, Index>(5, row); });
  try {
    many.group_by_key();
    FAIL() << "expected an error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::out_of_memory) << error.what();
    EXPECT_NE(std::string(error.what()).find("give at least --memory"), std::string::npos) << error.what();
  }
  const auto sum = many.reduce_by_key([](Index a, Index b) { return a + b; }).collect();
  ASSERT_EQ(sum.size(), 1U);
  EXPECT_EQ(sum[0].second, Index{300'000} * 299'999 / 2);
}

/// What a wide operation takes stays within the account, whatever there is.
/// By how much the peak is above `before`; 0 under a sanitizer, which keeps what was freed for a while.
Index grown_since(Index before) {
  return std::getenv("FIRESTEEL_SANITIZE") == nullptr ? process_memory().peak - before : 0;
}

TEST(Rounds, memory_is_bounded) {
  constexpr Index kMiB = Index{1} << 20;
  const auto growth = [](const auto& operation) {
    std::ofstream("/proc/self/clear_refs") << "5";  // the peak begins anew
    const Index before = process_memory().current;
    operation();
    return grown_since(before);
  };
  setenv("FIRESTEEL_BLOCK_ROWS", "1024", 1);
  const Context little({.threads = 2, .storage = {.memory = process_memory().current + 34 * kMiB}});
  // 16 MB on one rank as they are, several times that while they are sorted.
  const auto source = generate(little, 1'000'000, [](Index row) {
    return std::pair<Index, Index>(static_cast<Index>(scrambled(row) >> 1), row);
  });
  EXPECT_LT(growth([&] {
              const auto sorted = source.sort_by([](const auto& p) { return p.first; });
              EXPECT_EQ(sorted.count(), 1'000'000);
            }),
            38 * kMiB);
  EXPECT_LT(growth([&] {
              EXPECT_EQ(source.reduce_by_key([](Index a, Index b) { return a + b; }).count(), 1'000'000);
            }),
            38 * kMiB);
}

TEST(Rounds, sequences) {
  const auto some = [](const Context& context, Index rows) {  // most on the first ranks
    return pairs(context, rows, 1000).filter([rows](const auto& p) {
      return p.first < 100 || p.second < "v" + std::to_string(rows / 9);
    });
  };
  const auto numbers = [](const Context& context, Index rows) {
    return generate(context, rows, [](Index row) { return 1.0 / static_cast<double>(1 + row % 977); })
        .filter([](double value) { return value < 0.4; });
  };
  for (const Index rows : {Index{0}, kRows / 10}) {
    expect_same("repack", [&](const Context& context) { return some(context, rows).repack(); });
    expect_same("union", [&](const Context& context) {
      return some(context, rows).union_(pairs(context, rows / 3, 7));
    });
    expect_same("union after nothing",
                [&](const Context& context) { return pairs(context, 0, 7).union_(some(context, rows)); });
    expect_same("zip", [&](const Context& context) {
      return some(context, rows).zip(some(context, rows).map([](const auto& p) { return p.first + 1; }));
    });
    expect_same("prefix sum", [&](const Context& context) {
      return numbers(context, rows).prefix_sum([](double a, double b) { return a + b; });
    });
    for (const Index size : {5, 150})
      expect_same("window", [&](const Context& context) {
        return some(context, rows).window(size, [](auto run) {
          return run.front().second + run.back().second;
        });
      });
  }
  EXPECT_THROW(pairs(bounded(), 100, 7).zip(pairs(bounded(), 99, 7)), Error);
}

TEST(Rounds, sequences_are_bounded) {
  constexpr Index kMiB = Index{1} << 20;
  setenv("FIRESTEEL_BLOCK_ROWS", "1024", 1);
  const Context little({.threads = 2, .storage = {.memory = process_memory().current + 34 * kMiB}});
  // 18 to 24 MB, and all of it of the last ranks after the filter.
  using Wide = std::array<Index, 32>;
  const Index rows = 64'000 + 8'000 * little.size();
  const auto source = generate(little, 2 * rows, [](Index row) {
                        Wide wide{};
                        wide[0] = row;
                        return wide;
                      }).filter([rows](const Wide& wide) { return wide[0] >= rows; });
  const auto growth = [&](const auto& operation) {
    std::ofstream("/proc/self/clear_refs") << "5";  // the peak begins anew
    const Index before = process_memory().current;
    operation();
    EXPECT_LE(little.memory()->peak(), little.memory()->limit());
    return grown_since(before);
  };
  const auto plus = [](Wide& a, const Wide& b) { a[0] += b[0]; };
  EXPECT_LT(growth([&] { EXPECT_EQ(source.repack().count(), rows); }), 16 * kMiB);
  EXPECT_LT(growth([&] { EXPECT_EQ(source.union_(source).count(), 2 * rows); }), 16 * kMiB);
  EXPECT_LT(growth([&] { EXPECT_EQ(source.zip(source).count(), rows); }), 16 * kMiB);
  EXPECT_LT(growth([&] { EXPECT_EQ(source.prefix_sum(plus).count(), rows); }), 16 * kMiB);
  EXPECT_LT(growth([&] { EXPECT_EQ(source.window(9, [](auto run) { return run[8]; }).count(), rows - 8); }),
            16 * kMiB);
}

TEST(Rounds, errors_of_functions_are_those_of_one_round) {
  for (const bool small : {false, true}) {
    const Context context = small ? bounded() : plain();
    try {
      pairs(context, kRows, 50)
          .map([](const auto& p) {
            if (p.second == "v4321") throw std::runtime_error("no");
            return p;
          })
          .sort_by([](const auto& p) { return p.first; });
      FAIL() << "expected an error";
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("row 4321"), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace firesteel
