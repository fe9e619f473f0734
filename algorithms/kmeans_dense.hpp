// SPDX-License-Identifier: Apache-2.0
// Dense rows as k-means sees them: for kmeans_dense.cpp and kmeans_dense_search.cpp alone.
#pragma once

#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "firesteel/algorithms/kmeans_points.hpp"
#include "firesteel/linalg/nearest_centres.hpp"

namespace firesteel::detail {

template <class Scalar>
class DensePoints;

template <class Scalar>
class DenseSearch final : public CentreSearch {
 public:
  DenseSearch(const DensePoints<Scalar>& points, std::span<const double> centres, double scale, int exponent);
  void take(std::span<const double> centres) override;
  void nearest(Index first, Index count, std::int32_t* labels) const override;
  void nearest(Index first, Index count, std::uint32_t* wanted, std::int32_t* labels, float* gaps,
               const Next& next) const override;
  void distances(Index tile, const std::int32_t* labels, double* distances) const override;

 private:
  void turn();  ///< centres_ into columnwise_
  void search_tiles(Index first, Index count, std::int32_t* labels, float* gaps) const;
  void search_packed(Index first, Index count, const std::uint32_t* wanted, std::int32_t* labels, float* gaps,
                     const Next& next) const;
  SearchBounds<Scalar> bounds_of(Index first, Index count, const std::uint32_t* wanted) const;
  bool may_ask_for_tiles() const;
  std::int32_t nearest_directly(Index row) const;

  const DensePoints<Scalar>& points_;
  PackedCentres<Scalar> packed_;
  std::vector<double> centres_;
  Index count_;
  Index stride_;
  AlignedVector<double> columnwise_;
  double scale_;
};

template <class Scalar>
class DensePoints final : public KMeansPoints {
 public:
  DensePoints(const RowBlocks& rows, const DenseTiles<Scalar>& tiles, bool cosine)
      : KMeansPoints(rows), tiles_(&tiles) {
    norms_.resize(static_cast<std::size_t>(tiles.tiles()));
    if (!cosine) return;
    normalised_ =
        DenseTiles<Scalar>(context(), tiles.local_rows(), tiles.columns(), rows.partition.block_rows());
    firesteel::for_each_block(rows, [&](Index block, int) { normalise(block); });
    tiles_ = &normalised_;
  }

  std::unique_ptr<CentreSearch> search(std::span<const double> centres) const override {
    return std::make_unique<DenseSearch<Scalar>>(*this, centres, scale(), exponent());
  }
  void copy_row(Index row, std::span<double> values) const override { tiles_->copy_row(row, values); }
  void move(Index tile, std::span<const Index> places,
            std::span<const TwoLimbTerms::Move> moves) const override;
  void products(Index tile, const double* vectors, Index count, double* out) const override {
    tile_products(values(tile), columns(), terms().shift().data(), vectors, count, out);
  }

  BlockStore* store() const override { return tiles_->store(); }

  const Scalar* values(Index tile) const { return tiles_->tile(tile); }
  /// Largest ‖x‖ and ‖x − shift‖ of the tile's rows, in units.
  std::pair<double, double> norms(Index tile) const { return norms_[static_cast<std::size_t>(tile)]; }

 protected:
  ColumnRange measure_columns() const override;
  TermRange measure_terms() override;

 private:
  void normalise(Index block);

  const DenseTiles<Scalar>* tiles_;
  DenseTiles<Scalar> normalised_;
  std::vector<std::pair<double, double>> norms_;
};

}  // namespace firesteel::detail
