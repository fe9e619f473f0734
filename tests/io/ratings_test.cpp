// SPDX-License-Identifier: Apache-2.0
#include "text_fixture.hpp"

namespace firesteel {
namespace {

using RatingsCsv = testing::TextTest;
using Texts = std::vector<std::string>;
using Integers = std::vector<std::int64_t>;

ReadOptions options_for(const std::string& path) {
  ReadOptions options;
  options.inputs = {path};
  return options;
}

Integers all_integers(const Context& context, const ColumnValues& values) {
  return context.comm().allgatherv(std::span<const std::int64_t>(std::get<Integers>(values)));
}

TEST_F(RatingsCsv, reads_ids_and_ratings_in_file_order) {
  auto options =
      options_for(write("a.csv", "userId,movieId,rating,time\n1,9223372036854775807,4.5,0\n-7,3,1,0\n"));
  options.user = "userId";
  options.item = "1";
  const auto ratings = read_ratings(context, options).ratings;
  EXPECT_EQ(ratings.rows, 2);
  EXPECT_EQ(ratings.user_name, "userId");
  EXPECT_EQ(ratings.item_name, "movieId");
  EXPECT_EQ(all_integers(context, ratings.users), (Integers{1, -7}));
  EXPECT_EQ(all_integers(context, ratings.items), (Integers{9223372036854775807, 3}));
  EXPECT_EQ(context.comm().allgatherv(std::span<const double>(ratings.ratings)),
            (std::vector<double>{4.5, 1}));
  EXPECT_TRUE(ratings.has_ratings);
}

TEST_F(RatingsCsv, one_id_that_is_no_integer_makes_the_column_text) {
  std::string text = "user,item\n";
  Texts users;
  for (int row = 0; row < 400; ++row) {
    users.push_back(row == 390 ? "9223372036854775808" : "0" + std::to_string(row));
    text += users.back() + "," + std::to_string(row % 7) + "\n";
  }
  const auto ratings = read_ratings(context, options_for(write("a.csv", text))).ratings;
  EXPECT_EQ(all_texts(ratings.users), users);
  EXPECT_EQ(all_integers(context, ratings.items).size(), 400U);
  EXPECT_FALSE(ratings.has_ratings);
  EXPECT_TRUE(ratings.ratings.empty());
  EXPECT_EQ(ratings.first_row, 400 * context.rank() / context.size());
}

TEST_F(RatingsCsv, ids_that_differ_in_writing_stay_different) {
  const std::string text = "user,item\n7,0\n007,-3\n+7,10\n-0,5\n";
  const auto ratings = read_ratings(context, options_for(write("a.csv", text))).ratings;
  EXPECT_EQ(all_texts(ratings.users), (Texts{"7", "007", "+7", "-0"}));
  EXPECT_EQ(all_integers(context, ratings.items), (Integers{0, -3, 10, 5}));
}

TEST_F(RatingsCsv, columns_can_be_kept_and_numbered) {
  auto options = options_for(write("a.csv", "a\tb\t3\nc\td\t4\n"));
  options.header = false;
  options.delimiter = "tab";
  options.user = "0";
  options.item = "1";
  options.rating = "-1";
  options.keep = {"2"};
  const auto input = read_ratings(context, options);
  EXPECT_EQ(all_texts(input.ratings.users), (Texts{"a", "c"}));
  EXPECT_EQ(all_texts(input.kept.columns.at(0).values), (Texts{"3", "4"}));
  EXPECT_EQ(input.kept.columns.at(0).name, "2");
}

TEST_F(RatingsCsv, says_what_is_wrong) {
  auto options = options_for(write("a.csv", "user,item,rating\n1,2,x\n"));
  EXPECT_EQ(rating_error_of(options),
            "a.csv:2:3: expected a finite number as rating, got 'x' (column 'rating')");
  options.inputs = {write("b.csv", "user,item,rating\n1,2,3\n1,,3\n")};
  EXPECT_EQ(rating_error_of(options), "b.csv:3:2: expected an id, got nothing (column 'item')");
  options.inputs = {write("c.csv", "users,item\n1,2\n")};
  EXPECT_EQ(rating_error_of(options),
            "--user: no column 'user' in c.csv, which has 'users', 'item'; did you mean 'users'?");
  options.inputs = {write("d.csv", "user,item,rating\n1,2,inf\n")};
  EXPECT_EQ(rating_error_of(options),
            "d.csv:2:3: expected a finite number as rating, got 'inf' (column 'rating')");
  options.inputs = {write("e.csv", "user,item,rating\n1,2\n")};
  EXPECT_EQ(rating_error_of(options), "e.csv:2: expected 3 columns, got 2");
  options.inputs = {write("f.csv", "user,item\n1,2\n")};
  options.rating = "stars";
  EXPECT_EQ(rating_error_of(options), "--rating: no column 'stars' in f.csv, which has 'user', 'item'");
}

}  // namespace
}  // namespace firesteel
