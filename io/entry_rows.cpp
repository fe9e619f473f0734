// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/entry_rows.hpp"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "firesteel/core/error.hpp"
#include "firesteel/core/external_sort.hpp"
#include "firesteel/core/parameters.hpp"
#include "firesteel/core/sparse_rows_builder.hpp"
#include "firesteel/io/class_labels_check.hpp"
#include "firesteel/io/column_selection.hpp"
#include "firesteel/io/finish_rows.hpp"

namespace firesteel {

namespace {

std::size_t size(Index i) { return static_cast<std::size_t>(i); }

InputColumns columns_of(const EntryMatrix& matrix, const ReadOptions& options) {
  InputColumns columns{
      .source = matrix.source, .names = matrix.names, .count = matrix.columns, .numbered = true};
  if (!matrix.sparse) {
    for (Index j = 0; j < columns.count && matrix.names.empty() && options.expected == nullptr; ++j)
      columns.names.push_back(numbered_name(j));
    return columns;
  }
  if (!matrix.names.empty()) return columns;
  if (options.num_features && columns.count > *options.num_features)
    throw bad_input(matrix.source + " has " + std::to_string(columns.count) +
                    " columns, --num-features says " + std::to_string(*options.num_features));
  // Columns that the file does not reach are zeros.
  columns.count = std::max({columns.count, options.num_features.value_or(0), options.expected_features});
  return columns;
}

/// Sends every entry to the owner of its row.
std::vector<MatrixEntry> exchange(Communicator& comm, const BlockPartition& partition,
                                  std::vector<MatrixEntry> entries) {
  std::vector<Index> counts;
  std::vector<MatrixEntry> sorted;
  comm.collectively([&] {
    counts.resize(size(comm.size()));
    const auto owner = [&](const MatrixEntry& entry) {
      return partition.owner(entry.row / partition.block_rows());
    };
    for (const auto& entry : entries) ++counts[size(owner(entry))];
    std::vector<Index> next(counts.size(), 0);
    for (std::size_t i = 1; i < next.size(); ++i) next[i] = next[i - 1] + counts[i - 1];
    sorted.resize(entries.size());
    for (const auto& entry : entries) sorted[size(next[size(owner(entry))]++)] = entry;
    entries = {};
  });
  return comm.alltoallv(std::span<const MatrixEntry>(sorted), std::span<const Index>(counts));
}

/// Puts this rank's entries, in order, into its rows.
class EntryPacker {
 public:
  EntryPacker(const EntryMatrix& matrix, const ColumnPlan& plan, const ReadOptions& options, RowInput& input)
      : matrix_(matrix),
        plan_(plan),
        options_(options),
        input_(input),
        feature_of_(size(matrix.columns), -1) {
    for (std::size_t j = 0; j < plan.features.size(); ++j)
      if (plan.features[j] < matrix.columns) feature_of_[size(plan.features[j])] = static_cast<Index>(j);
    RowBlocks& rows = input.rows;
    first_row_ = rows.partition.first_row(rows.context.rank());
    local_rows_ = rows.local_rows();
    labels_.resize(plan.label ? size(local_rows_) : 0);
    kept_.assign(plan.keep.size(), std::vector<double>(size(local_rows_)));
    if (plan.weight) rows.weights.assign(size((local_rows_ + kTileRows - 1) / kTileRows * kTileRows), 0.0);
    if (options.missing == "drop") rows.dropped.assign(size(local_rows_), 0);
  }

  /// Entries by rows and columns: begin, add for each, end.
  template <class Scalar>
  class Dense {
   public:
    explicit Dense(EntryPacker& packer)
        : packer_(packer),
          tiles_(packer.input_.rows.context, packer.local_rows_,
                 static_cast<Index>(packer.plan_.features.size()),
                 packer.input_.rows.partition.block_rows()) {}
    void add(const MatrixEntry& entry) {
      const Index row = entry.row - packer_.first_row_;
      // Every place is given: a row begins with its column 0 and ends with its last.
      if (entry.row * packer_.matrix_.columns + entry.column != next_ + packer_.first_cell())
        throw internal_error("entries of a dense matrix are missing");
      ++next_;
      if (entry.column == 0) tiles_.begin_rows(row, row + 1);
      const Index feature = packer_.feature_of_[size(entry.column)];
      if (feature >= 0) tiles_.at(row, feature) = static_cast<Scalar>(packer_.feature_value(entry, row));
      packer_.other_parts(entry, row);
      if (entry.column + 1 < packer_.matrix_.columns) return;
      if (packer_.is_dropped(row))
        for (Index j = 0; j < tiles_.columns(); ++j) tiles_.at(row, j) = 0;
      tiles_.end_rows(row, row + 1);
    }
    FeatureStorage finish() {
      if (next_ != packer_.local_rows_ * packer_.matrix_.columns)
        throw internal_error("entries of a dense matrix are missing");
      return std::move(tiles_);
    }

