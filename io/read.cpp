// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "firesteel/io/column_selection.hpp"
#include "firesteel/io/hdf5_data.hpp"
#include "firesteel/io/input_files.hpp"
#include "firesteel/io/packed_file.hpp"
#include "firesteel/io/read_options.hpp"
#include "firesteel/io/read_text.hpp"
#include "firesteel/io/table.hpp"
#include "firesteel/io/table_view.hpp"
#include "firesteel/io/typed_rows.hpp"

namespace firesteel {

namespace {

bool is_table(const std::string& format) {
  return format == "jsonl" || format == "parquet" || format == "arrow" || format == "orc";
}

std::unique_ptr<Table> open_table(const Context& context, const InputFiles& files,
                                  const std::string& format) {
  return format == "jsonl" ? open_json_table(context, files) : open_arrow_table(context, files, format);
}

/// Finds the files, reads them, and looks whether they are still what they were: where they are not, that is
/// why reading failed, or why what was read is not to be trusted.
template <class Read>
auto read_inputs(const Context& context, const ReadOptions& options, Read&& read) {
  Communicator& comm = context.comm();
  set_store_scratch(context.scratch());
  const struct Forgetting {
    ~Forgetting() { forget_inputs(); }
  } at_the_end;
  const InputFiles files = find_inputs(comm, options.inputs);
  if (!files.empty.empty())
    context.monitor().warning("files of 0 bytes are passed over: " + list_names(files.empty));
  const std::string format = format_of_inputs(comm, files, options);
  const bool table = format == "csv" || is_table(format);
  if (!table && !files.folder_keys.empty())
    context.monitor().warning(
        format + " files take no columns from folders: " + list_names(files.folder_keys) + " left out");
  auto input = [&] {
    try {
      return read(files, format);
    } catch (const Error& error) {
      // A store that failed has said why, and would be waited for again.
      const bool told =
          error.code() == ErrorCode::io_failed && std::any_of(files.paths.begin(), files.paths.end(), is_url);
      if (error.agreed() && !told) check_unchanged(comm, files);
      throw;
    }
  }();
  check_unchanged(comm, files);
  return input;
}

}  // namespace

RowInput read_rows(const Context& context, const ReadOptions& options) {
  return read_inputs(context, options, [&](const InputFiles& files, const std::string& format) {
    if (format == "libsvm") return read_rows_libsvm(context, options, files.paths);
    if (format == "hdf5") return read_rows_hdf5(context, options, files.paths);
    if (is_table(format)) return read_rows_table(context, options, *open_table(context, files, format));
    if (format == "numpy") return read_rows_arrays(context, options, files.paths, open_numpy);
    if (format == "mtx") return read_rows_matrix_market(context, options, files.paths);
    if (format == "packed") return read_rows_packed(context, options, files.paths);
    return read_rows_csv(context, options, files);
  });
}

RowsShape measure_rows(const Context& context, const ReadOptions& options) {
  return read_inputs(context, options, [&](const InputFiles& files, const std::string& format) {
    if (format == "libsvm") return measure_rows_libsvm(context, options, files.paths);
    if (format == "hdf5") return measure_rows_arrays(context, options, files.paths, open_hdf5);
    if (is_table(format)) return measure_rows_table(context, options, *open_table(context, files, format));
    if (format == "numpy") return measure_rows_arrays(context, options, files.paths, open_numpy);
    if (format == "packed") return measure_rows_packed(context, files.paths);
    if (format == "mtx")
      throw Error(ErrorCode::bad_parameter,
                  "rows of Matrix Market files are not counted ahead: convert them to .npz or .h5", {}, true);
    return measure_rows_csv(context, options, files);
  });
}

RatingInput read_ratings(const Context& context, const ReadOptions& options) {
  RatingInput input = read_inputs(context, options, [&](const InputFiles& files, const std::string& format) {
    context.comm().collectively([&] {
      if (format == "libsvm")
        throw bad_input(files.paths.front() +
                        " is LIBSVM text, which has no users and items: expected CSV or HDF5");
      if (format == "packed")
        throw bad_input(
            files.paths.front() +
            " is a packed file of rows of features, which has no users and items: expected CSV or HDF5");
    });
    if (format == "hdf5") return read_ratings_hdf5(context, options, files.paths);
    if (is_table(format)) return read_ratings_table(context, options, *open_table(context, files, format));
    if (format == "numpy") return read_ratings_arrays(context, options, files.paths, open_numpy);
    if (format == "mtx") return read_ratings_matrix_market(context, options, files.paths);
    return read_ratings_csv(context, options, files);
  });
  input.ratings.single_precision = options.single_precision;
  return input;
}

bool is_column_format(std::string_view format) { return format == "csv" || is_table(std::string(format)); }

std::string format_of_files(Communicator& comm, const ReadOptions& options,
                            const std::vector<std::string>& inputs) {
  return format_of_inputs(comm, find_inputs(comm, inputs), options);
}

void with_table(const Context& context, const ReadOptions& options, UseTable use) {
  read_inputs(context, options, [&](const InputFiles& files, const std::string& format) {
    context.comm().collectively([&] {
      if (!is_column_format(format))
        throw bad_input(files.paths.front() + " is " + format +
                        ", which has no columns of texts and numbers");
    });
    const auto table =
        format == "csv" ? open_csv_columns(context, files, options) : open_table(context, files, format);
    const TableView view = context.comm().collectively([&] { return TableView(*table); });
    use(*table, view);
    return 0;
  });
}

}  // namespace firesteel
