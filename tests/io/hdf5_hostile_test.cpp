// SPDX-License-Identifier: Apache-2.0
// HDF5 data files that are well formed, but made to have the reader open, run or hold what it should not.
#include <gtest/gtest.h>
#include <hdf5.h>

#include <array>
#include <functional>
#include <vector>

#include "firesteel/core/error.hpp"
#include "firesteel/io/hdf5_data.hpp"
#include "scratch.hpp"

namespace firesteel {
namespace {

constexpr std::array<double, 4> kValues{1, 2, 3, 4};

/// Two by two numbers called "features", stored as `creation` and `type` say.
void put_features(hid_t file, hid_t creation, std::array<hsize_t, 2> extents = {2, 2},
                  hid_t type = H5T_IEEE_F64LE, bool written = true) {
  const std::array<hsize_t, 2> most{H5S_UNLIMITED, H5S_UNLIMITED};  // lets a chunk be larger than the array
  const bool chunked = H5Pget_layout(creation) == H5D_CHUNKED;
  const hid_t space = H5Screate_simple(2, extents.data(), chunked ? most.data() : nullptr);
  const hid_t array = H5Dcreate2(file, "features", type, space, H5P_DEFAULT, creation, H5P_DEFAULT);
  ASSERT_GE(array, 0);
  if (written) {
    const std::array<hsize_t, 2> first{0, 0};
    const std::array<hsize_t, 2> count{2, 2};
    const hid_t memory = H5Screate_simple(2, count.data(), nullptr);
    H5Sselect_hyperslab(space, H5S_SELECT_SET, first.data(), nullptr, count.data(), nullptr);
    ASSERT_GE(H5Dwrite(array, H5T_NATIVE_DOUBLE, memory, space, H5P_DEFAULT, kValues.data()), 0);
    H5Sclose(memory);
  }
  H5Dclose(array);
  H5Sclose(space);
}

class Hdf5Hostile : public testing::Test {
 protected:
  /// The file that rank 0 makes is refused with `part` in the message, by all ranks alike.
  void expect_refused(const std::string& part, const std::function<void(hid_t file, hid_t creation)>& make) {
    const std::string path = scratch / "hostile.h5";
    if (context.rank() == 0) {
      const hid_t file = H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
      const hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
      make(file, creation);
      H5Pclose(creation);
      H5Fclose(file);
    }
    context.comm().barrier();
    try {
      read_rows_hdf5(context, {.label_use = ReadOptions::Label::ignored}, {path});
      ADD_FAILURE() << "no error, expected one with '" << part << "'";
    } catch (const Error& error) {
      EXPECT_TRUE(error.agreed()) << error.what();
      EXPECT_EQ(error.code(), ErrorCode::bad_input) << error.what();
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    }
    context.comm().barrier();
  }

  Context context;
  Scratch scratch{context};
};

TEST_F(Hdf5Hostile, arrays_in_other_files_are_not_read) {
  const std::string other = scratch / "other.h5";
  const std::string raw = scratch / "raw";
  if (context.rank() == 0) {
    const hid_t file = H5Fcreate(other.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    put_features(file, H5P_DATASET_CREATE_DEFAULT);
    H5Fclose(file);
  }
  scratch.put("raw", std::string(32, '\1'));
  expect_refused("hostile.h5: 'features' is an external link, to '/features' of the file '" + other +
                     "', which is not followed: read that file",
                 [&](hid_t file, hid_t) {
                   H5Lcreate_external(other.c_str(), "/features", file, "features", H5P_DEFAULT, H5P_DEFAULT);
                 });
  expect_refused("lies in other files", [&](hid_t file, hid_t creation) {
    H5Pset_external(creation, raw.c_str(), 0, 32);
    put_features(file, creation, {2, 2}, H5T_IEEE_F64LE, false);
  });
  expect_refused("lies in other files", [&](hid_t file, hid_t creation) {
    const std::array<hsize_t, 2> extents{2, 2};
    const hid_t space = H5Screate_simple(2, extents.data(), nullptr);
    H5Pset_virtual(creation, space, other.c_str(), "/features", space);
    put_features(file, creation, extents, H5T_IEEE_F64LE, false);
    H5Sclose(space);
  });
}

TEST_F(Hdf5Hostile, what_a_file_of_this_size_cannot_hold_is_not_allocated) {
  const std::string message = "more than a file of this size can hold";
  // 512 GiB of numbers, of which 32 bytes are written.
  expect_refused(message, [](hid_t file, hid_t creation) {
    const std::array<hsize_t, 2> chunk{2, 2};
    H5Pset_chunk(creation, 2, chunk.data());
    H5Pset_deflate(creation, 6);
    put_features(file, creation, {hsize_t{1} << 35, 2});
  });
  // One chunk of 3 GiB for four numbers; the writer need not have it either.
  expect_refused(message, [](hid_t file, hid_t creation) {
    const std::array<hsize_t, 2> chunk{hsize_t{192} << 20, 2};
    H5Pset_chunk(creation, 2, chunk.data());
    put_features(file, creation, {2, 2}, H5T_IEEE_F64LE, false);
  });
  expect_refused("more than a file of this size can use", [](hid_t file, hid_t) {
    H5Gclose(H5Gcreate2(file, "features", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    const auto put = [&](const char* name, hid_t type, const auto& values) {
      const hsize_t extent = values.size();
      const hid_t space = H5Screate_simple(1, &extent, nullptr);
      const hid_t array = H5Dcreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
      H5Dwrite(array, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data());
      H5Dclose(array);
      H5Sclose(space);
    };
    put("features/data", H5T_NATIVE_DOUBLE, std::array<double, 2>{1, 2});
    put("features/indices", H5T_NATIVE_INT64, std::array<std::int64_t, 2>{0, 1});
    put("features/indptr", H5T_NATIVE_INT64, std::array<std::int64_t, 3>{0, 1, 2});
    const std::array<std::int64_t, 2> shape{2, 2147483647};
    const hsize_t two = 2;
    const hid_t space = H5Screate_simple(1, &two, nullptr);
    const hid_t attribute = H5Acreate_by_name(file, "features", "shape", H5T_STD_I64LE, space, H5P_DEFAULT,
                                              H5P_DEFAULT, H5P_DEFAULT);
    H5Awrite(attribute, H5T_NATIVE_INT64, shape.data());
    H5Aclose(attribute);
    H5Sclose(space);
  });
}

TEST_F(Hdf5Hostile, filters_from_plugins_and_those_that_pack_bits_are_not_run) {
  const std::array<hsize_t, 2> chunk{2, 2};
  expect_refused("is stored by filter 5", [&](hid_t file, hid_t creation) {  // n-bit
    H5Pset_chunk(creation, 2, chunk.data());
    H5Pset_nbit(creation);
    put_features(file, creation);
  });
  expect_refused("is stored by filter 32000", [&](hid_t file, hid_t creation) {
    H5Pset_chunk(creation, 2, chunk.data());
    H5Pset_filter(creation, 32000, H5Z_FLAG_OPTIONAL, 0, nullptr);
    put_features(file, creation);
  });
}

TEST_F(Hdf5Hostile, numbers_of_types_that_no_machine_has_are_refused) {
  expect_refused("of a type that no machine has", [](hid_t file, hid_t creation) {
    const hid_t type = H5Tcopy(H5T_STD_I32LE);
    H5Tset_precision(type, 13);
    H5Tset_offset(type, 5);
    put_features(file, creation, {2, 2}, type);
    H5Tclose(type);
  });
}

}  // namespace
}  // namespace firesteel