   private:
    EntryPacker& packer_;
    DenseTiles<Scalar> tiles_;
    Index next_ = 0;
  };

  template <class Scalar>
  class Sparse {
   public:
    Sparse(EntryPacker& packer, Index entries)
        : packer_(packer),
          builder_(packer.input_.rows.context, packer.local_rows_,
                   static_cast<Index>(packer.plan_.features.size()),
                   packer.input_.rows.partition.block_rows(), entries) {}
    void add(const MatrixEntry& entry) {
      const Index row = entry.row - packer_.first_row_;
      while (row_ < row) end_row();
      const Index feature = packer_.feature_of_[size(entry.column)];
      if (feature >= 0)
        entries_.emplace_back(static_cast<std::int32_t>(feature), packer_.feature_value(entry, row));
      packer_.other_parts(entry, row);
    }
    FeatureStorage finish() {
      while (row_ < packer_.local_rows_) end_row();
      return builder_.finish();
    }

   private:
    void end_row() {
      std::sort(entries_.begin(), entries_.end());
      indices_.clear();
      values_.clear();
      for (const auto& [feature, value] : entries_) {
        indices_.push_back(feature);
        values_.push_back(static_cast<Scalar>(value));
      }
      builder_.add(indices_, values_, packer_.is_dropped(row_));
      entries_.clear();
      ++row_;
    }

    EntryPacker& packer_;
    SparseRowsBuilder<Scalar> builder_;
    Index row_ = 0;
    std::vector<std::pair<std::int32_t, double>> entries_;
    std::vector<std::int32_t> indices_;
    std::vector<Scalar> values_;
  };

  /// for_each(add) calls add(entry) for this rank's entries, `count` at most, by rows and columns.
  template <class ForEach>
  void pack(Index count, const ForEach& for_each) {
    const auto run = [&](auto packed) {
      for_each([&](const MatrixEntry& entry) { packed.add(entry); });
      input_.rows.features = packed.finish();
    };
    if (matrix_.sparse && options_.single_precision)
      run(Sparse<float>(*this, count));
    else if (matrix_.sparse)
      run(Sparse<double>(*this, count));
    else if (options_.single_precision)
      run(Dense<float>(*this));
    else
      run(Dense<double>(*this));
  }

  void finish(const InputColumns& columns) {
    input_.rows.has_labels = plan_.label.has_value();
    input_.rows.labels = std::move(labels_);
    input_.rows.schema.names = plan_.feature_names;
    for (std::size_t i = 0; i < plan_.keep.size(); ++i)
      input_.kept.columns.push_back({columns.name(plan_.keep[i]), std::move(kept_[i])});
  }

 private:
  Index first_cell() const { return first_row_ * matrix_.columns; }
  bool is_dropped(Index row) const {
    return !input_.rows.dropped.empty() && input_.rows.dropped[size(row)] != 0;
  }
  double feature_value(const MatrixEntry& entry, Index row) {
    if (std::isnan(entry.value) && options_.missing == "drop") input_.rows.dropped[size(row)] = 1;
    return entry.value;
  }

  void other_parts(const MatrixEntry& entry, Index row) {
    const auto where = [&] {
      return matrix_.source + ": row " + std::to_string(entry.row) + ", column " +
             std::to_string(entry.column);
    };
    if (entry.column == plan_.label) {
      if (!std::isfinite(entry.value))
        throw bad_input(where() + ": expected a label, got " + number_text(entry.value), {0, entry.row});
      labels_[size(row)] = entry.value;
    }
    if (entry.column == plan_.weight) {
      if (!std::isfinite(entry.value) || entry.value < 0)
        throw bad_input(where() + ": expected a weight >= 0, got " + number_text(entry.value),
                        {0, entry.row});
      input_.rows.weights[size(row)] = entry.value;
    }
    for (std::size_t i = 0; i < plan_.keep.size(); ++i)
      if (plan_.keep[i] == entry.column) kept_[i][size(row)] = entry.value;
  }

  const EntryMatrix& matrix_;
  const ColumnPlan& plan_;
  const ReadOptions& options_;
  RowInput& input_;
  std::vector<Index> feature_of_;
  Index first_row_ = 0;
  Index local_rows_ = 0;
  std::vector<double> labels_;
  std::vector<std::vector<double>> kept_;
};

struct ByPlace {
  bool operator()(const MatrixEntry& a, const MatrixEntry& b) const {
    return std::tuple(a.row, a.column) < std::tuple(b.row, b.column);
  }
};

/// Looks that no place is given twice, as entries come in order.
class PlaceCheck {
 public:
  explicit PlaceCheck(const EntryMatrix& matrix) : matrix_(matrix) {}
  void operator()(const MatrixEntry& entry) {
    if (last_.row == entry.row && last_.column == entry.column)
      throw bad_input(matrix_.source + ": row " + std::to_string(entry.row) + ", column " +
                          std::to_string(entry.column) + " (counted from 0) is given twice",
                      {0, entry.row});
    last_ = entry;
  }

