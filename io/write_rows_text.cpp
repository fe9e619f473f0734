// SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>
#include <variant>
#include <vector>

#include "firesteel/core/error.hpp"
#include "firesteel/core/row_reader.hpp"
#include "firesteel/io/rows_output.hpp"
#include "firesteel/io/text_output.hpp"

namespace firesteel {

namespace {

std::size_t size(Index i) { return static_cast<std::size_t>(i); }

void append_label(std::string& out, const ColumnValues& labels, Index row, char delimiter) {
  std::visit(
      [&](const auto& values) {
        if constexpr (std::is_same_v<std::decay_t<decltype(values)>, std::vector<std::string>>)
          append_field(out, values[size(row)], delimiter);
        else
          append_number(out, values[size(row)]);
      },
      labels);
}

void append_json_label(std::string& out, const ColumnValues& labels, Index row) {
  std::visit(
      [&](const auto& values) {
        if constexpr (std::is_same_v<std::decay_t<decltype(values)>, std::vector<std::string>>)
          out += nlohmann::json(values[size(row)])
                     .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
        else
          append_number(out, values[size(row)]);
      },
      labels);
}

/// The values of rows, wherever these lie; best in order.
template <class Storage>
class RowValues;

template <class Scalar>
class RowValues<DenseTiles<Scalar>> {
 public:
  explicit RowValues(const DenseTiles<Scalar>& tiles) : reader_(tiles), values_(size(tiles.columns())) {}
  /// Calls body(value) for every column of a row.
  template <class Body>
  void for_all_values(Index row, Body&& body) {
    reader_.copy(row, values_);
    for (const double value : values_) body(value);
  }
  /// Calls body(column, value) for what is not zero.
  template <class Body>
  void for_entries(Index row, Body&& body) {
    Index column = 0;
    for_all_values(row, [&](double value) {
      if (value != 0) body(column, value);
      ++column;
    });
  }

 private:
  DenseRowReader<Scalar> reader_;
  std::vector<double> values_;
};

template <class Scalar>
class RowValues<SparseRows<Scalar>> {
 public:
  explicit RowValues(const SparseRows<Scalar>& rows) : reader_(rows), columns_(rows.columns()) {}
  template <class Body>
  void for_all_values(Index row, Body&& body) {
    const auto [indices, values] = reader_.row(row);
    std::size_t next = 0;
    for (Index column = 0; column < columns_; ++column)
      body(next < indices.size() && indices[next] == column ? static_cast<double>(values[next++]) : 0.0);
  }
  /// Calls body(column, value) for what is there.
  template <class Body>
  void for_entries(Index row, Body&& body) {
    const auto [indices, values] = reader_.row(row);
    for (std::size_t i = 0; i < indices.size(); ++i) body(Index{indices[i]}, static_cast<double>(values[i]));
  }

 private:
  SparseRowReader<Scalar> reader_;
  Index columns_;
};

/// RowValues that no thread uses, with what they have read.
template <class Storage>
struct IdleRowValues {
  explicit IdleRowValues(const Storage& rows) : storage(&rows) {}
  std::unique_ptr<RowValues<Storage>> take(std::mutex& mutex) {
    const std::lock_guard lock(mutex);
    if (idle.empty()) return std::make_unique<RowValues<Storage>>(*storage);
    auto last = std::move(idle.back());
    idle.pop_back();
    return last;
  }
  const Storage* storage;
  std::vector<std::unique_ptr<RowValues<Storage>>> idle;
};

/// RowValues of the same rows for several threads: who is done with one leaves it, with what it has read, to
/// the next.
class RowValuesPool {
 public:
  explicit RowValuesPool(const RowBlocks& rows)
      : pools_(
            std::visit([](const auto& storage) -> Pools { return IdleRowValues(storage); }, rows.features)) {}

  /// body(RowValues of the rows), for a run of rows. By any thread.
  template <class Body>
  void use(Body&& body) {
    std::visit(
        [&](auto& pool) {
          auto values = pool.take(mutex_);
          body(*values);
          const std::lock_guard lock(mutex_);
          pool.idle.push_back(std::move(values));
        },
        pools_);
  }

