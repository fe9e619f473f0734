// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/hdf5_data.hpp"

#include <gtest/gtest.h>
#include <hdf5.h>

#include <array>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <limits>

#include "firesteel/core/error.hpp"
#include "firesteel/io/write_data.hpp"
#include "scratch.hpp"

namespace firesteel {
namespace {

constexpr Index kRows = 301;
constexpr Index kColumns = 5;

double value_of(Index row, Index column) {
  if ((row + column) % 3 == 0) return 0;
  return std::sin(static_cast<double>(row * kColumns + column)) / 3.0;
}

/// Blocks of 32 rows, so that there are several a rank; restored at the end.
class SmallBlocks : public testing::Test {
 protected:
  SmallBlocks() { ::setenv("FIRESTEEL_BLOCK_ROWS", "32", 1); }
  ~SmallBlocks() override { ::unsetenv("FIRESTEEL_BLOCK_ROWS"); }
  Context context;
  Scratch scratch{context};
};
using Hdf5Data = SmallBlocks;

/// An HDF5 file made by hand, on rank 0.
class Maker {
 public:
  explicit Maker(const std::string& path)
      : file_(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT)) {}
  Maker(const Maker&) = delete;
  Maker& operator=(const Maker&) = delete;
  ~Maker() { H5Fclose(file_); }