 private:
  const EntryMatrix& matrix_;
  MatrixEntry last_{.row = -1, .column = -1, .value = 0};
};

}  // namespace

std::string fault_of_value(double value, const ReadOptions& options, bool sparse) {
  if (std::isinf(value)) return "expected a finite number, got " + number_text(value);
  if (std::isnan(value)) {
    if (options.missing == "error") return "the value is missing (NaN); say --missing drop or --missing mean";
    if (sparse && options.missing == "mean")
      return "--missing mean is for dense features; drop leaves such rows out";
    return {};
  }
  if (options.single_precision && !std::isfinite(static_cast<float>(value)))
    return number_text(value) + " is beyond single precision";
  return {};
}

class EntrySpool : public Spool<MatrixEntry> {
 public:
  using Spool<MatrixEntry>::Spool;
};

EntryPile::EntryPile(const Context& context, Index most) {
  constexpr Index kCopies = 4;  // as read, sorted by rank, as received, and what is made of them
  const Index bytes = kCopies * most * static_cast<Index>(sizeof(MatrixEntry));
  if (context.comm().any(!context.memory()->has_ample_room(bytes)))
    spool_ = std::make_unique<EntrySpool>(context.scratch());
}

EntryPile::~EntryPile() = default;

void EntryPile::add(std::vector<MatrixEntry> entries) {
  if (spool_) return spool_->append(entries);
  const std::lock_guard lock(mutex_);
  if (entries_.empty())
    entries_ = std::move(entries);
  else
    entries_.insert(entries_.end(), entries.begin(), entries.end());
}

RowInput rows_of_entries(const Context& context, const ReadOptions& options, const EntryMatrix& matrix,
                         EntryPile& pile, bool finish) {
  Communicator& comm = context.comm();
  InputColumns columns;
  const ColumnPlan plan = comm.collectively([&] {
    if (matrix.rows == 0) throw bad_input(matrix.source + " has no rows");
    columns = columns_of(matrix, options);
    return plan_columns(columns, std::vector<bool>(size(columns.count), false), options);
  });
  RowInput input{.rows = {.context = context}, .kept = {}};
  const Index value_bytes = options.single_precision ? sizeof(float) : sizeof(double);
  input.rows.partition = BlockPartition::even(
      matrix.rows, choose_block_rows(static_cast<Index>(plan.features.size()), value_bytes, matrix.sparse),
      comm.size());
  const auto pack = [&](Index count, const auto& for_each) {
    EntryPacker packer(matrix, plan, options, input);
    PlaceCheck check(matrix);
    packer.pack(count, [&](const auto& add) {
      for_each([&](const MatrixEntry& entry) {
        check(entry);
        add(entry);
      });
    });
    packer.finish(columns);
  };
  if (pile.spills()) {
    constexpr Index kSortBytes = Index{8} << 20;
    std::unique_ptr<ExternalSort<MatrixEntry, ByPlace>> sorted;
    comm.collectively([&] {
      sorted = std::make_unique<ExternalSort<MatrixEntry, ByPlace>>(context, kSortBytes, ByPlace());
    });
    Index count = 0;
    const BlockPartition& partition = input.rows.partition;
    exchange_chunks<MatrixEntry>(
        comm, pile.spool_->chunks(), [&](Index i) { return pile.spool_->chunk(i); },
        [&](const MatrixEntry& entry) { return partition.owner(entry.row / partition.block_rows()); },
        [&](std::span<const MatrixEntry> entries) {
          sorted->add(entries);
          count += static_cast<Index>(entries.size());
        });
    pile.spool_.reset();
    comm.collectively([&] { pack(count, [&](const auto& add) { sorted->merge(add); }); });
  } else {
    auto own = exchange(comm, input.rows.partition, std::move(pile.entries_));
    comm.collectively([&] {
      std::sort(own.begin(), own.end(), ByPlace());
      pack(static_cast<Index>(own.size()), [&](const auto& add) {
        for (const auto& entry : own) add(entry);
      });
    });
  }
  for (const auto& warning : plan.warnings) context.monitor().warning(warning);
  if (!finish) return input;
  finish_rows(input.rows, options, matrix.source);
  comm.collectively([&] {
    const auto bad = find_bad_label(input.rows, options);
    if (!bad) return;
    const Index row = input.rows.partition.first_row(comm.rank()) + bad->row;
    throw bad_input(matrix.source + ": row " + std::to_string(row) + ": " + bad->message(), {0, row});
  });
  return input;
}

}  // namespace firesteel