 private:
  using Pools = std::variant<IdleRowValues<DenseTiles<double>>, IdleRowValues<DenseTiles<float>>,
                             IdleRowValues<SparseRows<double>>, IdleRowValues<SparseRows<float>>>;
  std::mutex mutex_;
  Pools pools_;
};

}  // namespace

void write_rows_csv(const RowsOutput& output, const std::string& path, char delimiter) {
  const RowBlocks& rows = *output.rows;
  auto names = feature_names(rows);
  if (output.has_labels) names.emplace_back("label");
  if (output.has_weights) names.emplace_back("weight");
  std::string header;
  output.context().comm().collectively([&] {
    std::set<std::string> known;
    for (const auto& name : names) {
      if (!known.insert(name).second)
        throw bad_input("the output would have two columns named '" + name + "': leave one out by --exclude");
      if (!header.empty()) header += delimiter;
      append_field(header, name, delimiter);
    }
    header += '\n';
  });
  RowValuesPool pool(rows);
  write_text(output.context(), path, header, output.count(), [&](Index first, Index end, std::string& out) {
    pool.use([&](auto& values) {
      for (Index i = first; i < end; ++i) {
        const Index row = output.used[size(i)];
        bool next = false;
        values.for_all_values(row, [&](double value) {
          if (std::exchange(next, true)) out += delimiter;
          append_number(out, value);
        });
        if (output.has_labels) {
          out += delimiter;
          append_label(out, rows.labels, row, delimiter);
        }
        if (output.has_weights) {
          out += delimiter;
          append_number(out, output.weight(row));
        }
        out += '\n';
      }
    });
  });
}

void write_rows_libsvm(const RowsOutput& output, const std::string& path) {
  const RowBlocks& rows = *output.rows;
  output.context().comm().collectively([&] {
    if (output.text_labels)
      throw bad_input("LIBSVM files hold numbers as labels, these are texts: write .csv or .h5");
    if (output.has_weights) throw bad_input("LIBSVM files hold no row weights: write .csv or .h5");
  });
  RowValuesPool pool(rows);
  write_text(output.context(), path, "", output.count(), [&](Index first, Index end, std::string& out) {
    pool.use([&](auto& values) {
      for (Index i = first; i < end; ++i) {
        const Index row = output.used[size(i)];
        if (output.has_labels)
          append_label(out, rows.labels, row, ' ');
        else
          out += '0';
        values.for_entries(row, [&](Index column, double value) {
          out += ' ';
          append_number(out, column + 1);
          out += ':';
          append_number(out, value);
        });
        out += '\n';
      }
    });
  });
}

void write_rows_json(const RowsOutput& output, const std::string& path) {
  const RowBlocks& rows = *output.rows;
  std::vector<std::string> keys;  // ready to be written
  output.context().comm().collectively([&] {
    auto names = feature_names(rows);
    if (output.has_labels) names.emplace_back("label");
    if (output.has_weights) names.emplace_back("weight");
    std::set<std::string> known;
    for (const auto& name : names) {
      if (!known.insert(name).second)
        throw bad_input("the output would have two columns named '" + name + "': leave one out by --exclude");
      keys.push_back((keys.empty() ? "{" : ",") +
                     nlohmann::json(name).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) +
                     ":");
    }
  });
  RowValuesPool pool(rows);
  write_text(output.context(), path, "", output.count(), [&](Index first, Index end, std::string& out) {
    pool.use([&](auto& values) {
      for (Index i = first; i < end; ++i) {
        const Index row = output.used[size(i)];
        std::size_t next = 0;
        values.for_all_values(row, [&](double value) {
          out += keys[next++];
          append_number(out, value);
        });
        if (output.has_labels) {
          out += keys[next++];
          append_json_label(out, rows.labels, row);
        }
        if (output.has_weights) {
          out += keys[next++];
          append_number(out, output.weight(row));
        }
        out += "}\n";
      }
    });
  });
}

void write_rows_matrix_market(const RowsOutput& output, const std::string& path) {
  const RowBlocks& rows = *output.rows;
  Communicator& comm = output.context().comm();
  const auto entries = comm.collectively([&] {
    if (output.has_labels || output.has_weights)
      throw bad_input("Matrix Market files hold no labels and weights: write .npz, .h5 or .libsvm");
    Index count = 0;
    RowValuesPool(rows).use([&](auto& values) {
      for (const Index row : output.used) values.for_entries(row, [&](Index, double) { ++count; });
    });
    return count;
  });
  const std::string header = "%%MatrixMarket matrix coordinate real general\n" +
                             std::to_string(output.total) + " " + std::to_string(rows.columns()) + " " +
                             std::to_string(comm.sum(entries)) + "\n";
  RowValuesPool pool(rows);
  write_text(output.context(), path, header, output.count(), [&](Index first, Index end, std::string& out) {
    pool.use([&](auto& values) {
      for (Index i = first; i < end; ++i)
        values.for_entries(output.used[size(i)], [&](Index column, double value) {
          append_number(out, output.first + i + 1);
          out += ' ';
          append_number(out, column + 1);
          out += ' ';
          append_number(out, value);
          out += '\n';
        });
    });
  });
}

}  // namespace firesteel
