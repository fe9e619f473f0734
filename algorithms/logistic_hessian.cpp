// SPDX-License-Identifier: Apache-2.0
// The Hessian of LogisticObjective, by blocks: for outputs a, b it is Σ_i h_i·u_i·u_iᵀ with u the
// standardised row (and 1 for the intercept), h = w·p(1 − p) for one output, w·p_a([a = b] − p_b) for
// classes.
#include <algorithm>
#include <cmath>

#include "firesteel/algorithms/logistic_objective.hpp"
#include "firesteel/linalg/moment_kernels.hpp"
#include "firesteel/linalg/single_products.hpp"
#include "firesteel/linalg/single_rows.hpp"

namespace firesteel {

namespace {

std::size_t size_of(Index i) { return static_cast<std::size_t>(i); }

}  // namespace

/// roots_ ← √|h| of the rows of a block. h is never negative where a = b and never positive elsewhere.
void LogisticObjective::roots_of_pair(Index a, Index b, TileRange range) {
  const Index outputs = options_.outputs;
  static thread_local std::vector<double> unused;
  unused.resize(size_of(1 + outputs));
  block_residuals(targets_, outputs, range, margins_.data(), residuals_.data(), unused);
  for (std::size_t row = size_of(range.first * kTileRows); row < size_of(range.end * kTileRows); ++row) {
    const double w = targets_.weight_of(row);
    roots_[row] = 0;
    if (!(w > 0)) continue;
    const std::size_t first =
        row / size_of(kTileRows) * size_of(kTileRows * outputs) + row % size_of(kTileRows);
    const auto probability = [&](Index k) {
      const double r = residuals_[first + size_of(k * kTileRows)];
      if (outputs == 1) return std::abs(r) / w;
      return std::max(0.0, r / w + (targets_.target[row] == static_cast<double>(k) ? 1.0 : 0.0));
    };
    const double p = probability(a);
    roots_[row] = std::sqrt(w * p * (a == b ? std::max(0.0, 1 - p) : probability(b)));
  }
}

/// Rows in float, products summed in float over a tile, in double across tiles. They are centred at the means
/// whether there is an intercept or not, lest float lose the deviations of columns far from 0; without one,
/// what u = ũ + t, t = μ/σ, owes to t is added in double: Σ h·u·uᵀ = G + t·gᵀ + g·tᵀ + Σh·t·tᵀ with G and g
/// the sums of h·ũ·ũᵀ and h·ũ.
void LogisticObjective::single_gram_of_block(TileRange range, std::span<double> gram) {
  const Index d = data_.columns();
  const Index stride = padded_single(d + 1);
  const Index rows = (range.end - range.first) * kTileRows;
  static thread_local AlignedVector<float> scaled;
  static thread_local AlignedVector<double> sums;
  scaled.resize(size_of(rows * stride));
  sums.assign(size_of((d + 1) * stride), 0.0);
  for (Index row = range.first * kTileRows; row < range.end * kTileRows; ++row)
    single_roots_[size_of(row)] = static_cast<float>(roots_[size_of(row)] * single_->root_scale());
  const SingleScaling scaling{single_roots_, single_->centre(), single_scale_, single_shift_};
  if (const auto* dense = std::get_if<DenseTiles<float>>(&data_.features))
    fill_single_rows(*dense, scaling, range, stride, scaled.data());
  else
    fill_single_rows(std::get<SparseRows<float>>(data_.features), scaling, range, stride, scaled.data());
  add_single_products({scaled.data(), stride, scaled.data(), stride, rows, d + 1}, sums.data());
  const double unscale = 1 / (single_->root_scale() * single_->root_scale());
  const auto mean_in_units = [&](Index j) {
    return (moments_.mean[size_of(j)] - centre_[size_of(j)]) * inverse_deviation_[size_of(j)];
  };
  const double* first_moments = sums.data() + d * stride;
  for (Index j = 0; j < (options_.fit_intercept ? d + 1 : d); ++j)
    for (Index k = 0; k <= j; ++k) {
      double sum = sums[size_of(j * stride + k)];
      if (!options_.fit_intercept) {
        const double t = mean_in_units(j);
        const double other = mean_in_units(k);
        sum += t * first_moments[k] + first_moments[j] * other + t * other * first_moments[d];
      }
      gram[size_of(j * (j + 1) / 2 + k)] = sum * unscale;
    }
}

void LogisticObjective::gram_of_block(TileRange range, std::span<double> gram) {
  static thread_local AlignedVector<double> columns;
  std::visit(
      [&](const auto& features) {
        fill_columns(features, roots_, centre_, inverse_deviation_, options_.fit_intercept, range, columns);
      },
      data_.features);
  gram_of_columns(columns.data(), (range.end - range.first) * kTileRows,
                  data_.columns() + (options_.fit_intercept ? 1 : 0), gram);
}

void LogisticObjective::hessian_of_pair(Index a, Index b, std::span<double> matrix) {
  const Index d = data_.columns();
  const Index width = d + (options_.fit_intercept ? 1 : 0);
  const auto gram = (*hessian_sum_)(
      [&](Index block, std::span<double> out) {
        const TileRange range = tiles_of_block(data_.partition, data_.context.rank(), block);
        roots_of_pair(a, b, range);
        if (single_)
          single_gram_of_block(range, out);
        else
          gram_of_block(range, out);
      },
      data_.store());
  const double factor = (a == b ? 1.0 : -1.0) / moments_.weight_sum;
  const auto place = [&](Index output, Index j) {
    return size_of(j < d ? output * d + j : coefficients() + output);
  };
  const auto n = size_of(space_.size());
  for (Index j = 0; j < width; ++j) {
    for (Index k = 0; k <= j; ++k) {
      const double value = factor * gram[size_of(j * (j + 1) / 2 + k)];
      matrix[place(a, j) * n + place(b, k)] = matrix[place(b, k) * n + place(a, j)] = value;
      matrix[place(a, k) * n + place(b, j)] = matrix[place(b, j) * n + place(a, k)] = value;
    }
  }
}

/// Directions in which the loss does not change get curvature: a constant column, and classes shifted
/// together where no penalty holds them. Gradients have no part along them, so steps do not either.
void LogisticObjective::add_gauge(std::span<double> matrix) const {
  const auto n = size_of(space_.size());
  const auto d = size_of(data_.columns());
  const auto outputs = size_of(options_.outputs);
  const auto shift_together = [&](std::size_t first, std::size_t stride) {
    const double amount = matrix[first * n + first];
    for (std::size_t a = 0; a < outputs; ++a)
      for (std::size_t b = 0; b < outputs; ++b)
        matrix[(first + a * stride) * n + first + b * stride] += amount;
  };
  for (std::size_t j = 0; j < d; ++j) {
    if (inverse_deviation_[j] == 0)
      for (std::size_t k = 0; k < outputs; ++k) matrix[(k * d + j) * (n + 1)] = 1;
    else if (outputs > 1 && options_.l2[j] == 0)
      shift_together(j, d);
  }
  if (outputs > 1 && options_.fit_intercept) shift_together(outputs * d, 1);
}

void LogisticObjective::hessian(std::span<double> matrix) {
  const Index outputs = options_.outputs;
  const Index width = data_.columns() + (options_.fit_intercept ? 1 : 0);
  know_margins();
  if (!hessian_sum_)
    hessian_sum_ = std::make_unique<CanonicalSum>(data_.context.comm(), data_.partition,
                                                  width * (width + 1) / 2, data_.context.threads());
  data_.context.comm().collectively([&] {
    residuals_.resize(margins_.size());
    roots_.resize(targets_.target.size());
    if (!single_ || !single_scale_.empty()) return;
    single_roots_.resize(roots_.size());
    for (std::size_t j = 0; j < inverse_deviation_.size(); ++j) {
      single_scale_.push_back(static_cast<float>(inverse_deviation_[j]));
      const double distance = static_cast<double>(single_->centre()[j]) - moments_.mean[j];
      single_shift_.push_back(static_cast<float>(distance * inverse_deviation_[j]));
    }
  });
  for (Index a = 0; a < outputs; ++a)
    for (Index b = 0; b <= a; ++b) hessian_of_pair(a, b, matrix);
  const auto n = size_of(space_.size());
  for (std::size_t i = 0; i < options_.l2.size(); ++i) matrix[i * (n + 1)] += options_.l2[i];
  add_gauge(matrix);
}

}  // namespace firesteel
