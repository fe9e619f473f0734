// SPDX-License-Identifier: Apache-2.0
// HDF5 as AnnData and MATLAB lay it out, and arrays of one dimension.
#include <hdf5.h>

#include "firesteel/io/hdf5_data.hpp"
#include "text_fixture.hpp"

namespace firesteel {
namespace {

using Numbers = std::vector<double>;
using Texts = std::vector<std::string>;

/// 4 rows of 3 columns, as rows, as columns, and sparse in either order.
const Numbers kMatrix{1.5, 0, 2, 0, 0, 3, 4, 5, 0, 0, 6, -7};
const Numbers kTransposed{1.5, 0, 4, 0, 0, 0, 5, 6, 2, 3, 0, -7};
const Numbers kRowValues{1.5, 2, 3, 4, 5, 6, -7};
const std::vector<std::int64_t> kRowIndices{0, 2, 2, 0, 1, 1, 2};
const std::vector<std::int64_t> kRowPointers{0, 2, 3, 5, 7};
const Numbers kColumnValues{1.5, 4, 5, 6, 2, 3, -7};
const std::vector<std::int64_t> kColumnIndices{0, 2, 2, 3, 0, 1, 3};
const std::vector<std::int64_t> kColumnPointers{0, 2, 4, 7};

/// An HDF5 file made by hand.
class Made {
 public:
  explicit Made(const std::string& path)
      : file_(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT)) {}
  Made(const Made&) = delete;
  Made& operator=(const Made&) = delete;
  ~Made() { H5Fclose(file_); }

