// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <memory>
#include <span>
#include <vector>

#include "firesteel/core/row_blocks.hpp"
#include "firesteel/linalg/two_limb_terms.hpp"

namespace firesteel::detail {

/// The centres of one pass, ready to be compared with rows. Local, read by all threads.
class CentreSearch {
 public:
  virtual ~CentreSearch() = default;
  /// Takes other centres, as many. Allocates nothing.
  virtual void take(std::span<const double> centres) = 0;
  /// Tiles that are best searched in one call.
  static constexpr Index kTilesAtOnce = 16;
  /// Tiles of which rows will be wanted in the next call: they are asked for while these are searched.
  struct Next {
    Index first = 0;
    Index count = 0;
    const std::uint32_t* wanted = nullptr;
  };
  /// The nearest centre of rows of tiles [first, first + count), count ≤ kTilesAtOnce, the lowest index in a
  /// tie (rows past the last: any). Bit r of wanted[t] asks for row 32·t + r; on return bits say which rows
  /// were searched, at least those: their labels, and in `gaps` lower bounds of how much farther away every
  /// other centre is (in units of KMeansPoints::unit(); negative or not a number: unknown).
  virtual void nearest(Index first, Index count, std::uint32_t* wanted, std::int32_t* labels, float* gaps,
                       const Next& next) const = 0;
  /// The same for all rows, without gaps.
  virtual void nearest(Index first, Index count, std::int32_t* labels) const = 0;
  /// Squared distances of the tile's 32 rows to the centres of their labels, in units of
  /// KMeansPoints::unit()², summed directly in double.
  virtual void distances(Index tile, const std::int32_t* labels, double* distances) const = 0;
};

/// The rows of this rank as k-means sees them: dense tiles or sparse rows, of either precision; for cosine
/// distance scaled to unit length (a copy). Rows of weight 0 get labels and influence nothing else.
class KMeansPoints {
 public:
  /// Collective: column statistics over all ranks, two reading passes. Throws bad_input for a row of length
  /// zero where `cosine`, and where a spread of values cannot be represented. `rows` must outlive the result.
  static std::unique_ptr<KMeansPoints> make(const RowBlocks& rows, bool cosine);
  virtual ~KMeansPoints() = default;

  const RowBlocks& rows() const { return rows_; }
  const Context& context() const { return rows_.context; }
  Index columns() const { return columns_; }
  Index local_rows() const { return rows_.local_rows(); }
  Index tiles() const { return (local_rows() + kTileRows - 1) / kTileRows; }
  /// This rank's tiles of block `block` are [first, end).
  Index first_tile(Index block) const;
  Index end_tile(Index block) const;
  Index first_row() const { return rows_.partition.first_row(rows_.context.rank()); }
  const double* weights(Index tile, std::span<double, kTileRows> buffer) const {
    return rows_.tile_weights(tile, buffer);
  }
  /// Where blocks lie that are not in memory; null where all are.
  virtual BlockStore* store() const { return nullptr; }
  /// Calls body(block, thread) for every block of this rank, by several threads, its values in memory.
  void for_each_block(FunctionRef<void(Index block, int thread)> body) const;
  bool weighted() const { return !rows_.weights.empty(); }

  /// Scales of the fixed-point sums; their shift is near the mean of each column (0 where sparse).
  const TwoLimbTerms& terms() const { return terms_; }
  /// Distances are kept as multiples of unit(), a power of two, so that their squares neither overflow nor
  /// vanish.
  double unit() const { return unit_; }
  /// Σ w·‖x − shift‖², in units of unit()².
  double total_energy() const { return total_energy_; }
  /// Rows of positive weight, all ranks.
  Index rows_weighted() const { return rows_weighted_; }

  /// centres: k x columns, row-major.
  virtual std::unique_ptr<CentreSearch> search(std::span<const double> centres) const = 0;
  /// The values of a local row, wherever it lies.
  virtual void copy_row(Index row, std::span<double> values) const = 0;
  /// TwoLimbTerms::move of rows of a tile: places in the tile and what to do with each.
  virtual void move(Index tile, std::span<const Index> places,
                    std::span<const TwoLimbTerms::Move> moves) const = 0;
  /// out[v·32 + r] = (x_r − shift)·vectors[v] for the tile's rows and `count` vectors of `columns` values.
  virtual void products(Index tile, const double* vectors, Index count, double* out) const = 0;

 protected:
  explicit KMeansPoints(const RowBlocks& rows) : rows_(rows), columns_(rows.columns()) {}

  /// What the columns hold, over all ranks, rows of weight 0 left out.
  struct ColumnRange {
    std::vector<double> shift;
    std::vector<double> lowest;
    std::vector<double> highest;
  };
  /// Largest and smallest non-zero |term| of each column and of the weights, this rank's; Σ w·‖x − shift‖²
  /// of all ranks.
  struct TermRange {
    std::vector<double> largest;
    std::vector<double> smallest;
    double energy = 0;
  };
  virtual ColumnRange measure_columns() const = 0;  ///< collective
  virtual TermRange measure_terms() = 0;            ///< collective
  double scale() const { return 1 / unit_; }
  int exponent() const { return exponent_; }

 private:
  void prepare();
  double largest_weight();
  void choose_unit(const ColumnRange& range);
  /// By several threads at once.
  void for_each_weighted_row(FunctionRef<void(Index row, std::span<const double>)> visit) const;
  /// By Σ x² in units of unit()², of several the first; of all ranks. Collective.
  std::vector<double> row_nearest_to_zero() const;
  /// Throws where rows lie so far out that squared distances between those nearest to zero vanish.
  /// Collective.
  void check_reach(const ColumnRange& range) const;

  const RowBlocks& rows_;
  Index columns_;
  TwoLimbTerms terms_;
  int exponent_ = 0;  ///< unit = 2^(−exponent)
  double unit_ = 1;
  double total_energy_ = 0;
  Index rows_weighted_ = 0;
};

std::unique_ptr<KMeansPoints> make_dense_points(const RowBlocks& rows, const DenseTiles<float>& tiles,
                                                bool cosine);
std::unique_ptr<KMeansPoints> make_dense_points(const RowBlocks& rows, const DenseTiles<double>& tiles,
                                                bool cosine);
std::unique_ptr<KMeansPoints> make_sparse_points(const RowBlocks& rows, const SparseRows<float>& sparse,
                                                 bool cosine);
std::unique_ptr<KMeansPoints> make_sparse_points(const RowBlocks& rows, const SparseRows<double>& sparse,
                                                 bool cosine);

/// Brings a row to length 1, for cosine distance: x ↦ x/‖x‖, of numbers of any size.
class UnitLength {
 public:
  /// x ↦ 0 where the row has weight 0 and length 0. Throws bad_input naming the row.
  UnitLength(std::span<const double> values, double weight, Index global_row);
  double operator()(double x) const { return (exponent_ == 0 ? x : std::scalbn(x, exponent_)) * inverse_; }

 private:
  int exponent_ = 0;  ///< not 0 where 1/‖x‖ would overflow or lose digits
  double inverse_ = 0;
};

}  // namespace firesteel::detail
