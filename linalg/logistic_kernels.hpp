// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "firesteel/core/aligned_vector.hpp"
#include "firesteel/core/index.hpp"
#include "firesteel/core/row_blocks.hpp"

/// Kernels of logistic loss over one block of rows: local, one thread, fixed order, the same bits on AVX2 and
/// AVX-512. Float values are converted to double when loaded (exactly): scoring does that, and fits where
/// float arithmetic would lose a column; logistic_single.hpp has what fits in single precision use.
///
/// Notation: n rows of the block (tiles padded to 32), d columns, K outputs (1: binary by sigmoid; ≥ 2:
/// classes by softmax) | w K × d coefficients | b K offsets | z margins, for row i and output k: z = b_k +
/// Σ_j w_kj x_ij, stored tile by tile, within a tile output by output: z[(t·K + k)·32 + lane] | weight 0 for
/// padding rows | target: binary ±1; else the class as a number.
namespace firesteel {

/// Rows [first_tile, end_tile) of a rank's tiles.
struct TileRange {
  Index first = 0;
  Index end = 0;
};

/// Weights of a tile of which the first n rows are there, all of weight 1: row n of the table.
inline constexpr auto kUnitWeights = [] {
  struct alignas(64) Table {
    double of[kTileRows + 1][kTileRows];
  } table{};
  for (Index n = 0; n <= kTileRows; ++n)
    for (Index row = 0; row < n; ++row) table.of[n][row] = 1;
  return table;
}();

/// Weights of a rank's rows by tiles: given ones, padded with zeros, or 1 for each of `rows` rows, for which
/// nothing is read.
struct TileWeights {
  const double* given = nullptr;
  Index rows = 0;

  bool unit() const { return given == nullptr; }
  const double* of_tile(std::size_t t) const {
    constexpr auto kRows = static_cast<std::size_t>(kTileRows);
    if (!unit()) return given + t * kRows;
    const auto count = static_cast<std::size_t>(rows);
    return kUnitWeights.of[count > t * kRows ? std::min(count - t * kRows, kRows) : 0];
  }
};

/// Dense rows of several classes are taken in groups of tiles: margins and residuals of a group, then what it
/// adds to the gradient, for which its features are read again. How many tiles are a group is a part of what
/// the sums are, so it depends on shapes alone: as many as a core's own cache keeps beside those that come
/// next (448 KB), or where not one fits, or there are many classes, as have 64 KB of residuals.
std::size_t tiles_of_group(TileRange range, Index columns, Index outputs, std::size_t value_bytes);

/// What is known of the rows, one value a row, padded with zeros to whole tiles.
struct LogisticTargets {
  AlignedVector<double> target;
  AlignedVector<double> weight;  ///< empty: 1 for each of `rows` rows
  Index rows = 0;

  TileWeights weights() const {
    return weight.empty() ? TileWeights{nullptr, rows} : TileWeights{weight.data(), 0};
  }
  double weight_of(std::size_t row) const {
    return weight.empty() ? (row < static_cast<std::size_t>(rows) ? 1.0 : 0.0) : weight[row];
  }
  Index tiles() const { return static_cast<Index>(target.size()) / kTileRows; }
};

/// A linear map from a row to K margins.
struct LinearOutputs {
  Index outputs = 1;
  std::span<const double> coefficients;  ///< K x d
  std::span<const double> offsets;       ///< K
};

/// Margins of the rows of `range`, into z.
template <class Scalar>
void block_margins(const DenseTiles<Scalar>& features, const LinearOutputs& model, TileRange range,
                   double* z);
template <class Scalar>
void block_margins(const SparseRows<Scalar>& features, const LinearOutputs& model, TileRange range,
                   double* z);

/// One fused pass over the rows of `range`: z, and into statistic: Σ loss, Σ residual (K values), Σ
/// residual·x (K x d), residual = weight·∂loss/∂z. `scratch` is the thread's own, grown as needed. Reads the
/// block from memory once. `statistic` has 1 + K + K·d values. Dense rows: z may be null, then margins are
/// not kept.
template <class Scalar>
void block_loss_and_gradient(const DenseTiles<Scalar>& features, const LogisticTargets& targets,
                             const LinearOutputs& model, TileRange range, double* z,
                             std::span<double> statistic, AlignedVector<double>& scratch);
template <class Scalar>
void block_loss_and_gradient(const SparseRows<Scalar>& features, const LogisticTargets& targets,
                             const LinearOutputs& model, TileRange range, double* z,
                             std::span<double> statistic, AlignedVector<double>& scratch);

/// Residuals and loss from margins; `residuals` is laid out as z and does not alias it. statistic: Σ loss, Σ
/// residual.
void block_residuals(const LogisticTargets& targets, Index outputs, TileRange range, const double* z,
                     double* residuals, std::span<double> statistic);

/// Moments of the probabilities p of softmax: Σ w·p_a·p_b (b ≤ a, row by row of the triangle), then Σ w·p_a
/// (K). O(n·K²).
void block_class_moments(const LogisticTargets& targets, Index outputs, TileRange range, const double* z,
                         std::span<double> statistic, AlignedVector<double>& scratch);

/// Loss and slope at z + t·(z_trial − z): statistic: Σ loss, Σ_ik residual_ik·(z_trial − z)_ik. O(n·K).
void block_loss_on_line(const LogisticTargets& targets, Index outputs, TileRange range, const double* z,
                        const double* z_trial, double t, std::span<double> statistic,
                        AlignedVector<double>& scratch);

/// Smallest z_y − max_{k≠y} z_k (binary: target·z) over rows of positive weight; +inf where there are none.
double block_smallest_margin(const LogisticTargets& targets, Index outputs, TileRange range, const double* z);

}  // namespace firesteel
