// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <vector>

#include "firesteel/core/function_ref.hpp"
#include "firesteel/core/row_blocks.hpp"
#include "firesteel/linalg/logistic_kernels.hpp"

namespace firesteel {

/// Tiles of a block, counted from this rank's first.
TileRange tiles_of_block(const BlockPartition& partition, int rank, Index block);

/// One weight a local row, padded with zeros to whole tiles: 1 where the data have none.
AlignedVector<double> padded_weights(const RowBlocks& data);

/// True where a dense partial sum a block of `length` doubles is too much for these data: above an eighth of
/// a block's bytes, sparse. Such data are summed by WideColumns.
bool has_wide_columns(const RowBlocks& data, Index length);

/// Σ w, and the denominator of weighted variances. Collective.
struct WeightSums {
  double total = 0;
  double denominator = 0;  ///< W − Σ w²/W
};
WeightSums sum_weights(const RowBlocks& data, std::span<const double> weights);
WeightSums sum_tile_weights(const RowBlocks& data, TileWeights weights);

/// What is known of columns over rows of positive weight. Replicated, or for a slice of the columns.
struct ColumnMoments {
  double weight_sum = 0;     ///< W = Σ w
  std::vector<double> mean;  ///< Σ w x / W
  std::vector<double> deviation;  ///< √(Σ w (x − mean)² / (W − Σ w²/W)), MLlib's; exactly 0 for a constant
  // Sparse data only.
  std::vector<double> largest;      ///< max |x|
  std::vector<std::int64_t> count;  ///< non-zeros
  double largest_weight = 0;
};

/// Sums over blocks that are taken in the same pass over dense rows, in the order of CanonicalSum.
struct BlockSums {
  Index length = 0;
  /// Writes the `length` numbers of a block, which is in memory.
  FunctionRef<void(Index block, std::span<double> out)> add;
  std::vector<double> total;
};

struct MomentOptions {
  bool check = true;            ///< throw where a dense feature is not finite; else a mean is not
  BlockSums* beside = nullptr;  ///< dense rows only
};

/// `weights` one a row, padded; of dense data none where all are 1 on all ranks.
/// Robust against shifted and badly scaled columns: deviations come from differences to a value of the column
/// itself, and where that loses digits from a second look with the column scaled and centred. Dense data are
/// read once (three times where a column is extreme), sparse data three times. Throws check_rows()'s
/// bad_input where a dense feature is not finite. Collective.
ColumnMoments column_moments(const RowBlocks& data, std::span<const double> weights,
                             const MomentOptions& options = {});

}  // namespace firesteel
