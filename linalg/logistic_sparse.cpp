// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "firesteel/linalg/logistic_kernels.hpp"

namespace firesteel {

namespace {
std::size_t count(Index i) { return static_cast<std::size_t>(i); }
}  // namespace

template <class Scalar>
void block_margins(const SparseRows<Scalar>& features, const LinearOutputs& model, TileRange range,
                   double* z) {
  const Index outputs = model.outputs;
  const Index end = std::min(range.end * kTileRows, features.local_rows());
  std::fill(z + range.first * outputs * kTileRows, z + range.end * outputs * kTileRows, 0.0);
  for (Index row = range.first * kTileRows; row < end; ++row) {
    const auto indices = features.row_indices(row);
    const auto values = features.row_values(row);
    double* tile = z + row / kTileRows * outputs * kTileRows + row % kTileRows;
    for (Index k = 0; k < outputs; ++k) {
      const double* w = model.coefficients.data() + k * features.columns();
      double sum = model.offsets[count(k)];
      for (std::size_t i = 0; i < indices.size(); ++i) sum += w[indices[i]] * static_cast<double>(values[i]);
      tile[k * kTileRows] = sum;
    }
  }
}

template <class Scalar>
void block_loss_and_gradient(const SparseRows<Scalar>& features, const LogisticTargets& targets,
                             const LinearOutputs& model, TileRange range, double* z,
                             std::span<double> statistic, AlignedVector<double>& scratch) {
  const Index outputs = model.outputs;
  const Index columns = features.columns();
  block_margins(features, model, range, z);
  // Residuals are stored as if the block began at tile 0 of the scratch.
  scratch.resize(count((range.end - range.first) * outputs * kTileRows));
  double* residuals = scratch.data() - range.first * outputs * kTileRows;
  block_residuals(targets, outputs, range, z, residuals, statistic.first(count(1 + outputs)));
  double* gradient = statistic.data() + 1 + outputs;
  std::fill_n(gradient, outputs * columns, 0.0);
  const Index end = std::min(range.end * kTileRows, features.local_rows());
  for (Index row = range.first * kTileRows; row < end; ++row) {
    const auto indices = features.row_indices(row);
    const auto values = features.row_values(row);
    const double* tile = residuals + row / kTileRows * outputs * kTileRows + row % kTileRows;
    for (Index k = 0; k < outputs; ++k) {
      const double r = tile[k * kTileRows];
      if (r == 0) continue;
      double* sums = gradient + k * columns;
      for (std::size_t i = 0; i < indices.size(); ++i) sums[indices[i]] += r * static_cast<double>(values[i]);
    }
  }
}

#define FIRESTEEL_INSTANTIATE(Scalar)                                                                \
  template void block_margins(const SparseRows<Scalar>&, const LinearOutputs&, TileRange, double*);  \
  template void block_loss_and_gradient(const SparseRows<Scalar>&, const LogisticTargets&,           \
                                        const LinearOutputs&, TileRange, double*, std::span<double>, \
                                        AlignedVector<double>&);
FIRESTEEL_INSTANTIATE(float)
FIRESTEEL_INSTANTIATE(double)
#undef FIRESTEEL_INSTANTIATE

}  // namespace firesteel
