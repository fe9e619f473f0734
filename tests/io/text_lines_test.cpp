// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/text_lines.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace firesteel {
namespace {

/// A file that rank 0 writes and removes again.
class SharedFile {
 public:
  SharedFile(const Context& context, const std::string& text) : context_(context) {
    const auto name = "firesteel_lines_" + std::to_string(getpid());
    path_ = broadcast(context, (std::filesystem::temp_directory_path() / name).string());
    if (context.rank() == 0) std::ofstream(path_, std::ios::binary) << text;
    context.comm().barrier();
  }
  ~SharedFile() {
    context_.comm().barrier();
    if (context_.rank() == 0) std::filesystem::remove(path_);
  }
  const std::string& path() const { return path_; }

 private:
  Context context_;
  std::string path_;
};

Context small_blocks() {
  setenv("FIRESTEEL_BLOCK_ROWS", "32", 1);
  return Context({.threads = 2, .monitor = nullptr});
}

TEST(TextLines, are_those_of_getline_in_order) {
  const Context context = small_blocks();
  std::string long_text;
  for (int i = 0; i < 5000; ++i) long_text += std::string(static_cast<std::size_t>(i * 37 % 90), 'x') + "\n";
  for (const std::string& text :
       {std::string(), std::string("\n"), std::string("a"), std::string("a\n\nb\n"), std::string("\n\n\nx"),
        std::string("a\r\nb\r\n"), long_text, long_text + "last", std::string(100000, 'y')}) {
    const SharedFile file(context, text);
    std::vector<std::string> expected;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);) {
      if (!line.empty() && line.back() == '\r') line.pop_back();
      expected.push_back(line);
    }
    const auto lines = read_lines(context, file.path());
    EXPECT_EQ(lines.partition().rows(), static_cast<Index>(expected.size()));
    EXPECT_EQ(lines.collect(), expected);
    EXPECT_EQ(lines.count(), static_cast<Index>(expected.size()));
    const auto views = read_line_views(context, file.path());
    EXPECT_EQ(views.map([](std::string_view line) { return std::string(line); }).collect(), expected);
  }
}

TEST(TextLines, errors_name_file_and_line_on_every_rank) {
  const Context context = small_blocks();
  std::string text;
  for (int i = 1; i <= 400; ++i) text += std::to_string(i == 217 || i == 300 ? -i : i) + "\n";
  const SharedFile file(context, text);
  try {
    read_lines(context, file.path())
        .map([](const std::string& line) {
          if (std::stoi(line) < 0) throw std::runtime_error("expected a positive number, got " + line);
          return 1;
        })
        .count();
    ADD_FAILURE() << "did not throw";
  } catch (const Error& error) {
    EXPECT_EQ(error.what(), file.path() + ":217: expected a positive number, got -217");
    EXPECT_EQ(error.code(), ErrorCode::bad_input);
    EXPECT_TRUE(error.agreed());
  }
}

TEST(TextLines, a_file_that_is_absent_or_changes_is_told) {
  const Context context = small_blocks();
  try {
    read_lines(context, "/no/such/file");
    ADD_FAILURE() << "did not throw";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "cannot read '/no/such/file': No such file or directory");
    EXPECT_EQ(error.code(), ErrorCode::no_input);
    EXPECT_TRUE(error.agreed());
  }
  EXPECT_THROW(read_lines(context, "/tmp"), Error);
  const SharedFile file(context, "one\ntwo\nthree\n");
  const auto lines = read_lines(context, file.path());
  context.comm().barrier();
  if (context.rank() == 0) std::filesystem::resize_file(file.path(), 5);
  context.comm().barrier();
  try {
    lines.count();
    ADD_FAILURE() << "did not throw";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::io_failed);
    EXPECT_TRUE(error.agreed());
  }
}

}  // namespace
}  // namespace firesteel
