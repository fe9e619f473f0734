// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "firesteel/core/philox.hpp"
#include "firesteel/core/row_blocks.hpp"

namespace firesteel::test {

/// All rows of a small data set, on every rank.
struct RatingRows {
  std::vector<std::int64_t> users;
  std::vector<std::int64_t> items;
  std::vector<double> ratings;

  void add(std::int64_t user, std::int64_t item, double rating) {
    users.push_back(user);
    items.push_back(item);
    ratings.push_back(rating);
  }
  std::size_t size() const { return ratings.size(); }
};

template <class T>
std::vector<T> slice(const std::vector<T>& values, std::size_t begin, std::size_t end) {
  return {values.begin() + static_cast<std::ptrdiff_t>(begin),
          values.begin() + static_cast<std::ptrdiff_t>(end)};
}

/// This rank's share of the rows. Cut unevenly, so that cuts fall anywhere.
inline Ratings ratings_of(const Context& context, const RatingRows& rows) {
  const auto ranks = static_cast<std::size_t>(context.size());
  const auto rank = static_cast<std::size_t>(context.rank());
  const auto cut = [&](std::size_t r) { return rows.size() * r * (r + 1) / (ranks * (ranks + 1)); };
  Ratings data{.context = context};
  data.rows = static_cast<Index>(rows.size());
  data.first_row = static_cast<Index>(cut(rank));
  data.users = slice(rows.users, cut(rank), cut(rank + 1));
  data.items = slice(rows.items, cut(rank), cut(rank + 1));
  data.ratings = slice(rows.ratings, cut(rank), cut(rank + 1));
  data.has_ratings = true;
  return data;
}

/// Ratings 1 … 5 in halves of random pairs, some of them twice; ids far apart, negative and beyond 2^53.
inline RatingRows random_ratings(std::uint64_t seed, std::size_t count, std::int64_t users,
                                 std::int64_t items) {
  RatingRows rows;
  const auto draw = [&](std::uint64_t purpose, std::size_t r) { return philox_uniform(seed, purpose, r); };
  for (std::size_t r = 0; r < count; ++r) {
    const double skewed = draw(1, r) * draw(2, r);
    const auto user = static_cast<std::int64_t>(skewed * static_cast<double>(users));
    const auto item = static_cast<std::int64_t>(draw(3, r) * static_cast<double>(items));
    rows.add((std::int64_t{1} << 60) + user * 7 - (user % 3) * (std::int64_t{1} << 61), item * item - 50,
             1 + static_cast<double>(static_cast<int>(draw(4, r) * 9)) / 2);
  }
  return rows;
}

/// userId,movieId,rating,timestamp with a header: (rows of the training part, rows of the test part); every
/// tenth row is a test row.
inline std::pair<RatingRows, RatingRows> read_movielens(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  std::pair<RatingRows, RatingRows> parts;
  for (std::size_t row = 0; std::getline(file, line); ++row) {
    std::istringstream fields(line);
    std::int64_t user = 0;
    std::int64_t item = 0;
    double rating = 0;
    char comma = 0;
    fields >> user >> comma >> item >> comma >> rating;
    (row % 10 == 0 ? parts.second : parts.first).add(user, item, rating);
  }
  return parts;
}

}  // namespace firesteel::test
