// SPDX-License-Identifier: Apache-2.0
// Labels that bounds carry from one set of centres to the next are those of a search of every row, and rows
// are spared where centres stand still.
#include "firesteel/algorithms/kmeans_bounds.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "firesteel/algorithms/kmeans_metrics.hpp"
#include "firesteel/algorithms/kmeans_sums.hpp"
#include "firesteel/linalg/row_bounds.hpp"
#include "firesteel/tests/algorithms/kmeans_data.hpp"

namespace firesteel {
namespace {

using test::dense;

double uniform(std::uint64_t purpose, std::size_t i) { return philox_uniform(purpose, 0, i); }

struct Shape {
  const char* name;
  Index rows;
  Index columns;
  Index clusters;
  double scale;   ///< of the values
  double offset;  ///< added to all
  bool single;
};

/// Rows around `clusters` places; every 50th row is a copy of row 0, so that there are ties.
std::vector<double> make_values(const Shape& shape) {
  std::vector<double> values;
  for (Index r = 0; r < shape.rows; ++r) {
    const auto row = static_cast<std::size_t>(r % 50 == 0 ? 0 : r);
    const auto cluster = static_cast<std::size_t>(uniform(1, row) * static_cast<double>(shape.clusters));
    for (Index j = 0; j < shape.columns; ++j) {
      const auto column = static_cast<std::size_t>(j);
      const double value = 4 * uniform(2, 100 * cluster + column) + uniform(3, 1000 * row + column);
      const double scaled = value * shape.scale + shape.offset;
      values.push_back(shape.single ? static_cast<double>(static_cast<float>(scaled)) : scaled);
    }
  }
  return values;
}

/// The first rows, pushed about: far at first, then less and less, at last by single units in the last place.
void push(std::vector<double>& centres, const Shape& shape, int step) {
  for (std::size_t i = 0; i < centres.size(); ++i) {
    if (step % 3 == 2 && static_cast<Index>(i) >= shape.columns) break;  // one centre alone
    const double direction = uniform(static_cast<std::uint64_t>(10 + step), i) - 0.5;
    centres[i] = step < 12 ? centres[i] + shape.scale * std::ldexp(direction, 1 - step)
                           : std::nextafter(centres[i], direction > 0 ? 1e308 : -1e308);
  }
}

void expect_labels_of_a_full_search(const Shape& shape) {
  SCOPED_TRACE(shape.name);
  const auto values = make_values(shape);
  const RowBlocks rows = dense(Context({.threads = 2}), values, shape.columns, {}, shape.single);
  const auto points = detail::KMeansPoints::make(rows, false);
  detail::ClusterSums sums(*points, shape.clusters);
  std::vector<double> centres(values.begin(), values.begin() + shape.clusters * shape.columns);
  for (int step = 0; step < 16; ++step) {
    sums.assign(centres);
    const auto expected = detail::assign_rows(*points, centres).labels;
    ASSERT_TRUE(std::equal(expected.begin(), expected.end(), sums.labels().begin())) << "step " << step;
    push(centres, shape, step);
  }
}

TEST(KMeansBounds, carry_the_labels_of_a_full_search) {
  setenv("FIRESTEEL_BLOCK_ROWS", "1024", 1);  // several tiles a search, so that stale rows are packed
  const Shape shapes[] = {
      {"double", 3000, 10, 10, 1, 0, false},           {"single", 3000, 10, 10, 1, 0, true},
      {"many centres", 2000, 5, 80, 1, 0, true},       {"one centre", 500, 3, 1, 1, 0, false},
      {"more columns", 2000, 17, 10, 1, 0, false},     {"more columns, single", 2000, 17, 10, 1, 0, true},
      {"far from zero", 2000, 7, 6, 1e-3, 1e5, false}, {"far from zero, single", 2000, 7, 6, 1, 1e4, true},
      {"huge", 1000, 4, 5, 1e150, 0, false},           {"tiny", 1000, 4, 5, 1e-150, 0, false}};
  for (const Shape& shape : shapes) expect_labels_of_a_full_search(shape);
}

TEST(KMeansBounds, of_few_columns_and_centres_are_used_while_they_spare_most_rows) {
  EXPECT_TRUE(detail::BoundsUse(100, 32).bounded());
  EXPECT_TRUE(detail::BoundsUse(2, 17).bounded());
  detail::BoundsUse large(33, 10);
  large.note_pass(1000, 1000, 1000);
  EXPECT_TRUE(large.bounded());

  detail::BoundsUse use(32, 10);
  EXPECT_FALSE(use.bounded());
  use.note_pass(1000, 0, 1000);
  EXPECT_FALSE(use.bounded());
  for (const int wait : {1, 2, 4}) {
    use.note_pass(1000, 0, 30);
    ASSERT_TRUE(use.bounded());
    use.note_pass(1000, 500, 10);
    EXPECT_TRUE(use.bounded()) << "half is spared";
    use.note_pass(1000, 501, 10);
    for (int pass = 0; pass < wait - 1; ++pass) {
      EXPECT_FALSE(use.bounded()) << wait;
      use.note_pass(1000, 0, 0);
    }
    EXPECT_FALSE(use.bounded()) << wait;
  }
}

TEST(KMeansBounds, spare_rows_until_centres_have_moved_as_far_as_the_gap) {
  detail::CentreBounds bounds(1, 2, 1);
  detail::CentreBounds::Rows rows;
  std::array<std::int32_t, kTileRows> labels{};
  std::array<float, kTileRows> gaps;
  for (std::size_t r = 0; r < gaps.size(); ++r) {
    labels[r] = static_cast<std::int32_t>(r % 2);
    gaps[r] = r == 3 ? std::numeric_limits<float>::quiet_NaN() : 1 + static_cast<float>(r);
  }
  bounds.move(std::vector<double>{0, 10}, 1);
  ASSERT_TRUE(bounds.find_stale(0, 1, labels.data(), rows));
  EXPECT_EQ(rows.stale[0], ~std::uint32_t{0});
  bounds.renew(0, 1, labels.data(), gaps.data(), rows);
  ASSERT_TRUE(bounds.find_stale(0, 1, labels.data(), rows));
  EXPECT_EQ(rows.stale[0], 1U << 3);
  // Centre 0 moves by 4.5: rows of either cluster have lost 4.5, those with gaps 1 to 4 have nothing left.
  bounds.move(std::vector<double>{4.5, 10}, 1);
  ASSERT_TRUE(bounds.find_stale(0, 1, labels.data(), rows));
  EXPECT_EQ(rows.stale[0], 0b1111U);
  // Both move by 2: 4 more.
  bounds.move(std::vector<double>{6.5, 8}, 1);
  ASSERT_TRUE(bounds.find_stale(0, 1, labels.data(), rows));
  EXPECT_EQ(rows.stale[0], 0b11111111U);
  gaps.fill(100);
  bounds.renew(0, 1, labels.data(), gaps.data(), rows);
  EXPECT_FALSE(bounds.find_stale(0, 1, labels.data(), rows));
}

template <class Scalar>
void expect_packed_rows() {
  constexpr Index kColumns = 7;
  constexpr Index kStride = 3 * kTileRows;
  AlignedVector<Scalar> tile(static_cast<std::size_t>(kColumns * kTileRows));
  for (std::size_t i = 0; i < tile.size(); ++i) tile[i] = static_cast<Scalar>(i);
  const std::uint32_t masks[] = {0, 1, 0x80000000U, 0xffffffffU, 0x0f0f00f1U, 0x12345678U, 0xaaaaaaaaU};
  for (const std::uint32_t mask : masks) {
    AlignedVector<Scalar> packed(static_cast<std::size_t>(kColumns * kStride + kTileRows));
    const Index count = pack_rows(tile.data(), kColumns, mask, packed.data() + 5, kStride);
    Index place = 0;
    for (Index r = 0; r < kTileRows; ++r) {
      if ((mask >> r & 1U) == 0) continue;
      for (Index j = 0; j < kColumns; ++j)
        EXPECT_EQ(packed[static_cast<std::size_t>(j * kStride + 5 + place)],
                  tile[static_cast<std::size_t>(j * kTileRows + r)]);
      ++place;
    }
    EXPECT_EQ(count, place);
  }
  std::vector<double> rows(8 * 9, -1.0);
  copy_eight_rows(tile.data(), kColumns, 16, rows.data(), 9);
  for (std::size_t i = 0; i < 8; ++i)
    for (std::size_t j = 0; j < 9; ++j)
      EXPECT_EQ(rows[i * 9 + j],
                j < kColumns ? static_cast<double>(j * static_cast<std::size_t>(kTileRows) + 16 + i) : -1.0);
}

TEST(RowBounds, rows_are_packed_in_order) {
  expect_packed_rows<float>();
  expect_packed_rows<double>();
}

}  // namespace
}  // namespace firesteel
