// SPDX-License-Identifier: Apache-2.0
#include "firesteel/linalg/score_filter.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "firesteel/core/aligned_vector.hpp"
#include "firesteel/core/philox.hpp"

namespace firesteel {
namespace {

constexpr std::size_t at(Index i) { return static_cast<std::size_t>(i); }

double draw(std::uint64_t purpose, std::uint64_t counter) {
  return philox_uniform(23, purpose, counter) - 0.5;
}

TEST(ScoreFilter, tells_which_fused_chains_are_above) {
  for (const Index rank : {1, 3, 10, 32, 65}) {
    AlignedVector<float> tile(at(rank * kTileRows)), queries(at(rank * kFilterQueries));
    for (std::size_t i = 0; i < tile.size(); ++i) tile[i] = static_cast<float>(draw(1, i));
    for (std::size_t i = 0; i < queries.size(); ++i) queries[i] = static_cast<float>(draw(2, i));
    std::array<float, at(kFilterQueries)> thresholds{};
    for (std::size_t q = 0; q < thresholds.size(); ++q) thresholds[q] = static_cast<float>(draw(3, q)) / 2;
    thresholds[5] = std::numeric_limits<float>::infinity();
    thresholds[7] = -std::numeric_limits<float>::infinity();
    std::array<std::uint32_t, at(kFilterQueries)> above{};
    EXPECT_TRUE(score_above(queries.data(), tile.data(), rank, thresholds.data(), above.data()));
    for (std::size_t q = 0; q < at(kFilterQueries); ++q)
      for (std::size_t i = 0; i < at(kTileRows); ++i) {
        float expected = -thresholds[q];
        for (std::size_t j = 0; j < at(rank); ++j)
          expected = std::fma(queries[j * at(kFilterQueries) + q], tile[j * at(kTileRows) + i], expected);
        EXPECT_EQ((above[q] >> i & 1) != 0, expected > 0) << rank << " " << q << " " << i;
      }
    AlignedVector<float> most(at(kFilterQueries * kTileRows), 0.0F);
    raise_most(queries.data(), tile.data(), rank, most.data());
    for (std::size_t q = 0; q < at(kFilterQueries); ++q)
      for (std::size_t i = 0; i < at(kTileRows); ++i) {
        float expected = 0;
        for (std::size_t j = 0; j < at(rank); ++j)
          expected = std::fma(queries[j * at(kFilterQueries) + q], tile[j * at(kTileRows) + i], expected);
        EXPECT_EQ(most[q * at(kTileRows) + i], std::max(0.0F, expected));
      }
    EXPECT_EQ(above[5], 0U);
    EXPECT_EQ(above[7], ~std::uint32_t{0});
    thresholds.fill(static_cast<float>(rank));
    EXPECT_FALSE(score_above(queries.data(), tile.data(), rank, thresholds.data(), above.data()));
  }
}

TEST(ScoreFilter, exact_scores_are_fused_chains_in_double) {
  for (const Index rank : {1, 8, 33}) {
    std::vector<double> rows(at(40 * rank)), query(at(rank));
    for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = draw(4, i);
    for (std::size_t i = 0; i < query.size(); ++i) query[i] = draw(5, i);
    std::vector<std::int32_t> positions{39, 0, 7, 7, 21, 1, 2, 3, 4, 5, 6};
    std::vector<double> scores(positions.size());
    exact_scores(query.data(), rows.data(), rank, positions, scores.data());
    for (std::size_t p = 0; p < positions.size(); ++p) {
      double expected = 0;
      for (Index j = 0; j < rank; ++j)
        expected = std::fma(query[at(j)], rows[at(positions[p] * rank + j)], expected);
      EXPECT_EQ(scores[p], expected);
    }
  }
}

// The worst that a search over signs and magnitudes finds is well below the bound, and not by orders.
TEST(ScoreFilter, single_precision_errs_by_less_than_the_bound) {
  double worst = 0;
  for (const Index rank : {2, 10, 64})
    for (std::uint64_t trial = 0; trial < 2000; ++trial) {
      double exact = 0, u2 = 0, v2 = 0;
      float single = 0;
      for (Index j = 0; j < rank; ++j) {
        const auto at_j = trial * 1000 + static_cast<std::uint64_t>(j);
        const double u =
            trial % 3 == 0 ? std::fabs(draw(6, at_j)) : draw(6, at_j) / (1.0 + static_cast<double>(j));
        const double v = trial % 3 == 0 ? std::fabs(draw(7, at_j)) : draw(7, at_j);
        exact = std::fma(u, v, exact);
        single = std::fma(static_cast<float>(u), static_cast<float>(v), single);
        u2 += u * u;
        v2 += v * v;
      }
      worst = std::max(
          worst, std::fabs(static_cast<double>(single) - exact) / (std::sqrt(u2 * v2) * score_error(rank)));
    }
  EXPECT_LT(worst, 1);
  EXPECT_GT(worst, 0.05);
}

}  // namespace
}  // namespace firesteel
