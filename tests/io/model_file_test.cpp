// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/model_file.hpp"

#include <gtest/gtest.h>
#include <hdf5.h>
#include <malloc.h>

#include <cmath>
#include <functional>
#include <limits>

#include "firesteel/core/error.hpp"
#include "firesteel/tests/io/file_size_limit.hpp"
#include "firesteel/tests/io/scratch.hpp"

namespace firesteel {
namespace {

Record sample_record() {
  Record record;
  record.set("learner", std::string("logistic"));
  record.set("parameters/max_iter", std::int64_t{100});
  record.set("parameters/seed", std::numeric_limits<std::uint64_t>::max());
  record.set("parameters/fit_intercept", true);
  record.set("parameters/standardization", false);
  record.set("parameters/tol", 1e-6);
  record.set("empty_text", std::string());
  record.set("long_text", std::string(100'000, 'x'));
  record.set_matrix("coefficients", 2, 3, {1.5, -2.0, 0.1, 1e-300, 1e300, 5e-324});
  record.set("user_ids", RecordArray<std::int64_t>{{3}, {-1, 0, std::numeric_limits<std::int64_t>::max()}});
  record.set("feature_names", RecordArray<std::string>{{3}, {"a", "länge", ""}});
  record.set_vector("summary/objective_history", {});
  record.set("no_texts", RecordArray<std::string>{{0}, {}});
  return record;
}

Record short_record() {
  Record record;
  record.set("learner", std::string("kmeans"));
  record.set("parameters/k", std::int64_t{2});
  record.set("parameters/fit_intercept", true);
  record.set_matrix("cluster_centers", 2, 2, {1, 2, 3, 4});
  record.set("names", RecordArray<std::string>{{2}, {"a", "bc"}});
  return record;
}

void expect_equal(const Record& read, const Record& written) {
  ASSERT_EQ(read.entries().size(), written.entries().size());
  for (const auto& [name, value] : written.entries()) {
    ASSERT_TRUE(read.contains(name)) << name;
    for (const auto& [other, stored] : read.entries()) {
      if (other == name) {
        EXPECT_TRUE(stored == value) << name;
      }
    }
  }
}

TEST(ModelFile, reads_back_what_was_written_on_every_rank) {
  Context context;
  const Scratch scratch(context);
  const Record record = sample_record();
  write_model(context, record, scratch / "model.h5");
  const Record read = read_model(context, scratch / "model.h5");
  expect_equal(read, record);
  EXPECT_EQ(read.sha256(), record.sha256());
  EXPECT_EQ(scratch.names(), std::vector<std::string>{"model.h5"});
}

TEST(ModelFile, is_the_same_bytes_for_the_same_record) {
  Context context;
  const Scratch scratch(context);
  write_model(context, sample_record(), scratch / "a.h5");
  ::mallopt(M_PERTURB, 0x5a);  // fresh memory is not zero: none of it may reach the file
  write_model(context, sample_record(), scratch / "b.h5");
  const std::string bytes = slurp(scratch / "a.h5");
  EXPECT_GT(bytes.size(), 100'000u);
  EXPECT_TRUE(bytes == slurp(scratch / "b.h5"));
  Record other = sample_record();
  other.set("one_more", std::int64_t{1});
  write_model(context, other, scratch / "c.h5");
  EXPECT_FALSE(bytes == slurp(scratch / "c.h5"));
}

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

TEST(ModelFile, arrays_larger_than_what_is_built_in_memory_come_back) {
  Context context;
  const Scratch scratch(context);
  Record record = sample_record();
  std::vector<double> values(2'200'000);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>(i) * 0.5 - 1000;
  record.set_matrix("user_factors", 220'000, 10, std::move(values));
  record.set("after_it", std::string("text"));
  write_model(context, record, scratch / "model.h5");
  expect_equal(read_model(context, scratch / "model.h5"), record);
}

TEST(ModelFile, minus_zero_is_stored_as_zero_and_does_not_change_the_digest) {
  Context context;
  const Scratch scratch(context);
  Record minus;
  minus.set("intercept", -0.0);
  minus.set_vector("coefficients", {1.0, -0.0});
  Record plus;
  plus.set("intercept", 0.0);
  plus.set_vector("coefficients", {1.0, 0.0});
  write_model(context, minus, scratch / "minus.h5");
  write_model(context, plus, scratch / "plus.h5");
  EXPECT_TRUE(slurp(scratch / "minus.h5") == slurp(scratch / "plus.h5"));
  EXPECT_EQ(minus.sha256(), plus.sha256());
  EXPECT_FALSE(std::signbit(read_model(context, scratch / "minus.h5").get<double>("intercept")));
}

TEST(ModelFile, numbers_that_are_not_finite_are_refused_and_the_old_file_stays) {
  Context context;
  const Scratch scratch(context);
  scratch.put("model.h5", "old");
  Record nan = sample_record();
  nan.set("objective", std::numeric_limits<double>::quiet_NaN());
  Record infinite = sample_record();
  infinite.set_vector("intercept", {1.0, -std::numeric_limits<double>::infinity()});
  expect_failure(ErrorCode::bad_input, "'objective' is nan",
                 [&] { write_model(context, nan, scratch / "model.h5"); });
  expect_failure(ErrorCode::bad_input, "'intercept' is -inf at position 1",
                 [&] { write_model(context, infinite, scratch / "model.h5"); });
  EXPECT_EQ(slurp(scratch / "model.h5"), "old");
  EXPECT_EQ(scratch.names(), std::vector<std::string>{"model.h5"});
}

TEST(ModelFile, a_full_disk_leaves_the_old_model) {
  Context context;
  const Scratch scratch(context);
  write_model(context, short_record(), scratch / "model.h5");
  const std::string bytes = slurp(scratch / "model.h5");
  context.comm().barrier();
  expect_failure(ErrorCode::io_failed, "model.h5 failed: File too large", [&] {
    const FileSizeLimit limit(1000);
    write_model(context, sample_record(), scratch / "model.h5");
  });
  EXPECT_TRUE(slurp(scratch / "model.h5") == bytes);
  EXPECT_EQ(scratch.names(), std::vector<std::string>{"model.h5"});
}

TEST(ModelFile, a_directory_that_cannot_be_written_is_named) {
  Context context;
  const Scratch scratch(context);
  for (const std::string& path : {scratch / "no/model.h5", std::string("/proc/model.h5")}) {
    expect_failure(ErrorCode::cannot_create, path, [&] { write_model(context, sample_record(), path); });
  }
}

TEST(ModelFile, a_newer_format_asks_for_an_update) {
  Context context;
  const Scratch scratch(context);
  write_model(context, sample_record(), scratch / "model.h5");
  if (context.rank() == 0) {
    const hid_t file = H5Fopen((scratch / "model.h5").c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
    const hid_t attribute = H5Aopen(file, "firesteel_format", H5P_DEFAULT);
    const std::int64_t newer = 3;
    EXPECT_GE(H5Awrite(attribute, H5T_NATIVE_INT64, &newer), 0);
    H5Aclose(attribute);
    H5Fclose(file);
  }
  context.comm().barrier();
  expect_failure(ErrorCode::bad_input,
                 "was written by a newer Firesteel (format 3, this one reads up to 1): update Firesteel",
                 [&] { read_model(context, scratch / "model.h5"); });
}

TEST(ModelFile, what_is_no_model_is_told_apart) {
  Context context;
  const Scratch scratch(context);
  scratch.put("text.h5", "this is not HDF5 at all");
  scratch.put("empty.h5", "");
  if (context.rank() == 0) {
    const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_V18);
    H5Fclose(H5Fcreate((scratch / "foreign.h5").c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access));
    H5Fclose(H5Fcreate((scratch / "older.h5").c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT));
    H5Pclose(access);
  }
  context.comm().barrier();
  const auto read = [&](const std::string& name) {
    return [&, name] { read_model(context, scratch / name); };
  };
  expect_failure(ErrorCode::bad_input, "is not an HDF5 file", read("text.h5"));
  expect_failure(ErrorCode::bad_input, "is empty", read("empty.h5"));
  expect_failure(ErrorCode::bad_input, "without a Firesteel model", read("foreign.h5"));
  expect_failure(ErrorCode::bad_input, "without a Firesteel model", read("older.h5"));
  expect_failure(ErrorCode::no_input, "No such file", read("absent.h5"));
  expect_failure(ErrorCode::no_input, "not a regular file", read(""));
}

/// Files, groups, datasets, attributes and types that HDF5 has open in this process. Memory that it loses at
/// a damaged file (a leak checker sees some) is its own loss as long as everything that was opened is closed
/// again.
ssize_t open_objects() {
  const ssize_t count = H5Fget_obj_count(static_cast<hid_t>(H5F_OBJ_ALL), H5F_OBJ_ALL);
  EXPECT_GE(count, 0);
  return count;
}

/// Reads on this rank alone; what is read must be the model or an error of the data.
void expect_equal_or_error(const Context& alone, const std::string& path, const Record& record) {
  try {
    EXPECT_EQ(read_model(alone, path).sha256(), record.sha256());
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::bad_input) << error.what();
  }
}

TEST(ModelFile, truncated_and_flipped_bytes_end_in_an_error_or_the_same_model) {
  Context context;
  const Context alone(MPI_COMM_SELF);
  const Scratch scratch(context);
  const Record record = short_record();
  write_model(context, record, scratch / "model.h5");
  const std::string bytes = slurp(scratch / "model.h5");
  const std::string path = scratch / ("damaged" + std::to_string(context.rank()));
  const auto put = [&](const std::string& content) { std::ofstream(path, std::ios::binary) << content; };
  const auto step = static_cast<std::size_t>(context.size());
  const auto first = static_cast<std::size_t>(context.rank());
  for (std::size_t length = 64 * first; length < bytes.size(); length += 64 * step) {
    put(bytes.substr(0, length));
    EXPECT_THROW(read_model(alone, path), Error) << length;
  }
  expect_equal_or_error(alone, path, record);
  const ssize_t open_before = open_objects();
  // Ranks share the work: every byte once, another bit each.
  for (std::size_t i = first; i < bytes.size(); i += step) {
    std::string flipped = bytes;
    flipped[i] = static_cast<char>(flipped[i] ^ (1 << (i % 8)));
    put(flipped);
    expect_equal_or_error(alone, path, record);
    EXPECT_EQ(open_objects(), open_before) << i;
  }
}

TEST(ModelFile, a_changed_value_is_noticed) {
  Context context;
  const Scratch scratch(context);
  write_model(context, short_record(), scratch / "model.h5");
  std::string bytes = slurp(scratch / "model.h5");
  const double three = 3;
  const auto place = bytes.find(std::string(reinterpret_cast<const char*>(&three), sizeof three));
  ASSERT_NE(place, std::string::npos);
  bytes[place] = 1;
  scratch.put("model.h5", bytes);
  expect_failure(ErrorCode::bad_input, "SHA-256", [&] { read_model(context, scratch / "model.h5"); });
}

TEST(ModelFile, hostile_contents_are_refused) {
  Context context;
  const Scratch scratch(context);
  const auto make = [&](const std::string& name, const std::function<void(hid_t)>& spoil) {
    write_model(context, short_record(), scratch / name);
    if (context.rank() == 0) {
      const hid_t file = H5Fopen((scratch / name).c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
      spoil(file);
      H5Fclose(file);
    }
    context.comm().barrier();
  };
  make("link.h5",
       [](hid_t file) { H5Lcreate_external("other.h5", "/", file, "x", H5P_DEFAULT, H5P_DEFAULT); });
  make("soft.h5", [](hid_t file) { H5Lcreate_soft("/nowhere", file, "x", H5P_DEFAULT, H5P_DEFAULT); });
  make("cycle.h5", [](hid_t file) { H5Lcreate_hard(file, "/", file, "x", H5P_DEFAULT, H5P_DEFAULT); });
  make("huge.h5", [](hid_t file) {
    const hsize_t extents[2] = {hsize_t{1} << 30, hsize_t{1} << 30};
    const hid_t space = H5Screate_simple(2, extents, nullptr);
    H5Dclose(H5Dcreate2(file, "x", H5T_IEEE_F64LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    H5Sclose(space);
  });
  make("type.h5", [](hid_t file) {
    const hid_t space = H5Screate(H5S_SCALAR);
    H5Aclose(H5Acreate2(file, "x", H5T_IEEE_F32BE, space, H5P_DEFAULT, H5P_DEFAULT));
    H5Sclose(space);
  });
  make("external.h5", [](hid_t file) {
    const hsize_t extent = 4;
    const hid_t space = H5Screate_simple(1, &extent, nullptr);
    const hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_external(creation, "/etc/hostname", 0, 32);
    H5Dclose(H5Dcreate2(file, "x", H5T_IEEE_F64LE, space, H5P_DEFAULT, creation, H5P_DEFAULT));
    H5Pclose(creation);
    H5Sclose(space);
  });
  const auto other = scratch / "other.h5";
  make("virtual.h5", [&](hid_t file) {
    const hsize_t extent = 4;
    const hid_t space = H5Screate_simple(1, &extent, nullptr);
    const hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_virtual(creation, space, other.c_str(), "/y", space);
    H5Dclose(H5Dcreate2(file, "x", H5T_IEEE_F64LE, space, H5P_DEFAULT, creation, H5P_DEFAULT));
    H5Pclose(creation);
    H5Sclose(space);
  });
  const auto put_double = [&](const char* name, bool array) {
    make(name, [&](hid_t file) {
      const double value = std::nan("");
      const hsize_t one = 1;
      const hid_t space = array ? H5Screate_simple(1, &one, nullptr) : H5Screate(H5S_SCALAR);
      const hid_t made =
          array ? H5Dcreate2(file, "x", H5T_IEEE_F64LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT)
                : H5Acreate2(file, "x", H5T_IEEE_F64LE, space, H5P_DEFAULT, H5P_DEFAULT);
      if (array)
        H5Dwrite(made, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, &value);
      else
        H5Awrite(made, H5T_NATIVE_DOUBLE, &value);
      array ? H5Dclose(made) : H5Aclose(made);
      H5Sclose(space);
    });
  };
  put_double("nan_array.h5", true);
  put_double("nan.h5", false);
  const auto read = [&](const std::string& name) {
    return [&, name] { read_model(context, scratch / name); };
  };
  expect_failure(ErrorCode::bad_input, "leaves the file", read("link.h5"));
  expect_failure(ErrorCode::bad_input, "leaves the file", read("soft.h5"));
  expect_failure(ErrorCode::bad_input, "nested too deeply", read("cycle.h5"));
  expect_failure(ErrorCode::bad_input, "more than the file holds", read("huge.h5"));
  expect_failure(ErrorCode::bad_input, "a type that no model has", read("type.h5"));
  expect_failure(ErrorCode::bad_input, "in a way that no model is", read("external.h5"));
  expect_failure(ErrorCode::bad_input, "in a way that no model is", read("virtual.h5"));
  expect_failure(ErrorCode::bad_input, "not finite", read("nan_array.h5"));
  expect_failure(ErrorCode::bad_input, "not finite", read("nan.h5"));
}

}  // namespace
}  // namespace firesteel