  void group(const std::string& name) const {
    H5Gclose(H5Gcreate2(file_, name.c_str(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
  }
  void put(const std::string& name, const std::vector<hsize_t>& extents, hid_t stored, hid_t type,
           const void* values) const {
    const hid_t space = H5Screate_simple(static_cast<int>(extents.size()), extents.data(), nullptr);
    const hid_t set = H5Dcreate2(file_, name.c_str(), stored, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    EXPECT_GE(H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values), 0);
    H5Dclose(set);
    H5Sclose(space);
  }
  void doubles(const std::string& name, const std::vector<hsize_t>& extents, const Numbers& values) const {
    put(name, extents, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, values.data());
  }
  void integers(const std::string& name, const std::vector<std::int64_t>& values) const {
    put(name, {values.size()}, H5T_STD_I32LE, H5T_NATIVE_INT64, values.data());
  }
  void texts(const std::string& name, const Texts& values) const {
    std::vector<const char*> pointers;
    for (const auto& value : values) pointers.push_back(value.c_str());
    const hid_t type = variable_text();
    put(name, {values.size()}, type, type, pointers.data());
    H5Tclose(type);
  }
  void attribute(const std::string& object, const std::string& name, const std::string& value) const {
    const char* pointer = value.c_str();
    const hid_t type = variable_text();
    attribute(object, name, H5Screate(H5S_SCALAR), type, type, &pointer);
    H5Tclose(type);
  }
  void attribute(const std::string& object, const std::string& name,
                 const std::vector<std::int64_t>& values) const {
    const hsize_t count = values.size();
    attribute(object, name, H5Screate_simple(1, &count, nullptr), H5T_STD_U64LE, H5T_NATIVE_INT64,
              values.data());
  }

 private:
  static hid_t variable_text() {
    const hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, H5T_VARIABLE);
    return type;
  }
  void attribute(const std::string& object, const std::string& name, hid_t space, hid_t stored, hid_t type,
                 const void* values) const {
    const hid_t made = H5Acreate_by_name(file_, object.c_str(), name.c_str(), stored, space, H5P_DEFAULT,
                                         H5P_DEFAULT, H5P_DEFAULT);
    EXPECT_GE(H5Awrite(made, type, values), 0);
    H5Aclose(made);
    H5Sclose(space);
  }

  hid_t file_;
};

class Hdf5Layouts : public testing::TextTest {
 protected:
  template <class Fill>
  std::string make(const std::string& name, Fill&& fill) {
    const std::string path = directory + "/" + name;
    context.comm().barrier();
    if (context.rank() == 0) fill(Made(path));
    context.comm().barrier();
    return path;
  }
  ReadOptions options_for(const std::string& path, const std::string& label = "label",
                          const std::string& dataset = "features") const {
    ReadOptions options;
    options.inputs = {path};
    options.label = label;
    options.dataset = dataset;
    options.label_use = ReadOptions::Label::optional;
    return options;
  }
  /// AnnData: sparse X, a column of categories and one of numbers, names of the variables.
  static void anndata(const Made& made, bool by_column) {
    made.group("X");
    made.attribute("X", "encoding-type", by_column ? "csc_matrix" : "csr_matrix");
    made.attribute("X", "shape", std::vector<std::int64_t>{4, 3});
    made.doubles("X/data", {7}, by_column ? kColumnValues : kRowValues);
    made.integers("X/indices", by_column ? kColumnIndices : kRowIndices);
    made.integers("X/indptr", by_column ? kColumnPointers : kRowPointers);
    made.group("obs");
    made.group("obs/cell_type");
    made.integers("obs/cell_type/codes", {1, 0, 1, 2});
    made.texts("obs/cell_type/categories", {"B", "T", "NK"});
    made.doubles("obs/depth", {4}, {1, 2, 3, 0.5});
    made.group("var");
    made.attribute("var", "_index", "gene");
    made.texts("var/gene", {"CD4", "CD8", "MS4A1"});
  }
};

TEST_F(Hdf5Layouts, anndata_by_row_and_by_column) {
  for (const bool by_column : {false, true}) {
    const auto path = make("a.h5ad", [&](const Made& made) { anndata(made, by_column); });
    auto options = options_for(path, "cell_type");
    options.format = "hdf5";
    options.weight = "depth";
    options.keep = {"cell_type"};
    const auto input = read_rows(context, options);
    EXPECT_TRUE(input.rows.sparse());
    EXPECT_EQ(all_values(input.rows), kMatrix);
    EXPECT_EQ(input.rows.schema.names, (Texts{"CD4", "CD8", "MS4A1"}));
    EXPECT_EQ(all_texts(input.rows.labels), (Texts{"T", "B", "T", "NK"}));
    EXPECT_EQ(all_texts(input.kept.columns.at(0).values), (Texts{"T", "B", "T", "NK"}));
    const std::span own(input.rows.weights.data(), static_cast<std::size_t>(input.rows.local_rows()));
    EXPECT_EQ(context.comm().allgatherv(std::span<const double>(own)), (Numbers{1, 2, 3, 0.5}));
    auto some = options;
    some.features = {"MS4A1", "CD4"};
    EXPECT_EQ(all_values(read_rows(context, some).rows), (Numbers{2, 1.5, 3, 0, 0, 4, -7, 0}));
  }
}

TEST_F(Hdf5Layouts, rows_of_files_by_column_follow_one_another) {
  const auto path = make("a.h5", [&](const Made& made) { anndata(made, true); });
  auto options = options_for(path);
  options.inputs.push_back(make("b.h5", [&](const Made& made) { anndata(made, true); }));
  Numbers twice = kMatrix;
  twice.insert(twice.end(), kMatrix.begin(), kMatrix.end());
  EXPECT_EQ(all_values(read_rows(context, options).rows), twice);
  options.inputs.push_back(make("c.h5", [&](const Made& made) { anndata(made, false); }));
  EXPECT_EQ(error_of(options), "c.h5: its sparse features are stored by row, those of a.h5 by column");
}

TEST_F(Hdf5Layouts, matlab_arrays_are_transposed_and_its_sparse_ones_by_column) {
  const auto path = make("a.h5", [&](const Made& made) {
    made.doubles("dense", {3, 4}, kTransposed);
    made.attribute("dense", "MATLAB_class", "double");
    made.doubles("labels", {1, 4}, {0, 1, 1, 0});
    made.attribute("labels", "MATLAB_class", "double");
    made.group("sparse");
    made.attribute("sparse", "MATLAB_class", "double");
    made.attribute("sparse", "MATLAB_sparse", std::vector<std::int64_t>{4});
    made.doubles("sparse/data", {7}, kColumnValues);
    made.integers("sparse/ir", kColumnIndices);
    made.integers("sparse/jc", kColumnPointers);
  });
  const auto dense = read_rows(context, options_for(path, "labels", "dense"));
  EXPECT_FALSE(dense.rows.sparse());
  EXPECT_EQ(all_values(dense.rows), kMatrix);
  EXPECT_EQ(all_numbers(dense.rows.labels), (Numbers{0, 1, 1, 0}));
  const auto sparse = read_rows(context, options_for(path, "labels", "sparse"));
  EXPECT_TRUE(sparse.rows.sparse());
  EXPECT_EQ(all_values(sparse.rows), kMatrix);
  EXPECT_EQ(all_numbers(read_rows(context, options_for(path, "-1", "dense")).rows.labels),
            (Numbers{2, 3, 0, -7}));
}

TEST_F(Hdf5Layouts, one_dimension_is_one_column_and_one_column_is_a_label) {
  const auto path = make("a.h5", [](const Made& made) {
    made.put("features", {3}, H5T_STD_I16BE, H5T_NATIVE_DOUBLE, Numbers{7, -8, 9}.data());
    made.doubles("label", {3, 1}, {1, 0, 1});
  });
  const auto input = read_rows(context, options_for(path));
  EXPECT_EQ(all_values(input.rows), (Numbers{7, -8, 9}));
  EXPECT_EQ(all_numbers(input.rows.labels), (Numbers{1, 0, 1}));
}

TEST_F(Hdf5Layouts, faults_are_named) {
  const auto broken = [&](const std::vector<std::int64_t>& pointers, const std::vector<std::int64_t>& rows) {
    return error_of(options_for(make("a.h5", [&](const Made& made) {
      made.group("X");
      made.attribute("X", "encoding-type", "csc_matrix");
      made.attribute("X", "shape", std::vector<std::int64_t>{4, 3});
      made.doubles("X/data", {7}, kColumnValues);
      made.integers("X/indices", rows);
      made.integers("X/indptr", pointers);
    })));
  };
  EXPECT_EQ(broken({0, 5, 4, 7}, kColumnIndices), "a.h5: 'indptr' of 'features' does not rise from 0 to 7");
  EXPECT_EQ(broken({0, 2, 4, 6}, kColumnIndices), "a.h5: 'indptr' of 'features' does not rise from 0 to 7");
  EXPECT_EQ(broken({0, 2, 4}, kColumnIndices), "a.h5: 'indptr' of 'features' has 3 values, expected 3 + 1");
  EXPECT_EQ(broken(kColumnPointers, {0, 2, 2, 4, 0, 1, 3}), "a.h5: column 1 has row 4, expected 0 … 3");
  EXPECT_EQ(broken(kColumnPointers, {0, 0, 2, 3, 0, 1, 3}),
            "a.h5: row 0, column 0 (counted from 0) is given twice");
  const auto uncoded = make("b.h5", [&](const Made& made) {
    made.doubles("features", {2, 1}, {1, 2});
    made.group("kind");
    made.integers("kind/codes", {0, -1});
    made.texts("kind/categories", {"a"});
  });
  EXPECT_EQ(error_of(options_for(uncoded, "kind")), "b.h5: row 1 of 'kind' has no category (code -1)");
  EXPECT_EQ(last_code, ErrorCode::bad_input);
}

}  // namespace
}  // namespace firesteel
