// SPDX-License-Identifier: Apache-2.0
// .npy and .npz files, most of them written by NumPy and SciPy.
#include <cmath>
#include <limits>

#include "firesteel/io/numpy_array.hpp"
#include "text_fixture.hpp"

namespace firesteel {
namespace {

using Numbers = std::vector<double>;
using Texts = std::vector<std::string>;

/// What numpy_files.py calls MATRIX.
const Numbers kMatrix{1.5, -2, 0, 0, 4, 8, 16, 0.25, -1, 7, 0, 0};

class Numpy : public testing::TextTest {
 protected:
  ReadOptions options_for(const std::string& path, const std::string& label = "label") const {
    ReadOptions options;
    options.inputs = {path};
    options.label = label;
    options.label_use = ReadOptions::Label::optional;
    return options;
  }
  std::string fixture(const std::string& name) { return write(name, reference("numpy/" + name)); }
  RowInput read(const std::string& name, const std::string& label = "label") {
    return read_rows(context, options_for(fixture(name), label));
  }
};

TEST_F(Numpy, arrays_in_either_order_and_of_every_type_of_number) {
  for (const char* name : {"matrix.npy", "fortran.npy", "half.npy", "single.npy", "extended.npy"}) {
    const auto input = read(name);
    EXPECT_EQ(all_values(input.rows), kMatrix) << name;
    EXPECT_EQ(input.rows.schema.names, (Texts{"f0", "f1", "f2"})) << name;
    EXPECT_FALSE(input.rows.has_labels) << name;
  }
  const Numbers rounded{2, -2, 0, 0, 4, 8, 16, 0, -1, 7, 0, 0};
  EXPECT_EQ(all_values(read("int16.npy").rows), rounded);
  EXPECT_EQ(all_values(read("int8.npy").rows), rounded);
  Numbers absolute = rounded;
  Numbers nonzero = kMatrix;
  for (double& value : absolute) value = std::abs(value);
  for (double& value : nonzero) value = value == 0 ? 0 : 1;
  EXPECT_EQ(all_values(read("uint64.npy").rows), absolute);
  EXPECT_EQ(all_values(read("bool.npy").rows), nonzero);
}

TEST_F(Numpy, one_dimension_is_one_column) {
  EXPECT_EQ(all_values(read("flat.npy").rows), (Numbers{1.5, 0, 16, 7}));
}

TEST_F(Numpy, the_label_is_member_y_or_a_column) {
  for (const char* name : {"data.npz", "packed.npz"}) {
    const auto input = read(name);
    EXPECT_EQ(all_values(input.rows), kMatrix) << name;
    EXPECT_TRUE(input.rows.has_labels);
    EXPECT_EQ(all_numbers(input.rows.labels), (Numbers{0, 1, 1, 0})) << name;
  }
  const auto last = read("matrix.npy", "-1");
  EXPECT_EQ(all_values(last.rows), (Numbers{1.5, -2, 0, 4, 16, 0.25, 7, 0}));
  EXPECT_EQ(all_numbers(last.rows.labels), (Numbers{0, 8, -1, 0}));
  EXPECT_EQ(all_numbers(read("fortran.npy", "f1").rows.labels), (Numbers{-2, 4, 0.25, 0}));
}

TEST_F(Numpy, names_weights_and_texts_of_an_npz) {
  auto options = options_for(fixture("named.npz"));
  options.weight = "weight";
  const auto input = read_rows(context, options);
  EXPECT_EQ(input.rows.schema.names, (Texts{"a", "b", "c"}));
  EXPECT_EQ(all_texts(input.rows.labels), (Texts{"no", "yes", "y\xc3\xa9s", "no"}));
  const std::span own(input.rows.weights.data(), static_cast<std::size_t>(input.rows.local_rows()));
  EXPECT_EQ(context.comm().allgatherv(std::span<const double>(own)), (Numbers{1, 2, 0, 1}));
}

TEST_F(Numpy, sparse_rows_of_scipy) {
  const auto input = read("sparse.npz");
  EXPECT_TRUE(input.rows.sparse());
  EXPECT_EQ(all_values(input.rows), kMatrix);
  EXPECT_EQ(error_of(options_for(fixture("columns.npz"))),
            "columns.npz: sparse rows are stored as 'csc': save them as csr (.tocsr())");
}

TEST_F(Numpy, ratings) {
  const auto input = read_ratings(context, options_for(fixture("ratings.npz")));
  EXPECT_EQ(all_texts(input.ratings.items), (Texts{"x", "yy"}));
  EXPECT_EQ(context.comm().allgatherv(std::span<const double>(input.ratings.ratings)), (Numbers{1, 2}));
}

TEST_F(Numpy, what_is_not_read_says_so) {
  EXPECT_EQ(
      error_of(options_for(fixture("complex.npy"))),
      "complex.npy: 'features': the .npy array holds values of type '<c16': complex numbers are not read");
  EXPECT_EQ(error_of(options_for(fixture("objects.npy"))),
            "objects.npy: 'features': the .npy array holds values of type '|O': Python objects are not read; "
            "save numbers or texts");
  EXPECT_EQ(error_of(options_for(fixture("records.npy"))),
            "records.npy: 'features': the .npy array holds records: save its columns as arrays of numbers "
            "(numpy.savez)");
  EXPECT_EQ(error_of(options_for(fixture("cube.npy"))),
            "cube.npy: expected 'features' to have 2 dimensions, found 2 x 2 x 2");
  auto required = options_for(fixture("matrix.npy"));
  required.label_use = ReadOptions::Label::required;
  EXPECT_EQ(error_of(required),
            "matrix.npy: no array 'label' for the labels (--label); the file holds 'features'");
  EXPECT_EQ(last_code, ErrorCode::bad_input);
}

TEST_F(Numpy, files_that_are_cut_short_are_refused_at_any_length) {
  for (const char* name : {"matrix.npy", "data.npz", "packed.npz", "sparse.npz"}) {
    const std::string whole = reference(std::string("numpy/") + name);
    for (std::size_t bytes = 7; bytes < whole.size(); bytes += whole.size() / 7) {
      const std::string error =
          error_of(options_for(write(std::string("cut_") + name, whole.substr(0, bytes))));
      EXPECT_NE(error, "no error") << name << " of " << bytes << " bytes";
      EXPECT_EQ(last_code, ErrorCode::bad_input) << error;
    }
  }
}

TEST_F(Numpy, headers_that_lie_are_refused) {
  const auto with = [&](const std::string& dictionary) {
    std::string text = dictionary + "\n";
    std::string header = std::string("\x93NUMPY\x01\x00", 8) + static_cast<char>(text.size()) + '\0' + text;
    return error_of(options_for(write("lie.npy", header + std::string(64, '\0'))));
  };
  EXPECT_EQ(with("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000, 4), }"),
            "lie.npy: 'features' has 64 bytes of values, expected 32000000000000: it is cut short");
  EXPECT_EQ(with("{'descr': '<f8', 'fortran_order': False, 'shape': (9223372036854775807, 2), }"),
            "lie.npy: 'features': the .npy array has a shape beyond 63 bits");
  EXPECT_EQ(with("{'descr': '<f8', 'shape': (2, 2), }"),
            "lie.npy: 'features': the header of the .npy array is damaged");
  EXPECT_EQ(with("{'descr': '<f3', 'fortran_order': False, 'shape': (2, 2), }"),
            "lie.npy: 'features': the .npy array holds values of type '<f3': numbers and texts are read");
  EXPECT_EQ(with("{'descr': '<f8', 'fortran_order': False, 'shape': (0, 4), }"),
            "lie.npy: 'features' has no rows");
}

TEST_F(Numpy, missing_values_and_infinities) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto bytes_of = [](const Numbers& values) {
    return make_numpy_header("<f8", {static_cast<Index>(values.size() / 2), 2}) +
           std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(double));
  };
  auto options = options_for(write("a.npy", bytes_of({1, 2, nan, 4, 5, 8})));
  EXPECT_EQ(error_of(options).substr(0, 56), "a.npy: row 1, column 'f0': the value is missing (NaN); -");
  options.missing = "mean";
  EXPECT_EQ(all_values(read_rows(context, options).rows), (Numbers{1, 2, 3, 4, 5, 8}));
  const double inf = std::numeric_limits<double>::infinity();
  EXPECT_EQ(error_of(options_for(write("b.npy", bytes_of({1, -inf})))),
            "b.npy: row 0, column 'f1': expected a finite number, got -inf");
}

TEST_F(Numpy, a_tall_matrix_is_read_by_all_ranks) {
  Numbers values;
  for (int i = 0; i < 3000; ++i) values.push_back(i * 0.25);
  const auto path = write("tall.npy", make_numpy_header("<f8", {1000, 3}) +
                                          std::string(reinterpret_cast<const char*>(values.data()),
                                                      values.size() * sizeof(double)));
  EXPECT_EQ(all_values(read_rows(context, options_for(path)).rows), values);
}

}  // namespace
}  // namespace firesteel
