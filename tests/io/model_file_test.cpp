// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/model_file.hpp"

#include <gtest/gtest.h>
#include <hdf5.h>
#include <malloc.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <limits>

#include "firesteel/core/atomic_file.hpp"
#include "firesteel/core/error.hpp"
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
  write_model(context, other, scratch / "b.h5");
  EXPECT_FALSE(bytes == slurp(scratch / "b.h5"));
}

}  // namespace
}  // namespace firesteel
