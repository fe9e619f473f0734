// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/write_table.hpp"

#include <gtest/gtest.h>
#include <hdf5.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <functional>

#include "firesteel/core/error.hpp"
#include "firesteel/io/text_output.hpp"
#include "firesteel/tests/io/file_size_limit.hpp"
#include "firesteel/tests/io/scratch.hpp"

namespace firesteel {
namespace {

constexpr Index kRows = 3001;

double value_of(Index row) {
  return row % 7 == 0 ? 1.0 / 3.0 * static_cast<double>(row) : -0.1 * static_cast<double>(row);
}
std::string text_of(Index row) {
  std::string text = row % 3 == 0 ? "a,\"b\"\n" : "x";
  return text.append(std::to_string(row));
}

/// Rows dealt unevenly: rank 1 of several has none.
ColumnTable table_of(const Context& context) {
  const int holders = context.size() > 1 ? context.size() - 1 : 1;
  const int place = context.rank() > 1 ? context.rank() - 1 : context.rank();
  const bool empty = context.size() > 1 && context.rank() == 1;
  const Index begin = empty ? 0 : kRows * place / holders;
  const Index end = empty ? 0 : kRows * (place + 1) / holders;
  std::vector<std::int64_t> ids;
  std::vector<double> values;
  std::vector<std::string> texts;
  for (Index row = begin; row < end; ++row) {
    ids.push_back(row - 5);
    values.push_back(value_of(row));
    texts.push_back(text_of(row));
  }
  if (empty) return {{{"id", std::vector<double>{}}, {"the text", std::vector<double>{}}, {"value", values}}};
  return {{{"id", ids}, {"the text", texts}, {"value", values}}};
}

/// The definition of the file, by plain loops.
std::string expected_csv() {
  std::string out = "id,the text,value\n";
  for (Index row = 0; row < kRows; ++row) {
    out.append(std::to_string(row - 5)).append(",");
    if (row % 3 == 0)
      out.append("\"a,\"\"b\"\"\n").append(std::to_string(row)).append("\"");
    else
      out += text_of(row);
    std::array<char, 32> number{};
    std::snprintf(number.data(), number.size(), "%.17g", value_of(row));
    for (int digits = 4; digits < 17; ++digits) {
      std::array<char, 32> shorter{};
      std::snprintf(shorter.data(), shorter.size(), "%.*g", digits, value_of(row));
      if (std::strtod(shorter.data(), nullptr) != value_of(row)) continue;
      number = shorter;
      break;
    }
    out.append(",").append(number.data()).append("\n");
  }
  return out;
}

TEST(WriteTable, csv_is_the_ranks_rows_in_order_with_quotes_where_needed) {
  Context context;
  const Scratch scratch(context);
  write_table(context, table_of(context), scratch / "out.csv");
  EXPECT_TRUE(slurp(scratch / "out.csv") == expected_csv());
  EXPECT_EQ(scratch.names(), std::vector<std::string>{"out.csv"});
}

TEST(WriteTable, standard_output_gets_the_same_bytes_in_rank_order) {
  Context context;
  const Scratch scratch(context);
  std::fflush(stdout);
  const int saved = ::dup(STDOUT_FILENO);
  std::FILE* sink = std::fopen((scratch / std::to_string(context.rank())).c_str(), "w");
  ::dup2(::fileno(sink), STDOUT_FILENO);
  write_table(context, table_of(context), "-");
  ::dup2(saved, STDOUT_FILENO);
  ::close(saved);
  std::fclose(sink);
  EXPECT_EQ(slurp(scratch / std::to_string(context.rank())),
            context.rank() == 0 ? expected_csv() : std::string());
}

TEST(WriteTable, hdf5_has_one_array_a_column) {
  Context context;
  const Scratch scratch(context);
  write_table(context, table_of(context), scratch / "out.h5");
  const hid_t file = H5Fopen((scratch / "out.h5").c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
  ASSERT_GE(file, 0);
  std::vector<double> values(kRows);
  std::vector<std::int64_t> ids(kRows);
  const hid_t value_set = H5Dopen2(file, "value", H5P_DEFAULT);
  EXPECT_GE(H5Dread(value_set, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()), 0);
  const hid_t id_set = H5Dopen2(file, "id", H5P_DEFAULT);
  EXPECT_GE(H5Dread(id_set, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, ids.data()), 0);
  const hid_t text_set = H5Dopen2(file, "the text", H5P_DEFAULT);
  const hid_t type = H5Dget_type(text_set);
  const std::size_t length = H5Tget_size(type);
  std::string joined(length * kRows, 'x');
  EXPECT_GE(H5Dread(text_set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, joined.data()), 0);
  for (Index row = 0; row < kRows; ++row) {
    const auto i = static_cast<std::size_t>(row);
    ASSERT_EQ(values[i], value_of(row));
    ASSERT_EQ(ids[i], row - 5);
    std::string padded = text_of(row);
    padded.resize(length);
    ASSERT_EQ(joined.substr(i * length, length), padded);
  }
  H5Tclose(type);
  for (const hid_t set : {value_set, id_set, text_set}) H5Dclose(set);
  H5Fclose(file);
}

TEST(WriteTable, no_rows_give_the_header_alone) {
  Context context;
  const Scratch scratch(context);
  const ColumnTable table{{{"prediction", std::vector<double>{}}}};
  write_table(context, table, scratch / "out.csv");
  EXPECT_EQ(slurp(scratch / "out.csv"), "prediction\n");
  write_table(context, table, scratch / "out.h5");
}

ErrorCode code_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    EXPECT_TRUE(error.agreed());
    return error.code();
  }
  return ErrorCode{0};
}

TEST(WriteTable, an_output_that_cannot_be_is_told_before_anything_is_read) {
  Context context;
  const Scratch scratch(context);
  scratch.put("file.csv", "old");
  const auto probe = [&](const std::string& path) { return code_of([&] { probe_output(context, path); }); };
  EXPECT_EQ(probe(scratch / "no/such/directory.csv"), ErrorCode::cannot_create);
  EXPECT_EQ(probe(scratch / "file.csv" + "/below.csv"), ErrorCode::cannot_create);
  EXPECT_EQ(probe("/proc/out.csv"), ErrorCode::cannot_create);
  EXPECT_EQ(probe(scratch / "out.parquet"), ErrorCode::bad_parameter);
  EXPECT_EQ(probe("-"), ErrorCode{0});
  EXPECT_EQ(probe(scratch / "file.csv"), ErrorCode{0});
  EXPECT_EQ(slurp(scratch / "file.csv"), "old");
  EXPECT_EQ(scratch.names(), std::vector<std::string>{"file.csv"});
  context.comm().barrier();
  if (context.rank() == 0) ::mkdir((scratch / "directory.csv").c_str(), 0777);
  EXPECT_EQ(probe(scratch / "directory.csv"), ErrorCode::cannot_create);
}

TEST(WriteTable, a_full_disk_of_one_rank_ends_all_and_leaves_the_old_file) {
  Context context;
  const Scratch scratch(context);
  const int full = context.size() > 2 ? context.size() - 1 : 0;  // rank 1 has no rows
  for (const char* name : {"out.csv", "out.h5"}) {
    scratch.put(name, "old");
    const ErrorCode code = code_of([&] {
      const FileSizeLimit limit(context.rank() == full ? 20'000 : RLIM_INFINITY);
      write_table(context, table_of(context), scratch / name);
    });
    EXPECT_EQ(code, ErrorCode::io_failed);
    context.comm().barrier();
    EXPECT_EQ(slurp(scratch / name), "old");
  }
  EXPECT_EQ(scratch.names(), (std::vector<std::string>{"out.csv", "out.h5"}));
}

TEST(WriteTable, kept_codes_stay_texts_and_kept_numbers_become_numbers) {
  const Context context;
  ColumnTable table{{{"code", std::vector<std::string>{"7", "007"}},
                     {"whole", std::vector<std::string>{"0", "-12"}},
                     {"real", std::vector<std::string>{"1", "2.50"}}}};
  // A rank without rows follows the others.
  if (context.rank() == 1)
    for (auto& column : table.columns) column.values = std::vector<std::string>{};
  read_kept_numbers(context, table);
  EXPECT_EQ(table.columns[0].values.index(), 2u);
  EXPECT_EQ(table.columns[1].values.index(), 1u);
  EXPECT_EQ(table.columns[2].values.index(), 0u);
}

TEST(WriteTable, two_columns_of_one_name_are_refused) {
  Context context;
  const Scratch scratch(context);
  const ColumnTable table{{{"a", std::vector<double>{}}, {"a", std::vector<double>{}}}};
  EXPECT_EQ(code_of([&] { write_table(context, table, scratch / "out.csv"); }), ErrorCode::bad_input);
  EXPECT_TRUE(scratch.names().empty());
}

TEST(TextOutput, a_row_that_cannot_be_formatted_on_one_rank_ends_all_and_leaves_nothing) {
  Context context;
  const Scratch scratch(context);
  const auto failing = [&](Index first, Index, std::string& out) {
    if (context.rank() == context.size() - 1 && first >= 512) throw bad_input("row refused");
    out += "x\n";
  };
  for (const std::string& path : {scratch / "out.csv", std::string("-")})
    EXPECT_EQ(code_of([&] { write_text(context, path, "", 2000, failing); }), ErrorCode::bad_input);
  EXPECT_TRUE(scratch.names().empty());
}

TEST(TextOutput, fields_are_quoted_only_where_a_reader_would_lose_something) {
  const auto field = [](const std::string& text) {
    std::string out;
    append_field(out, text, ',');
    return out;
  };
  EXPECT_EQ(field("plain text"), "plain text");
  EXPECT_EQ(field(""), "");
  EXPECT_EQ(field("a;b"), "a;b");
  EXPECT_EQ(field("a,b"), "\"a,b\"");
  EXPECT_EQ(field("a\"b"), "\"a\"\"b\"");
  EXPECT_EQ(field(" a"), "\" a\"");
  EXPECT_EQ(field("a\rb"), "\"a\rb\"");
}

}  // namespace
}  // namespace firesteel
