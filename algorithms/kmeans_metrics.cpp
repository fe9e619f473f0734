// SPDX-License-Identifier: Apache-2.0
#include "firesteel/algorithms/kmeans_metrics.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "firesteel/core/canonical_sum.hpp"
#include "firesteel/core/parallel.hpp"

namespace firesteel::detail {

namespace {

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

/// Visits the block's rows of positive weight: (local row, weight).
template <class Visit>
void for_each_row(const KMeansPoints& points, Index block, Visit&& visit) {
  for (Index t = points.first_tile(block); t < points.end_tile(block); ++t) {
    std::array<double, kTileRows> buffer{};
    const double* weight = points.weights(t, buffer);
    const Index end = std::min((t + 1) * kTileRows, points.local_rows());
    for (Index r = t * kTileRows; r < end; ++r)
      if (weight[r % kTileRows] > 0) visit(r, weight[r % kTileRows]);
  }
}

/// What the silhouette needs of each cluster; x here is (x − shift)/unit.
struct ClusterMoments {
  std::vector<double> weights;  ///< Σ w
  std::vector<double> squares;  ///< Σ w·‖x‖² / Σ w
  std::vector<double> means;    ///< clusters x columns: Σ w·x / Σ w
};

void centred_row(const KMeansPoints& points, Index row, std::vector<double>& values) {
  points.copy_row(row, values);
  const auto shift = points.terms().shift();
  for (std::size_t j = 0; j < values.size(); ++j) values[j] = (values[j] - shift[j]) / points.unit();
}

double square(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value * value;
  return sum;
}

ClusterMoments measure_clusters(const KMeansPoints& points, const Assignment& assignment, Index count) {
  const Index columns = points.columns();
  const Index width = columns + 2;
  CanonicalSum sum(points.context().comm(), points.rows().partition, count * width,
                   points.context().threads());
  const auto total = sum(
      [&](Index block, std::span<double> out) {
        std::fill(out.begin(), out.end(), 0.0);
        std::vector<double> row(at(columns));
        for_each_row(points, block, [&](Index r, double weight) {
          centred_row(points, r, row);
          double* cluster = out.data() + assignment.labels[at(r)] * width;
          for (std::size_t j = 0; j < row.size(); ++j) cluster[j] += weight * row[j];
          cluster[columns] += weight * square(row);
          cluster[columns + 1] += weight;
        });
      },
      points.store());
  ClusterMoments moments;
  for (Index c = 0; c < count; ++c) {
    const double* cluster = total.data() + c * width;
    const double weight = cluster[columns + 1];
    moments.weights.push_back(weight);
    moments.squares.push_back(weight > 0 ? cluster[columns] / weight : 0);
    for (Index j = 0; j < columns; ++j) moments.means.push_back(weight > 0 ? cluster[j] / weight : 0);
  }
  return moments;
}

/// (b − a)/max(a, b) of one row; products: the row times each cluster's mean, 32 apart.
double row_silhouette(const ClusterMoments& clusters, const double* products, double own_square,
                      std::size_t label, double weight) {
  if (clusters.weights[label] == weight) return 0;
  double own = 0;
  double other = std::numeric_limits<double>::infinity();
  for (std::size_t c = 0; c < clusters.weights.size(); ++c) {
    if (clusters.weights[c] == 0) continue;
    const double distance = std::max(0.0, own_square + clusters.squares[c] - 2 * products[c * at(kTileRows)]);
    if (c == label)
      own = distance * clusters.weights[c] / (clusters.weights[c] - weight);
    else
      other = std::min(other, distance);
  }
  if (own < other) return 1 - own / other;
  return own > other ? other / own - 1 : 0;
}

/// This rank's rows of positive weight by label.
std::vector<std::int64_t> count_labels(const KMeansPoints& points, std::span<const std::int32_t> labels,
                                       Index count) {
  std::vector<std::int64_t> sizes(at(count), 0);
  const auto& weights = points.rows().weights;
  for (std::size_t r = 0; r < labels.size(); ++r)
    if (weights.empty() || weights[r] > 0) ++sizes[at(labels[r])];
  return sizes;
}

}  // namespace

Assignment assign_rows(const KMeansPoints& points, std::span<const double> centres) {
  const Context& context = points.context();
  return context.comm().collectively([&] {
    Assignment assignment;
    const auto padded = at(points.tiles() * kTileRows);
    assignment.labels.resize(padded);
    assignment.distances.resize(padded);
    const auto search = points.search(centres);
    points.for_each_block([&](Index block, int) {
      for (Index t = points.first_tile(block); t < points.end_tile(block); ++t) {
        search->nearest(t, 1, assignment.labels.data() + t * kTileRows);
        search->distances(t, assignment.labels.data() + t * kTileRows,
                          assignment.distances.data() + t * kTileRows);
      }
    });
    assignment.labels.resize(at(points.local_rows()));
    assignment.distances.resize(at(points.local_rows()));
    return assignment;
  });
}

AssignmentTotals total_assignment(const KMeansPoints& points, std::span<const double> centres,
                                  std::span<const std::int32_t> labels) {
  const Context& context = points.context();
  AssignmentTotals totals;
  std::unique_ptr<CentreSearch> search;
  context.comm().collectively([&] {
    totals.sizes = count_labels(points, labels, static_cast<Index>(centres.size()) / points.columns());
    search = points.search(centres);
  });
  context.comm().allreduce_sum(totals.sizes);
  CanonicalSum sum(context.comm(), points.rows().partition, 1, context.threads());
  totals.cost = sum(
      [&](Index block, std::span<double> out) {
        std::array<std::int32_t, kTileRows> label{};
        std::array<double, kTileRows> distances{};
        std::array<double, kTileRows> buffer{};
        out[0] = 0;
        for (Index t = points.first_tile(block), end = points.end_tile(block); t < end; ++t) {
          const Index rows = std::min(kTileRows, points.local_rows() - t * kTileRows);
          std::copy_n(labels.begin() + t * kTileRows, rows, label.begin());
          search->distances(t, label.data(), distances.data());
          const double* weight = points.weights(t, buffer);
          for (std::size_t r = 0; r < at(rows); ++r)
            if (weight[r] > 0) out[0] += weight[r] * distances[r];
        }
      },
      points.store())[0];
  return totals;
}

double assignment_cost(const KMeansPoints& points, const Assignment& assignment) {
  CanonicalSum sum(points.context().comm(), points.rows().partition, 1, points.context().threads());
  return sum([&](Index block, std::span<double> out) {
    out[0] = 0;
    for_each_row(points, block,
                 [&](Index r, double weight) { out[0] += weight * assignment.distances[at(r)]; });
  })[0];
}

double silhouette(const KMeansPoints& points, const Assignment& assignment, Index count) {
  const ClusterMoments clusters = measure_clusters(points, assignment, count);
  const auto occupied = std::count_if(clusters.weights.begin(), clusters.weights.end(),
                                      [](double weight) { return weight > 0; });
  if (occupied < 2) return std::numeric_limits<double>::quiet_NaN();
  // products() takes rows that are shifted but not scaled.
  std::vector<double> vectors = clusters.means;
  for (double& value : vectors) value /= points.unit();
  CanonicalSum sum(points.context().comm(), points.rows().partition, 2, points.context().threads());
  const auto total = sum(
      [&](Index block, std::span<double> out) {
        out[0] = out[1] = 0;
        std::vector<double> row(at(points.columns()));
        std::vector<double> products(at(count * kTileRows));
        Index tile = -1;
        for_each_row(points, block, [&](Index r, double weight) {
          if (r / kTileRows != tile) {
            tile = r / kTileRows;
            points.products(tile, vectors.data(), count, products.data());
          }
          centred_row(points, r, row);
          out[0] += weight * row_silhouette(clusters, products.data() + r % kTileRows, square(row),
                                            at(assignment.labels[at(r)]), weight);
          out[1] += weight;
        });
      },
      points.store());
  return total[0] / total[1];
}

}  // namespace firesteel::detail
