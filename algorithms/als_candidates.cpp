// SPDX-License-Identifier: Apache-2.0
// Candidates of recommendations, ready for filters in single precision.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "firesteel/algorithms/als_ranking.hpp"
#include "firesteel/core/row_blocks.hpp"
#include "firesteel/linalg/symmetric_eigen.hpp"

namespace firesteel {

namespace {

constexpr double kNormSlack = 1 + 0x1p-40;  // rounding of a norm
constexpr double kRestSlack = 0x1p-40;      // of squares, of the whole: axes are of unit length to 2⁻⁴⁸
constexpr double kRest = 0.08;              // of all squares that may lie beyond the axes
constexpr Index kManyQueries = 1000;        // from here on axes pay
constexpr Index kManyCandidates = 1000;
constexpr Index kSampled = 4096;  // candidates that axes are found by

constexpr std::size_t at(Index i) { return static_cast<std::size_t>(i); }

/// Sums of products of the scaled coordinates of some candidates, rank x rank; the lower triangle.
std::vector<double> sampled_moments(const Candidates& candidates) {
  const Index rank = candidates.rank;
  const Index step = (candidates.count + kSampled - 1) / kSampled;
  std::vector<double> moments(at(rank * rank), 0.0);
  std::vector<double> row(at(rank));
  for (Index c = 0; c < candidates.count; c += step) {
    for (Index j = 0; j < rank; ++j) row[at(j)] = candidates.factors[at(c * rank + j)] * candidates.scale;
    for (Index i = 0; i < rank; ++i)
      for (Index j = 0; j <= i; ++j) moments[at(i * rank + j)] += row[at(i)] * row[at(j)];
  }
  return moments;
}

/// As many axes as hold most of the candidates' squares; none where these are hardly fewer than the rank.
void find_axes(Candidates& candidates) {
  const Index rank = candidates.rank;
  const SymmetricEigen eigen = symmetric_eigen(sampled_moments(candidates), rank);
  if (eigen.values.empty()) return;
  const double all = std::accumulate(eigen.values.begin(), eigen.values.end(), 0.0);
  double left = all;
  Index axes = 0;
  while (axes < rank && !(left <= kRest * all)) left -= eigen.values[at(axes++)];
  if (4 * (axes + 1) > 3 * rank) return;
  candidates.columns = axes + 1;
  for (Index j = 0; j < rank; ++j)
    candidates.axes.insert(candidates.axes.end(), eigen.vectors.begin() + j * rank,
                           eigen.vectors.begin() + j * rank + axes);
}

}  // namespace

double scale_to_half(std::span<const double> x) {
  double largest = 0;
  for (const double value : x) largest = std::max(largest, std::fabs(value));
  if (!(largest > 0) || !std::isfinite(largest)) return 1;
  int exponent = 0;
  std::frexp(largest, &exponent);
  return std::ldexp(1.0, std::min(-exponent, 1022));
}

double norm_above(std::span<const double> x, double scale) {
  double square = 0;
  for (const double value : x) square += (value * scale) * (value * scale);
  return std::sqrt(square) * kNormSlack;
}

float project(const Candidates& candidates, std::span<const double> row, double scale, double norm,
              Index stride, float* columns) {
  if (candidates.axes.empty()) {
    for (std::size_t j = 0; j < row.size(); ++j) columns[j * at(stride)] = static_cast<float>(row[j] * scale);
    return 0;
  }
  constexpr std::size_t kMost = 128;
  double along[kMost];  // find_axes() is asked for ranks up to this only
  const std::size_t axes = at(candidates.columns - 1);
  std::fill_n(along, axes, 0.0);
  for (std::size_t j = 0; j < row.size(); ++j) {
    const double value = row[j] * scale;
    const double* of_axes = candidates.axes.data() + j * axes;
    for (std::size_t i = 0; i < axes; ++i) along[i] += value * of_axes[i];
  }
  double square = 0;
  for (std::size_t i = 0; i < axes; ++i) {
    square += along[i] * along[i];
    columns[i * at(stride)] = static_cast<float>(along[i]);
  }
  const double rest = std::sqrt(std::max(0.0, norm * norm - square) + kRestSlack * (norm * norm));
  return columns[axes * at(stride)] =
             std::nextafter(static_cast<float>(rest), std::numeric_limits<float>::infinity());
}

Candidates pack_candidates(const std::vector<double>& factors, Index rank, Index queries) {
  constexpr Index kFewestColumns = 16, kMostColumns = 128;
  Candidates result{.factors = factors, .rank = rank, .count = static_cast<Index>(factors.size()) / rank};
  result.columns = rank;
  result.scale = scale_to_half(factors);
  std::vector<double> norms(at(result.count));
  for (Index row = 0; row < result.count; ++row) {
    norms[at(row)] = norm_above(result.factors.subspan(at(row * rank), at(rank)), result.scale);
    result.finite = result.finite && std::isfinite(norms[at(row)]);
  }
  result.order.resize(at(result.count));
  std::iota(result.order.begin(), result.order.end(), 0);
  if (!result.finite) return result;
  if (queries >= kManyQueries && result.count >= kManyCandidates && rank >= kFewestColumns &&
      rank <= kMostColumns)
    find_axes(result);
  std::sort(result.order.begin(), result.order.end(), [&](std::int32_t a, std::int32_t b) {
    return norms[at(a)] > norms[at(b)] || (norms[at(a)] == norms[at(b)] && a < b);
  });
  const Index tiles = (result.count + kTileRows - 1) / kTileRows;
  result.tiles.resize(at(tiles * kTileRows * result.columns));
  for (Index place = 0; place < result.count; ++place) {
    const Index position = result.order[at(place)];
    const double norm = norms[at(position)];
    if (place % kTileRows == 0) result.norms.push_back(norm);
    const float rest =
        project(result, result.factors.subspan(at(position * rank), at(rank)), result.scale, norm, kTileRows,
                result.tiles.data() + place / kTileRows * kTileRows * result.columns + place % kTileRows);
    result.longest_rest = std::max(result.longest_rest, static_cast<double>(rest));
  }
  return result;
}

}  // namespace firesteel
