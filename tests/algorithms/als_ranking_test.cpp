// SPDX-License-Identifier: Apache-2.0
// The best candidates, against products of all pairs in double.
#include "firesteel/algorithms/als_ranking.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "firesteel/core/philox.hpp"

namespace firesteel {
namespace {

constexpr std::size_t at(Index i) { return static_cast<std::size_t>(i); }

using Value = std::function<double(Index row, Index column)>;

std::vector<double> matrix(Index rows, Index rank, const Value& value) {
  std::vector<double> values;
  for (Index r = 0; r < rows; ++r)
    for (Index j = 0; j < rank; ++j) values.push_back(value(r, j));
  return values;
}

double draw(std::uint64_t purpose, Index row, Index column) {
  return philox_uniform(31, purpose, static_cast<std::uint64_t>(row * 4096 + column)) - 0.5;
}

/// Positions and scores of the best by the definition.
void expect_best(const std::vector<double>& queries, const std::vector<double>& candidates, Index rank,
                 Index top) {
  const auto count = static_cast<Index>(candidates.size()) / rank;
  std::vector<std::int32_t> which(queries.size() / at(rank));
  std::iota(which.begin(), which.end(), 0);
  std::reverse(which.begin(), which.end());
  const auto packed = pack_candidates(candidates, rank, static_cast<Index>(which.size()));
  for (const int threads : {1, 3}) {
    const auto best = best_matches(queries, which, packed, top, threads);
    ASSERT_EQ(best.count, std::min(top, count));
    for (std::size_t q = 0; q < which.size(); ++q) {
      std::vector<double> scores;
      for (Index c = 0; c < count; ++c) {
        double score = 0;
        for (Index j = 0; j < rank; ++j)
          score = std::fma(queries[at(which[q] * rank + j)], candidates[at(c * rank + j)], score);
        scores.push_back(score);
      }
      std::vector<std::int32_t> order(at(count));
      std::iota(order.begin(), order.end(), 0);
      std::stable_sort(order.begin(), order.end(),
                       [&](std::int32_t a, std::int32_t b) { return scores[at(a)] > scores[at(b)]; });
      for (Index i = 0; i < best.count; ++i) {
        const auto place = q * at(best.count) + at(i);
        ASSERT_EQ(best.positions[place], order[at(i)]) << "query " << which[q] << ", place " << i;
        ASSERT_EQ(best.scores[place], scores[at(order[at(i)])]);
      }
    }
  }
}

TEST(BestMatches, are_those_of_all_pairs) {
  for (const Index rank : {1, 4, 33})
    for (const Index count : {1, 31, 32, 700})
      for (const Index top : {1, 10, 100})
        expect_best(matrix(61, rank, [](Index r, Index j) { return draw(1, r, j); }),
                    matrix(count, rank,
                           [](Index r, Index j) { return draw(2, r, j) * static_cast<double>(1 + r % 17); }),
                    rank, top);
}

TEST(BestMatches, are_found_along_few_axes) {
  // Most of each row along 5 directions, queries that lie elsewhere too, and some along no axis at all.
  const auto along_few = [](std::uint64_t purpose, double rest) {
    return [=](Index r, Index j) {
      double value = rest * draw(purpose, r, j);
      for (Index axis = 0; axis < 5; ++axis)
        value += draw(purpose, r, 100 + axis) * draw(1, axis, j);  // the same directions
      return value;
    };
  };
  const auto candidates = matrix(1500, 24, along_few(12, 0.01));
  auto queries = matrix(1040, 24, along_few(13, 0.02));
  ASSERT_FALSE(pack_candidates(candidates, 24, 1040).axes.empty());
  for (std::size_t j = 0; j < 24 * 30; ++j)
    queries[j] = draw(14, static_cast<Index>(j) / 24, static_cast<Index>(j) % 24);
  std::fill_n(queries.begin() + 24 * 40, 24, 0.0);
  expect_best(queries, candidates, 24, 10);
}

TEST(BestMatches, ties_go_to_the_smaller_position) {
  // Whole numbers: many equal products, and candidates that stand there several times.
  expect_best(matrix(50, 3, [](Index r, Index j) { return std::round(4 * draw(3, r, j)); }),
              matrix(900, 3, [](Index r, Index j) { return std::round(3 * draw(4, r % 40, j)); }), 3, 10);
  // All candidates alike, and a query of zeros.
  expect_best(matrix(3, 2, [](Index r, Index) { return static_cast<double>(r) - 1; }),
              matrix(2000, 2, [](Index, Index j) { return static_cast<double>(j + 1); }), 2, 7);
}

TEST(BestMatches, are_told_apart_where_single_precision_cannot) {
  // Candidates that differ by one part in 2^45 only, in no order.
  const auto nearly_one = [](Index r, Index j) {
    return 1 + static_cast<double>((r * 7919 + j) % 5000) * 0x1p-45;
  };
  expect_best(matrix(40, 6, [](Index r, Index j) { return draw(5, r, j) + 0.6; }),
              matrix(5000, 6, nearly_one), 6, 10);
  // Products that cancel: single precision has no digit right.
  expect_best(matrix(40, 2, [](Index, Index j) { return j == 0 ? 1.0 : -1.0; }),
              matrix(3000, 2, [](Index r, Index j) { return 1e6 + draw(6, r, j) * 1e-4; }), 2, 10);
}

TEST(BestMatches, of_very_large_and_very_small_factors) {
  for (const double queries : {1e-320, 1e-200, 1e-40, 1e30, 1e200})
    for (const double candidates : {1e-310, 1e-160, 1e-40, 1e100}) {
      if (queries * candidates > 1e290) continue;
      expect_best(matrix(20, 4, [&](Index r, Index j) { return draw(7, r, j) * queries; }),
                  matrix(300, 4, [&](Index r, Index j) { return draw(8, r, j) * candidates; }), 4, 5);
    }
  // Within one matrix.
  expect_best(matrix(20, 4,
                     [&](Index r, Index j) {
                       return draw(7, r, j) * std::pow(10, 20 * static_cast<double>(r % 9) - 90);
                     }),
              matrix(300, 4,
                     [&](Index r, Index j) {
                       return draw(8, r, j) * std::pow(10, 10 * static_cast<double>(r % 11) - 50);
                     }),
              4, 5);
  // Products that overflow are infinite: those of larger position are not better.
  expect_best(
      matrix(20, 1, [&](Index, Index) { return 1e200; }),
      matrix(300, 1,
             [&](Index r, Index) { return r % 3 == 0 ? 1e150 + static_cast<double>(r) * 1e147 : -1.0; }),
      1, 5);
}

TEST(BestMatches, of_numbers_that_are_none_are_whole_lists) {
  auto queries = matrix(30, 2, [](Index r, Index j) { return draw(9, r, j); });
  auto candidates = matrix(80, 2, [](Index r, Index j) { return draw(10, r, j); });
  queries[7] = NAN;
  candidates[21] = INFINITY;
  std::vector<std::int32_t> which(30);
  std::iota(which.begin(), which.end(), 0);
  const auto best = best_matches(queries, which, pack_candidates(candidates, 2, 30), 12, 2);
  for (std::size_t q = 0; q < 30; ++q) {
    std::vector<std::int32_t> positions(best.positions.begin() + static_cast<std::ptrdiff_t>(q) * 12,
                                        best.positions.begin() + static_cast<std::ptrdiff_t>(q + 1) * 12);
    std::sort(positions.begin(), positions.end());
    EXPECT_EQ(std::adjacent_find(positions.begin(), positions.end()), positions.end());
    EXPECT_TRUE(positions.front() >= 0 && positions.back() < 80);
  }
}

}  // namespace
}  // namespace firesteel
