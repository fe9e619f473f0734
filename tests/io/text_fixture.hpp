// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "firesteel/core/context.hpp"
#include "firesteel/core/monitor.hpp"
#include "firesteel/io/read_options.hpp"

namespace firesteel::testing {

/// Keeps the warnings that a rank hears.
class RecordingMonitor : public Monitor {
 public:
  void warning(std::string_view text) override { warnings.emplace_back(text); }
  std::vector<std::string> warnings;
};

/// A directory of small text files that rank 0 writes; blocks of 32 rows.
class TextTest : public ::testing::Test {
 protected:
  TextTest() : monitor(std::make_shared<RecordingMonitor>()), context({.threads = 2, .monitor = monitor}) {
    ::setenv("FIRESTEEL_BLOCK_ROWS", "32", 1);
    const auto id = context.comm().broadcast_value(static_cast<Index>(::getpid()), 0);
    directory = (std::filesystem::temp_directory_path() / ("firesteel_io_" + std::to_string(id))).string();
    if (context.rank() == 0) std::filesystem::create_directories(directory);
    context.comm().barrier();
  }
  ~TextTest() override {
    context.comm().barrier();
    if (context.rank() == 0) std::filesystem::remove_all(directory);
  }

  std::string write(const std::string& name, const std::string& text) {
    const std::string path = directory + "/" + name;
    context.comm().barrier();
    if (context.rank() == 0) std::ofstream(path, std::ios::binary) << text;
    context.comm().barrier();
    return path;
  }

  /// The bytes of a file in tests/reference. Tests run in the root of the repository.
  static std::string reference(const std::string& name) {
    std::ifstream file("tests/reference/" + name, std::ios::binary);
    EXPECT_TRUE(file) << name;
    return {std::istreambuf_iterator<char>(file), {}};
  }

  /// Reads rows; the error's text if that fails.
  std::string error_of(const ReadOptions& options) {
    try {
      read_rows(context, options);
    } catch (const Error& error) {
      EXPECT_TRUE(error.agreed());
      last_code = error.code();
      std::string text = error.what();
      for (auto at = text.find(directory + "/"); at != std::string::npos; at = text.find(directory + "/"))
        text.erase(at, directory.size() + 1);
      return text;
    }
    return "no error";
  }
  std::string rating_error_of(const ReadOptions& options) {
    try {
      read_ratings(context, options);
    } catch (const Error& error) {
      std::string text = error.what();
      for (auto at = text.find(directory + "/"); at != std::string::npos; at = text.find(directory + "/"))
        text.erase(at, directory.size() + 1);
      return text;
    }
    return "no error";
  }

  /// All ranks' values in row order, columns side by side.
  std::vector<double> all_values(const RowBlocks& rows) {
    std::vector<double> own;
    for (Index row = 0; row < rows.local_rows(); ++row)
      for (Index column = 0; column < rows.columns(); ++column) own.push_back(value(rows, row, column));
    return context.comm().allgatherv(std::span<const double>(own));
  }
  std::vector<double> all_numbers(const ColumnValues& values) {
    return context.comm().allgatherv(std::span<const double>(std::get<std::vector<double>>(values)));
  }
  std::vector<std::string> all_texts(const ColumnValues& values) {
    return context.comm().allgather_texts(std::get<std::vector<std::string>>(values));
  }

  static double value(const RowBlocks& rows, Index row, Index column) {
    return std::visit(
        [&](const auto& storage) -> double {
          if constexpr (requires { storage.row_begin; }) {
            const auto indices = storage.row_indices(row);
            for (std::size_t i = 0; i < indices.size(); ++i)
              if (indices[i] == column) return static_cast<double>(storage.row_values(row)[i]);
            return 0;
          } else {
            return static_cast<double>(storage.at(row, column));
          }
        },
        rows.features);
  }

  std::shared_ptr<RecordingMonitor> monitor;
  Context context;
  std::string directory;
  ErrorCode last_code = ErrorCode::internal;
};

}  // namespace firesteel::testing
