// SPDX-License-Identifier: Apache-2.0
// From one format to another and back: the same numbers, and from the same rows the same bytes.
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <cstdlib>

#include "firesteel/io/read_options.hpp"
#include "firesteel/io/write_data.hpp"
#include "scratch.hpp"

namespace firesteel {
namespace {

class Convert : public testing::Test {
 protected:
  Convert() { ::setenv("FIRESTEEL_BLOCK_ROWS", "32", 1); }
  ~Convert() override { ::unsetenv("FIRESTEEL_BLOCK_ROWS"); }

  void rows(const std::string& from, const std::string& to, ReadOptions options = {}) const {
    options.inputs = {scratch / from};
    options.label_use = ReadOptions::Label::optional;
    write_rows(read_rows(context, options).rows, scratch / to);
  }
  void ratings(const std::string& from, const std::string& to) const {
    ReadOptions options;
    options.inputs = {scratch / from};
    write_ratings(read_ratings(context, options).ratings, scratch / to);
  }

  Context context;
  Scratch scratch{context};
};

TEST_F(Convert, csv_to_hdf5_and_back_is_the_same_text) {
  std::string text = "a,\"b,c\",label,weight\n";
  for (int row = 0; row < 300; ++row) {
    std::array<char, 128> line{};
    std::snprintf(line.data(), line.size(), "%d,0.%d,%s,0.25\n", row - 5, row % 9 + 1,
                  row % 2 == 0 ? "no" : "\"y, s\"");
    text += line.data();
  }
  scratch.put("a.csv", text);
  rows("a.csv", "b.h5", {.weight = "weight"});
  rows("b.h5", "c.csv", {.weight = "weight"});
  EXPECT_EQ(slurp(scratch / "c.csv"), text);
  rows("c.csv", "d.h5", {.weight = "weight"});
  EXPECT_TRUE(slurp(scratch / "b.h5") == slurp(scratch / "d.h5"));
}

TEST_F(Convert, csv_to_npz_and_json_lines_and_back_is_the_same_text) {
  std::string text = "a,\"b,c\",label,weight\n";
  for (int row = 0; row < 300; ++row)
    text += std::to_string(row - 5) + ",0." + std::to_string(row % 9 + 1) +
            (row % 2 == 0 ? ",no" : ",\"y, \"\"s\"") + ",0.25\n";
  scratch.put("a.csv", text);
  for (const char* name : {"b.npz", "b.jsonl"}) {
    rows("a.csv", name, {.weight = "weight"});
    rows(name, "c.csv", {.weight = "weight"});
    EXPECT_EQ(slurp(scratch / "c.csv"), text) << name;
    const std::string bytes = slurp(scratch / name);
    rows("c.csv", name, {.weight = "weight"});
    EXPECT_TRUE(slurp(scratch / name) == bytes) << name;
  }
}

TEST_F(Convert, libsvm_to_npz_and_matrix_market_stays_sparse) {
  std::string text;
  for (int row = 0; row < 300; ++row)
    text += "0 " + std::to_string(row % 7 + 1) + ":0.5 " + std::to_string(row % 7 + 3) + ":-2\n";
  scratch.put("a.svm", text);
  rows("a.svm", "b.npz");
  rows("b.npz", "c.svm");
  EXPECT_EQ(slurp(scratch / "c.svm"), text);
  ReadOptions without;
  without.inputs = {scratch / "a.svm"};
  without.label_use = ReadOptions::Label::ignored;
  write_rows(read_rows(context, without).rows, scratch / "d.mtx");
  rows("d.mtx", "e.svm");
  EXPECT_EQ(slurp(scratch / "e.svm"), text);
}

TEST_F(Convert, libsvm_to_hdf5_and_back_is_the_same_text) {
  std::string text;
  for (int row = 0; row < 300; ++row) {
    std::array<char, 128> line{};
    std::snprintf(line.data(), line.size(), "%d %d:0.5 %d:-2\n", row % 2, row % 7 + 1, row % 7 + 3);
    text += line.data();
  }
  scratch.put("a.svm", text);
  rows("a.svm", "b.h5");
  rows("b.h5", "c.svm");
  EXPECT_EQ(slurp(scratch / "c.svm"), text);
}

TEST_F(Convert, ratings_to_hdf5_and_back_are_the_same_text) {
  std::string text = "user,item,rating\n";
  for (int row = 0; row < 300; ++row) {
    std::array<char, 128> line{};
    std::snprintf(line.data(), line.size(), "%d,i%d,%d.5\n", row * 7 - 50, row % 13, row % 5);
    text += line.data();
  }
  scratch.put("a.csv", text);
  ratings("a.csv", "b.h5");
  ratings("b.h5", "c.csv");
  EXPECT_EQ(slurp(scratch / "c.csv"), text);
}

}  // namespace
}  // namespace firesteel
