// SPDX-License-Identifier: Apache-2.0
#include "firesteel/algorithms/kmeans.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "firesteel/algorithms/kmeans_init.hpp"
#include "firesteel/algorithms/kmeans_metrics.hpp"
#include "firesteel/algorithms/kmeans_points.hpp"
#include "firesteel/algorithms/kmeans_sums.hpp"
#include "firesteel/core/check_rows.hpp"
#include "firesteel/core/memory.hpp"
#include "firesteel/core/parallel.hpp"

namespace firesteel {

namespace {

constexpr Index kDefaultClusters = 2;
constexpr double kMostClusters = 1 << 24;  // labels are exact as single-precision numbers

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

bool is_cosine(const std::string& distance_measure) { return distance_measure == "cosine"; }

/// From squared distances in units to those that users see: for vectors of length 1, 1 − cos = ½‖x − c‖².
double in_user_units(double squared, const detail::KMeansPoints& points, bool cosine) {
  return (cosine ? 0.5 : 1.0) * squared * points.unit() * points.unit();
}

void check_columns(Index expected, const RowBlocks& data, const std::string& what) {
  if (data.columns() != expected)
    throw bad_input(what + " " + std::to_string(expected) + " columns, but the data have " +
                    std::to_string(data.columns()) + " features");
}

void check_fit(KMeans parameters, const RowBlocks& data) {
  validate_parameters(parameters);
  const Matrix& init = parameters.init;
  if (init.empty()) return;
  if (parameters.k && *parameters.k != init.rows)
    throw bad_parameter("--k: expected " + std::to_string(init.rows) +
                        ", the rows of the initial centres (--init-file), got " +
                        std::to_string(*parameters.k) + "; --k may be left out");
  check_columns(init.columns, data, "the initial centres (--init-file) have");
  for (std::size_t i = 0; i < init.values.size(); ++i)
    if (!std::isfinite(init.values[i]))
      throw bad_input("the initial centres (--init-file) hold a number that is not finite in row " +
                      std::to_string(static_cast<Index>(i) / init.columns));
}

std::vector<double> given_centres(const Matrix& init, bool cosine) {
  std::vector<double> centres = init.values;
  for (Index c = 0; c < init.rows && cosine; ++c)
    if (!detail::scale_to_unit_length(std::span(centres).subspan(at(c * init.columns), at(init.columns))))
      throw bad_input("row " + std::to_string(c) +
                      " of the initial centres (--init-file) has length zero: cosine distance is not defined "
                      "for it");
  return centres;
}

/// For labels, distances and weights. Collective.
MemoryReservation reserve_rows(const RowBlocks& data, Index row_bytes) {
  return data.context.comm().collectively([&] {
    return MemoryReservation(data.context.memory(), data.local_rows() * row_bytes,
                             "labels and distances of " + std::to_string(data.local_rows()) + " rows");
  });
}

/// How far a centre moved: Euclidean distance, or 1 − cos.
double movement(std::span<const double> before, std::span<const double> after, bool cosine) {
  double largest = 0;
  for (std::size_t j = 0; j < before.size(); ++j) largest = std::max(largest, std::abs(after[j] - before[j]));
  if (largest == 0) return 0;
  double sum = 0;
  for (std::size_t j = 0; j < before.size(); ++j) {
    const double part = (after[j] - before[j]) / largest;
    sum += part * part;
  }
  const double distance = largest * std::sqrt(sum);
  return cosine ? 0.5 * distance * distance : distance;
}

/// Lloyd's iterations.
class Lloyd {
 public:
  Lloyd(const KMeans& parameters, const detail::KMeansPoints& points, std::vector<double> centres)
      : parameters_(parameters),
        points_(points),
        cosine_(is_cosine(parameters.distance_measure)),
        sums_(points, static_cast<Index>(centres.size()) / points.columns()),
        centres_(std::move(centres)) {}

  FitSummary run(const RowBlocks& data) {
    sums_.assign(centres_);
    return run_fit_loop(data, "kmeans", parameters_, objective(), *this,
                        [](Lloyd& self, Index) { return self.step(); });
  }

  /// Labels and sums follow from the centres.
  void describe(StateVisitor& visitor) { visitor.replicated("centres", centres_); }
  void restored() { sums_.assign(centres_); }

  const std::vector<double>& centres() const { return centres_; }
  /// By these centres.
  std::span<const std::int32_t> labels() const { return sums_.labels(); }

 private:
  double objective() const { return in_user_units(sums_.cost(centres_), points_, cosine_); }

