// SPDX-License-Identifier: Apache-2.0
#include "firesteel/linalg/two_limb_terms.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "firesteel/core/philox.hpp"

namespace firesteel {
namespace {

constexpr Index kColumns = 21;  // whole registers and a rest
constexpr Index kRows = 200;

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

/// Rows of stride() values: uniform around `offset`, columns of different width, a 1 for the weight.
std::vector<double> make_rows(Index stride, double offset, bool single) {
  std::vector<double> rows(at(kRows * stride), 0.0);
  for (Index r = 0; r < kRows; ++r) {
    for (Index j = 0; j < kColumns; ++j) {
      const double unit = philox_uniform(7, 0, static_cast<std::uint64_t>(r * kColumns + j)) - 0.5;
      const double x = offset + std::ldexp(unit, static_cast<int>(j % 7) - 3);
      rows[at(r * stride + j)] = single ? static_cast<double>(static_cast<float>(x)) : x;
    }
    rows[at(r * stride + kColumns)] = 1.0;
  }
  rows[3] = std::ldexp(1.0, -60);  // next to nothing in a column of ordinary numbers
  rows[4] = 0.0;
  return rows;
}

TwoLimbTerms make_terms(const std::vector<double>& rows, double shift, double largest_weight) {
  const Index stride = (kColumns + 8) / 8 * 8;
  std::vector<double> largest(at(kColumns), 0.0);
  for (Index r = 0; r < kRows; ++r)
    for (Index j = 0; j < kColumns; ++j)
      largest[at(j)] = std::max(largest[at(j)], std::abs(rows[at(r * stride + j)] - shift));
  TwoLimbTerms terms(kRows, std::vector<double>(at(kColumns), shift), largest, largest_weight);
  std::vector<double> most(at(kColumns) + 1, 0.0);
  std::vector<double> least(at(kColumns) + 1, std::numeric_limits<double>::infinity());
  for (Index r = 0; r < kRows; ++r)
    for (Index j = 0; j < kColumns; ++j)
      most[at(j)] = std::max(most[at(j)], std::abs(terms.term(j, rows[at(r * stride + j)], largest_weight)));
  most[at(kColumns)] = largest_weight * terms.weight_scale();
  terms.set_magnitudes(most, least);
  return terms;
}

/// Rows moved by registers, which look for whole numbers first, against column by column, which does not.
void expect_equal_moves(double offset, double shift, bool single, bool weighted) {
  const Index stride = (kColumns + 8) / 8 * 8;
  const auto rows = make_rows(stride, offset, single);
  const TwoLimbTerms terms = make_terms(rows, shift, weighted ? 3.0 : 1.0);
  ASSERT_EQ(terms.stride(), stride);
  std::vector<std::int64_t> found(at(2 * terms.length()), 0);
  std::vector<std::int64_t> expected = found;
  std::vector<TwoLimbTerms::Move> moves;
  for (Index r = 0; r < kRows; ++r) {
    const double weight = weighted ? 3 * philox_uniform(8, 0, static_cast<std::uint64_t>(r)) : 1.0;
    moves.push_back({weight, found.data(), r % 3 == 0 ? nullptr : found.data() + terms.length()});
    std::int64_t* from = r % 3 == 0 ? nullptr : expected.data() + terms.length();
    for (Index j = 0; j <= kColumns; ++j)
      terms.move(j, rows[at(r * stride + j)], weight, expected.data(), from);
  }
  terms.move(rows.data(), moves);
  EXPECT_EQ(found, expected);
  // And the sum is the sum: a long double carries what the columns need here.
  for (Index j = 0; j < kColumns; ++j) {
    long double sum = 0;
    long double size = 0;
    for (Index r = 0; r < kRows; ++r) {
      const auto term =
          (static_cast<long double>(rows[at(r * stride + j)]) - static_cast<long double>(shift)) *
          static_cast<long double>(moves[at(r)].weight);
      sum += term;
      size += std::abs(term);
    }
    EXPECT_NEAR(terms.value(j, terms.sum(found.data(), j)), static_cast<double>(sum),
                1e-15 * static_cast<double>(size));  // the last rounding, to double
  }
}

TEST(TwoLimbTerms, rows_move_as_their_columns_do) {
  for (const bool single : {true, false})
    for (const bool weighted : {true, false}) {
      expect_equal_moves(0, 0, single, weighted);
      expect_equal_moves(0, 0.125, single, weighted);
      expect_equal_moves(1000, 1000.25, single, weighted);
    }
}

TEST(TwoLimbTerms, shifts_that_are_not_whole_take_the_long_way) {
  expect_equal_moves(0, 0x1p-70, true, false);         // finer than the high limb
  expect_equal_moves(1e9, 1e9 + 0.5, false, false);    // beyond 2^50 of its units
  expect_equal_moves(1.0 / 3, 1.0 / 3, false, false);  // all bits in use
}

}  // namespace
}  // namespace firesteel
