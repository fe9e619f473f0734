// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/hdf5_data.hpp"
#include "firesteel/io/read_options.hpp"
#include "firesteel/io/read_text.hpp"

namespace firesteel {

namespace {

struct ResolvedInput {
  std::vector<std::string> files;
  std::string format;
};

/// Rank 0 looks at names and first bytes; the format is that of all files.
ResolvedInput resolve(const Context& context, const ReadOptions& options) {
  Communicator& comm = context.comm();
  ResolvedInput input;
  input.files = resolve_inputs(comm, options.inputs);
  comm.collectively([&] {
    if (comm.rank() != 0) return;
    for (const auto& file : input.files) {
      const std::string format = detect_format(file, options);
      if (!input.format.empty() && format != input.format)
        throw bad_input(input.files.front() + " is " + input.format + ", but " + file + " is " + format +
                        ": all inputs must have one format; --format says which");
      input.format = format;
    }
  });
  input.format = comm.broadcast_text(input.format, 0);
  return input;
}

}  // namespace

RowInput read_rows(const Context& context, const ReadOptions& options) {
  const auto input = resolve(context, options);
  if (input.format == "libsvm") return read_rows_libsvm(context, options, input.files);
  if (input.format == "hdf5") return read_rows_hdf5(context, options, input.files);
  return read_rows_csv(context, options, input.files);
}

RatingInput read_ratings(const Context& context, const ReadOptions& options) {
  const auto input = resolve(context, options);
  context.comm().collectively([&] {
    if (input.format == "libsvm")
      throw bad_input(input.files.front() +
                      " is LIBSVM text, which has no users and items: expected CSV or HDF5");
  });
  RatingInput ratings = input.format == "hdf5" ? read_ratings_hdf5(context, options, input.files)
                                               : read_ratings_csv(context, options, input.files);
  ratings.ratings.single_precision = options.single_precision;
  return ratings;
}

}  // namespace firesteel