  Step step() {
    before_.assign(centres_.begin(), centres_.end());
    const Index columns = points_.columns();
    double moved = 0;
    for (Index c = 0; c < static_cast<Index>(centres_.size()) / columns; ++c) {
      const auto centre = std::span(centres_).subspan(at(c * columns), at(columns));
      update(c, centre);
      moved = std::max(moved,
                       movement(std::span(before_).subspan(at(c * columns), at(columns)), centre, cosine_));
    }
    if (centres_ != before_) sums_.assign(centres_);
    return {.objective = objective(), .converged = moved <= parameters_.tol, .stop_reason = "centres"};
  }

  /// The mean of the cluster's rows; a cluster without rows, or with a mean of length zero under cosine
  /// distance, keeps its centre.
  void update(Index c, std::span<double> centre) {
    if (!sums_.occupied(c)) return;
    mean_.resize(centre.size());
    for (std::size_t j = 0; j < mean_.size(); ++j) mean_[j] = sums_.mean(c, static_cast<Index>(j));
    if (!cosine_ || detail::scale_to_unit_length(mean_))
      std::copy(mean_.begin(), mean_.end(), centre.begin());
  }

  const KMeans& parameters_;
  const detail::KMeansPoints& points_;
  bool cosine_;
  detail::ClusterSums sums_;
  std::vector<double> centres_;
  std::vector<double> before_;  ///< centres of the last iteration
  std::vector<double> mean_;
};

std::vector<double> initial_centres(const KMeans& parameters, const detail::KMeansPoints& points) {
  const bool cosine = is_cosine(parameters.distance_measure);
  if (!parameters.init.empty())
    return points.context().comm().collectively([&] { return given_centres(parameters.init, cosine); });
  const Index wanted = parameters.k.value_or(kDefaultClusters);
  auto centres =
      parameters.init_mode == "random"
          ? detail::random_centres(points, wanted, parameters.seed)
          : detail::parallel_centres(points, wanted, parameters.init_steps, parameters.seed, cosine);
  const Index found = static_cast<Index>(centres.size()) / points.columns();
  if (found < wanted)
    points.context().monitor().warning("k = " + std::to_string(wanted) + ", but only " +
                                       std::to_string(found) + " rows are distinct: the model has " +
                                       std::to_string(found) + " centres");
  return centres;
}

}  // namespace

void KMeans::describe(ParameterVisitor& visitor) {
  visitor.optional_integer("k", k, init.empty() ? kDefaultClusters : init.rows,
                           {.low = 1, .high = kMostClusters},
                           "number of clusters; may be left out where initial centres are given");
  visitor.integer("max_iter", max_iter, at_least(0), "most iterations");
  visitor.real("tol", tol, at_least(0),
               "stop when no centre moves farther than this (cosine: 1 - cos); 0: until none moves");
  visitor.choice("init_mode", init_mode, {"k-means||", "random"}, "how initial centres are chosen");
  visitor.integer("init_steps", init_steps, at_least(1), "rounds of k-means||");
  visitor.matrix("init", init, "initial centres, one a row, columns in the order of the features");
  visitor.choice("distance_measure", distance_measure, {"euclidean", "cosine"}, "distance between rows");
  visitor.seed("seed", seed, "seed of the random draws");
}

/// What every rank holds for each centre and column: centres before and after a step, to search by (in
/// eights) and for bounds, two limbs a sum in all, of a pass and of each thread; and for each column, ranges,
/// scales and magnitudes.
MemoryReservation reserve_state(const RowBlocks& data, Index wanted) {
  const Index clusters = std::min(wanted, data.partition.rows());
  const Index sums = 2 * clusters * (2 + data.context.threads());
  const auto values = static_cast<double>(4 * clusters + (clusters + 7) / 8 * 8 + sums + 16);
  const double bytes = values * sizeof(double) * static_cast<double>(data.columns());
  const std::string what =
      std::to_string(clusters) + " centres of " + std::to_string(data.columns()) + " columns and their sums";
  require_memory(data.context.comm(), bytes, what);
  return {data.context.memory(), static_cast<Index>(bytes), what};
}

KMeansModel KMeans::fit(const RowBlocks& data) const {
  const FloatEnvironment environment;
  data.context.comm().collectively([&] { check_fit(*this, data); });
  check_rows(data);
  const bool cosine = is_cosine(distance_measure);
  const Index wanted = init.empty() ? k.value_or(kDefaultClusters) : init.rows;
  // Label, and while centres are sought weight, distance and nearest candidate.
  const auto state = data.context.comm().collectively([&] { return reserve_state(data, wanted); });
  const auto reserved = reserve_rows(data, row_bytes());
  const auto points = detail::KMeansPoints::make(data, cosine);
  data.context.comm().collectively([&] {
    if (wanted > points->rows_weighted())
      throw bad_input("k = " + std::to_string(wanted) + ", but there are only " +
                      std::to_string(points->rows_weighted()) + " rows of positive weight");
  });
  Lloyd lloyd(*this, *points, initial_centres(*this, *points));
  KMeansModel model;
  model.summary = lloyd.run(data);
  model.distance_measure = distance_measure;
  model.schema = data.schema;
  model.cluster_centers = {static_cast<Index>(lloyd.centres().size()) / data.columns(), data.columns(),
                           lloyd.centres()};
  const auto totals = detail::total_assignment(*points, lloyd.centres(), lloyd.labels());
  model.training_cost = in_user_units(totals.cost, *points, cosine);
  model.cluster_sizes = totals.sizes;
  model.summary.objective = model.training_cost;
  model.summary.objective_history.back() = model.training_cost;
  model.summary.extra = {
      {"k", model.cluster_centers.rows},
      {"training_cost", model.training_cost},
      {"cluster_sizes", RecordArray<std::int64_t>{{model.cluster_centers.rows}, model.cluster_sizes}}};
  KMeans parameters = *this;
  parameters_to_record(parameters, model.parameters);
  return model;
}

void KMeansModel::to_record(Record& record) const {
  for (const auto& [name, value] : parameters.entries()) record.set(name, value);
  record.set_matrix("cluster_centers", cluster_centers.rows, cluster_centers.columns, cluster_centers.values);
  record.set("cluster_sizes", RecordArray<std::int64_t>{{cluster_centers.rows}, cluster_sizes});
  record.set("distance_measure", distance_measure);
  record.set("training_cost", training_cost);
}

KMeansModel KMeansModel::from_record(const Record& record) {
  KMeansModel model;
  const auto& centres = record.matrix("cluster_centers", -1, -1);
  model.cluster_centers = {centres.shape[0], centres.shape[1], centres.values};
  model.cluster_sizes = record.get<RecordArray<std::int64_t>>("cluster_sizes").values;
  model.distance_measure = record.get<std::string>("distance_measure");
  model.training_cost = record.get<double>("training_cost");
  const auto& distance = model.distance_measure;
  if (model.cluster_centers.empty() ||
      static_cast<Index>(model.cluster_sizes.size()) != model.cluster_centers.rows ||
      (distance != "euclidean" && !is_cosine(distance)))
    throw bad_input("the model has " + std::to_string(model.cluster_centers.rows) + " centres of " +
                    std::to_string(model.features()) + " features, sizes of " +
                    std::to_string(model.cluster_sizes.size()) + " clusters and distance '" + distance +
                    "': it is damaged");
  for (const auto& [name, value] : record.entries())
    if (name.starts_with("parameters/")) model.parameters.set(name, value);
  return model;
}

ColumnTable KMeansModel::predict(const RowBlocks& data) const {
  const FloatEnvironment environment;
  data.context.comm().collectively([&] { check_columns(features(), data, "the model has"); });
  const bool cosine = is_cosine(distance_measure);
  const auto reserved = reserve_rows(data, 4 + 8 + 8 + 8);
  const auto points = detail::KMeansPoints::make(data, cosine);
  const auto assignment = detail::assign_rows(*points, cluster_centers.values);
  return data.context.comm().collectively([&] {
    std::vector<double> distances;
    distances.reserve(assignment.distances.size());
    for (const double squared : assignment.distances)
      distances.push_back(cosine ? in_user_units(squared, *points, true)
                                 : std::sqrt(squared) * points->unit());
    std::vector<std::int64_t> labels(assignment.labels.begin(), assignment.labels.end());
    return ColumnTable{{{"prediction", std::move(labels)}, {"distance", std::move(distances)}}};
  });
}

Metrics KMeansModel::evaluate(const RowBlocks& data) const {
  const FloatEnvironment environment;
  data.context.comm().collectively([&] { check_columns(features(), data, "the model has"); });
  const bool cosine = is_cosine(distance_measure);
  const auto reserved = reserve_rows(data, 4 + 8);
  const auto points = detail::KMeansPoints::make(data, cosine);
  const auto assignment = detail::assign_rows(*points, cluster_centers.values);
  const double cost = in_user_units(detail::assignment_cost(*points, assignment), *points, cosine);
  return {{"training_cost", cost},
          {"silhouette", detail::silhouette(*points, assignment, cluster_centers.rows)}};
}

}  // namespace firesteel