  void put(const char* name, hid_t file_type, hid_t memory_type, std::vector<hsize_t> extents,
           const void* values, bool compressed = false) const {
    const hid_t space = H5Screate_simple(static_cast<int>(extents.size()), extents.data(), nullptr);
    const hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
    if (compressed) {
      for (auto& extent : extents) extent = std::min<hsize_t>(extent, 7);
      H5Pset_chunk(creation, static_cast<int>(extents.size()), extents.data());
      H5Pset_deflate(creation, 4);
    }
    const hid_t set = H5Dcreate2(file_, name, file_type, space, H5P_DEFAULT, creation, H5P_DEFAULT);
    if (values != nullptr) {
      EXPECT_GE(H5Dwrite(set, memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values), 0);
    }
    H5Dclose(set);
    H5Pclose(creation);
    H5Sclose(space);
  }
  void doubles(const char* name, std::vector<hsize_t> extents, const std::vector<double>& values) const {
    put(name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, std::move(extents), values.data());
  }
  void integers(const char* name, const std::vector<std::int64_t>& values) const {
    put(name, H5T_STD_I64LE, H5T_NATIVE_INT64, {values.size()}, values.data());
  }
  void group(const char* name) const {
    H5Gclose(H5Gcreate2(file_, name, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
  }
  void shape(const char* object, std::array<std::int64_t, 2> values) const {
    const hsize_t two = 2;
    const hid_t space = H5Screate_simple(1, &two, nullptr);
    const hid_t attribute = H5Acreate_by_name(file_, object, "shape", H5T_STD_I64LE, space, H5P_DEFAULT,
                                              H5P_DEFAULT, H5P_DEFAULT);
    H5Awrite(attribute, H5T_NATIVE_INT64, values.data());
    H5Aclose(attribute);
    H5Sclose(space);
  }

 private:
  hid_t file_;
};

void expect_failure(ErrorCode code, const std::string& part, const std::function<void()>& body) {
  try {
    body();
    ADD_FAILURE() << "no error, expected one with '" << part << "'";
  } catch (const Error& error) {
    EXPECT_TRUE(error.agreed()) << error.what();
    EXPECT_EQ(error.code(), code) << error.what();
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

RowBlocks sample_rows(const Context& context, const ColumnValues& kind, bool weighted) {
  std::vector<double> values;
  std::vector<double> weights;
  ColumnValues labels = kind;
  const Index begin = kRows * context.rank() / context.size();
  const Index end = kRows * (context.rank() + 1) / context.size();
  for (Index row = begin; row < end; ++row) {
    for (Index column = 0; column < kColumns; ++column) values.push_back(value_of(row, column));
    if (auto* texts = std::get_if<std::vector<std::string>>(&labels))
      texts->push_back(row % 3 == 0 ? "a label that is long" : "b");
    else
      std::get<std::vector<double>>(labels).push_back(static_cast<double>(row % 2));
    if (weighted) weights.push_back(0.5 + static_cast<double>(row % 4));
  }
  RowBlocks rows =
      pack_rows(context, {.values = values, .columns = kColumns, .labels = labels, .weights = weights});
  rows.schema.names = {"a", "b", "c", "d d", "e"};
  return rows;
}

double feature(const RowBlocks& rows, Index row, Index column) {
  return std::visit(
      [&](const auto& storage) {
        if constexpr (requires { storage.at(row, column); }) {
          return static_cast<double>(storage.at(row, column));
        } else {
          const auto indices = storage.row_indices(row);
          for (std::size_t i = 0; i < indices.size(); ++i)
            if (indices[i] == column) return static_cast<double>(storage.row_values(row)[i]);
          return 0.0;
        }
      },
      rows.features);
}

void expect_sample_features(const RowBlocks& rows, const std::vector<Index>& columns) {
  ASSERT_EQ(rows.partition.rows(), kRows);
  ASSERT_EQ(rows.columns(), static_cast<Index>(columns.size()));
  const Index first = rows.partition.first_row(rows.context.rank());
  for (Index row = 0; row < rows.local_rows(); ++row)
    for (std::size_t j = 0; j < columns.size(); ++j)
      ASSERT_EQ(feature(rows, row, static_cast<Index>(j)), value_of(first + row, columns[j])) << first + row;
}

TEST_F(Hdf5Data, dense_rows_with_labels_and_weights_come_back) {
  write_rows(sample_rows(context, std::vector<double>{}, true), scratch / "rows.h5");
  ReadOptions options{.weight = "weight"};
  const auto read = read_rows_hdf5(context, options, {scratch / "rows.h5"}).rows;
  expect_sample_features(read, {0, 1, 2, 3, 4});
  EXPECT_EQ(read.schema.names, (std::vector<std::string>{"a", "b", "c", "d d", "e"}));
  EXPECT_EQ(read.rows_used, kRows);
  const Index first = read.partition.first_row(context.rank());
  for (Index row = 0; row < read.local_rows(); ++row) {
    const auto i = static_cast<std::size_t>(row);
    ASSERT_EQ(std::get<std::vector<double>>(read.labels)[i], static_cast<double>((first + row) % 2));
    ASSERT_EQ(read.weights[i], 0.5 + static_cast<double>((first + row) % 4));
  }
}

TEST_F(Hdf5Data, converted_files_are_the_same_bytes_for_any_ranks) {
  // Every rank writes the whole by itself, then all write it together.
  Context alone(MPI_COMM_SELF);
  const auto name = [&](const char* kind) { return scratch / (std::to_string(context.rank()) + kind); };
  for (const char* kind : {".h5", ".csv"}) {
    write_rows(sample_rows(alone, std::vector<std::string>{}, true), name(kind));
    write_rows(sample_rows(context, std::vector<std::string>{}, true),
               scratch / std::string("all").append(kind));
    EXPECT_TRUE(slurp(name(kind)) == slurp(scratch / std::string("all").append(kind))) << kind;
  }
}

TEST_F(Hdf5Data, sparse_rows_come_back_sparse) {
  RowBlocks rows = sample_rows(context, std::vector<std::string>{}, false);
  SparseRows<double> sparse;
  sparse.columns_count = kColumns;
  for (Index row = 0; row < rows.local_rows(); ++row) {
    for (Index column = 0; column < kColumns; ++column) {
      if (feature(rows, row, column) == 0) continue;
      sparse.indices.push_back(static_cast<std::int32_t>(column));
      sparse.values.push_back(feature(rows, row, column));
    }
    sparse.row_begin.push_back(static_cast<Index>(sparse.indices.size()));
  }
  rows.features = sparse;
  write_rows(rows, scratch / "sparse.h5");
  const auto read = read_rows_hdf5(context, {}, {scratch / "sparse.h5"}).rows;
  EXPECT_TRUE(read.sparse());
  expect_sample_features(read, {0, 1, 2, 3, 4});
  const Index first = read.partition.first_row(context.rank());
  for (Index row = 0; row < read.local_rows(); ++row)
    ASSERT_EQ(std::get<std::vector<std::string>>(read.labels)[static_cast<std::size_t>(row)],
              (first + row) % 3 == 0 ? "a label that is long" : "b");
  expect_sample_features(read_rows_hdf5(context, {.features = {"e", "b"}}, {scratch / "sparse.h5"}).rows,
                         {4, 1});
}

TEST_F(Hdf5Data, features_are_chosen_by_name_number_and_range) {
  write_rows(sample_rows(context, std::vector<double>{}, false), scratch / "rows.h5");
  const auto read = [&](const ReadOptions& options) {
    return read_rows_hdf5(context, options, {scratch / "rows.h5"}).rows;
  };
  expect_sample_features(read({.features = {"e", "0-1"}}), {4, 0, 1});
  expect_sample_features(read({.exclude = {"a", "d d"}}), {1, 2, 4});
  FeatureSchema model{.names = {"c", "a"}, .missing_means = {}};
  expect_sample_features(
      read({.label_use = ReadOptions::Label::optional, .expected = &model, .expected_features = 2}), {2, 0});
  model.names = {"c", "zz"};
  expect_failure(ErrorCode::bad_input, "zz", [&] {
    read({.label_use = ReadOptions::Label::optional, .expected = &model, .expected_features = 2});
  });
  expect_failure(ErrorCode::bad_input, "nope", [&] { read({.features = {"nope"}}); });
  expect_failure(ErrorCode::bad_input, "no array 'y'", [&] { read({.label = "y"}); });
}

TEST_F(Hdf5Data, several_files_follow_one_another_with_kept_columns) {
  if (context.rank() == 0) {
    Index row = 0;
    for (const auto& [name, rows] : {std::pair("1.h5", 100), std::pair("2.h5", 1), std::pair("3.h5", 200)}) {
      std::vector<double> values;
      std::vector<std::int64_t> ids;
      for (int i = 0; i < rows; ++i, ++row) {
        for (Index column = 0; column < kColumns; ++column) values.push_back(value_of(row, column));
        ids.push_back(row);
      }
      const Maker file(scratch / name);
      file.doubles("x", {static_cast<hsize_t>(rows), kColumns}, values);
      file.integers("id", ids);
    }
  }
  context.comm().barrier();
  const ReadOptions options{.dataset = "x", .keep = {"id"}, .label_use = ReadOptions::Label::optional};
  const auto read = read_rows_hdf5(context, options, {scratch / "1.h5", scratch / "2.h5", scratch / "3.h5"});
  expect_sample_features(read.rows, {0, 1, 2, 3, 4});
  EXPECT_FALSE(read.rows.has_labels);
  EXPECT_EQ(read.rows.schema.names, (std::vector<std::string>{"f0", "f1", "f2", "f3", "f4"}));
  const auto& ids = std::get<std::vector<std::int64_t>>(read.kept.columns[0].values);
  ASSERT_EQ(static_cast<Index>(ids.size()), read.rows.local_rows());
  for (std::size_t i = 0; i < ids.size(); ++i)
    ASSERT_EQ(ids[i], read.rows.partition.first_row(context.rank()) + static_cast<Index>(i));
}

TEST_F(Hdf5Data, any_number_type_and_storage_is_read) {
  std::vector<std::int16_t> values;
  std::vector<const char*> labels;
  for (Index i = 0; i < 100 * 3; ++i) values.push_back(static_cast<std::int16_t>(i - 150));
  for (Index i = 0; i < 100; ++i) labels.push_back(i % 2 == 0 ? "even" : "odd and long");
  if (context.rank() == 0) {
    const Maker file(scratch / "types.h5");
    file.put("features", H5T_STD_I16BE, H5T_NATIVE_INT16, {100, 3}, values.data(), true);
    const hid_t text = H5Tcopy(H5T_C_S1);
    H5Tset_size(text, H5T_VARIABLE);
    H5Tset_cset(text, H5T_CSET_UTF8);
    file.put("label", text, text, {100}, labels.data(), true);
    H5Tclose(text);
  }
  context.comm().barrier();
  for (const bool single : {false, true}) {
    const ReadOptions options{.single_precision = single};
    const auto rows = read_rows_hdf5(context, options, {scratch / "types.h5"}).rows;
    EXPECT_EQ(rows.single_precision(), single);
    const Index first = rows.partition.first_row(context.rank());
    for (Index row = 0; row < rows.local_rows(); ++row) {
      for (Index column = 0; column < 3; ++column)
        ASSERT_EQ(feature(rows, row, column), static_cast<double>((first + row) * 3 + column - 150));
      ASSERT_EQ(std::get<std::vector<std::string>>(rows.labels)[static_cast<std::size_t>(row)],
                (first + row) % 2 == 0 ? "even" : "odd and long");
    }
  }
}

TEST_F(Hdf5Data, numbers_beyond_single_precision_are_refused_where_it_is_asked_for) {
  if (context.rank() == 0) Maker(scratch / "large.h5").doubles("features", {2, 2}, {1, 2, 3, -1e39});
  context.comm().barrier();
  ReadOptions options{.label_use = ReadOptions::Label::ignored};
  EXPECT_EQ(read_rows_hdf5(context, options, {scratch / "large.h5"}).rows.rows_used, 2);
  options.single_precision = true;
  expect_failure(ErrorCode::bad_input, "row 1, column 'f1': -1e+39 is beyond single precision",
                 [&] { read_rows_hdf5(context, options, {scratch / "large.h5"}); });
}

TEST_F(Hdf5Data, missing_values_are_an_error_or_dropped_or_the_mean) {
  constexpr double kMissing = std::numeric_limits<double>::quiet_NaN();
  if (context.rank() == 0) {
    std::vector<double> values(200, 2.0);
    values[2 * 70] = kMissing;
    values[2 * 71] = 5.0;
    const Maker file(scratch / "missing.h5");
    file.doubles("features", {100, 2}, values);
    values[2 * 70] = -std::numeric_limits<double>::infinity();
    file.doubles("infinite", {100, 2}, values);
  }
  context.comm().barrier();
  const auto read = [&](const std::string& missing, const std::string& dataset) {
    const ReadOptions options{
        .missing = missing, .dataset = dataset, .label_use = ReadOptions::Label::ignored};
    return read_rows_hdf5(context, options, {scratch / "missing.h5"}).rows;
  };
  expect_failure(ErrorCode::bad_input, "row 70, column 'f0'", [&] { read("error", "features"); });
  for (const char* policy : {"error", "drop", "mean"})
    expect_failure(ErrorCode::bad_input, "got -inf", [&] { read(policy, "infinite"); });
  EXPECT_EQ(read("drop", "features").rows_used, 99);
  const auto filled = read("mean", "features");
  ASSERT_EQ(filled.schema.missing_means.size(), 2u);
  EXPECT_DOUBLE_EQ(filled.schema.missing_means[0], (98 * 2.0 + 5.0) / 99);
  write_rows(read("drop", "features"), scratch / "dropped.h5");
  const ReadOptions plain{.label_use = ReadOptions::Label::ignored};
  EXPECT_EQ(read_rows_hdf5(context, plain, {scratch / "dropped.h5"}).rows.partition.rows(), 99);
}

TEST_F(Hdf5Data, ratings_come_back_with_whole_and_text_ids) {
  Ratings ratings{.context = context};
  ratings.first_row = kRows * context.rank() / context.size();
  ratings.rows = kRows;
  std::vector<std::int64_t> users;
  std::vector<std::string> items;
  for (Index row = ratings.first_row; row < kRows * (context.rank() + 1) / context.size(); ++row) {
    users.push_back(row - 7);
    items.push_back(row % 2 == 0 ? "i" : "item");
    ratings.ratings.push_back(static_cast<double>(row) / 3);
  }
  ratings.users = users;
  ratings.items = items;
  ratings.has_ratings = true;
  write_ratings(ratings, scratch / "ratings.h5");
  const auto read = read_ratings_hdf5(context, {}, {scratch / "ratings.h5"}).ratings;
  EXPECT_EQ(read.rows, kRows);
  EXPECT_TRUE(read.has_ratings);
  const auto& read_users = std::get<std::vector<std::int64_t>>(read.users);
  for (std::size_t i = 0; i < read_users.size(); ++i) {
    const Index row = read.first_row + static_cast<Index>(i);
    ASSERT_EQ(read_users[i], row - 7);
    ASSERT_EQ(std::get<std::vector<std::string>>(read.items)[i], row % 2 == 0 ? "i" : "item");
    ASSERT_EQ(read.ratings[i], static_cast<double>(row) / 3);
  }
  expect_failure(ErrorCode::bad_input, "no array 'who'",
                 [&] { read_ratings_hdf5(context, {.user = "who"}, {scratch / "ratings.h5"}); });
}

TEST_F(Hdf5Data, files_that_are_wrong_are_told_by_path_and_what_was_found) {
  if (context.rank() == 0) {
    const Maker file(scratch / "wrong.h5");
    file.doubles("flat", {4}, {1, 2, 3, 4});
    file.doubles("features", {2, 2}, {1, 2, 3, 4});
    file.integers("label", {1, 2, 3});
    file.put("unwritten", H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, {1000, 1000}, nullptr);
    file.put("huge", H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, {hsize_t{1} << 40, hsize_t{1} << 40}, nullptr, true);
    for (const char* name : {"short", "backwards", "outside", "twice", "shapeless"}) {
      file.group(name);
      const std::string group = std::string(name) + "/";
      file.doubles((group + "data").c_str(), {3}, {1, 2, 3});
      const bool twice = std::string(name) == "twice";
      file.integers((group + "indices").c_str(), std::string(name) == "outside"
                                                     ? std::vector<std::int64_t>{0, 7, 1}
                                                     : std::vector<std::int64_t>{0, twice ? 0 : 1, 1});
      file.integers((group + "indptr").c_str(), std::string(name) == "short" ? std::vector<std::int64_t>{0, 3}
                                                : std::string(name) == "backwards"
                                                    ? std::vector<std::int64_t>{0, 3, 2}
                                                    : std::vector<std::int64_t>{0, 2, 3});
      if (std::string(name) != "shapeless") file.shape(name, {2, 3});
    }
  }
  scratch.put("text.h5", "a,b\n1,2\n");
  const auto fails = [&](const std::string& dataset, const std::string& part, ReadOptions::Label use) {
    expect_failure(ErrorCode::bad_input, part, [&] {
      read_rows_hdf5(context, {.dataset = dataset, .label_use = use}, {scratch / "wrong.h5"});
    });
  };
  const auto ignored = ReadOptions::Label::ignored;
  fails("absent", "no array or group 'absent'", ignored);
  fails("features", "'label' has 3 values, expected one a row: 2", ReadOptions::Label::required);
  fails("unwritten", "never written", ignored);
  fails("huge", "beyond 63 bits", ignored);
  fails("short", "'indptr' of 'short' has 2 values", ignored);
  fails("backwards", "does not rise", ignored);
  fails("outside", "has column 7", ignored);
  fails("twice", "is given twice", ignored);
  fails("shapeless", "no attribute 'shape'", ignored);
  expect_failure(ErrorCode::bad_input, "not an HDF5 file",
                 [&] { read_rows_hdf5(context, {}, {scratch / "text.h5"}); });
  expect_failure(ErrorCode::no_input, "absent.h5",
                 [&] { read_rows_hdf5(context, {}, {scratch / "absent.h5"}); });
}

TEST_F(Hdf5Data, files_cut_short_end_in_an_error_on_all_ranks) {
  write_rows(sample_rows(context, std::vector<double>{}, false), scratch / "rows.h5");
  const std::string bytes = slurp(scratch / "rows.h5");
  for (const std::size_t length : {std::size_t{1}, std::size_t{64}, bytes.size() / 2, bytes.size() - 1}) {
    scratch.put("cut.h5", bytes.substr(0, length));
    expect_failure(ErrorCode::bad_input, "cut.h5",
                   [&] { read_rows_hdf5(context, {}, {scratch / "cut.h5"}); });
  }
}

TEST_F(Hdf5Data, many_long_feature_names_are_kept) {
  constexpr Index kMany = 20'000;
  const std::vector<double> values(context.rank() == 0 ? kMany : 0, 1.0);
  RowBlocks rows = pack_rows(context, {.values = values, .columns = kMany});
  for (Index column = 0; column < kMany; ++column)
    rows.schema.names.push_back(std::string("a rather long name of feature ").append(std::to_string(column)));
  write_rows(rows, scratch / "wide.h5");
  const ReadOptions options{.label_use = ReadOptions::Label::ignored};
  EXPECT_EQ(read_rows_hdf5(context, options, {scratch / "wide.h5"}).rows.schema.names, rows.schema.names);
}

TEST_F(Hdf5Data, libsvm_refuses_what_it_cannot_hold) {
  const auto texts = sample_rows(context, std::vector<std::string>{}, false);
  expect_failure(ErrorCode::bad_input, "numbers as labels", [&] { write_rows(texts, scratch / "rows.svm"); });
  const auto weighted = sample_rows(context, std::vector<double>{}, true);
  expect_failure(ErrorCode::bad_input, "weights", [&] { write_rows(weighted, scratch / "rows.svm"); });
  expect_failure(ErrorCode::bad_parameter, ".xlsx", [&] { write_rows(weighted, scratch / "rows.xlsx"); });
  write_rows(sample_rows(context, std::vector<double>{}, false), scratch / "rows.svm");
  const std::string text = slurp(scratch / "rows.svm");
  EXPECT_EQ(text.substr(0, text.find(' ')), "0");
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), kRows);
  EXPECT_EQ(scratch.names(), std::vector<std::string>{"rows.svm"});
}

}  // namespace
}  // namespace firesteel
