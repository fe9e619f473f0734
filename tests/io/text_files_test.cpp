// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/text_files.hpp"

#include <algorithm>
#include <random>

#include "text_fixture.hpp"

namespace firesteel {
namespace {

using TextFilesTest = testing::TextTest;

TEST_F(TextFilesTest, a_file_that_shrinks_while_it_is_read_is_an_error_that_says_so) {
  const auto path = write("a.csv", std::string(1000, 'x'));
  const auto files = open_text_files(context, {path});
  write("a.csv", std::string(600, 'x'));
  TextReader reader(files);
  EXPECT_EQ(reader.read(0, 0, 600).size(), 600U);
  try {
    reader.read(0, 500, 1000);
    ADD_FAILURE() << "did not throw";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::io_failed);
    EXPECT_EQ(error.what(), path + ": ends at byte 600, expected 1000 bytes: it shrank while it was read");
    EXPECT_EQ(error.place().offset, 500);
  }
}

TEST_F(TextFilesTest, a_piece_ends_in_a_line_break_and_padding) {
  const auto files = open_text_files(context, {write("a.csv", "abc")});
  TextReader reader(files);
  const auto text = reader.read(0, 1, 3);
  EXPECT_EQ(std::string(text.begin(), text.end()), "bc");
  EXPECT_EQ(text.data()[2], '\n');
}

TEST(LineBreaks, are_counted_at_any_length) {
  std::mt19937_64 random(1);
  for (const std::size_t length : {0U, 1U, 31U, 32U, 33U, 8159U, 8160U, 8161U, 100000U}) {
    std::string text(length, '\n');
    for (char& c : text) c = random() % 3 == 0 ? 'a' : '\n';
    EXPECT_EQ(count_line_breaks(text), std::count(text.begin(), text.end(), '\n'));
  }
}

}  // namespace
}  // namespace firesteel
