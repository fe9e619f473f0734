// SPDX-License-Identifier: Apache-2.0
#include "firesteel/algorithms/logistic_problem.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "firesteel/core/canonical_sum.hpp"
#include "firesteel/linalg/math.hpp"

namespace firesteel::detail {

namespace {

/// Newton, where rows times parameters² is so little that its certain convergence is worth more than the
/// time; L-BFGS with Newton behind it, where a Hessian costs a few passes over the data; for more parameters
/// L-BFGS, or Newton where rows are few (docs/decisions/0032: measured).
constexpr Index kNewtonBehindParameters = 128;
constexpr double kLittleWork = 1e8;
constexpr Index kNewtonParameters = 500;
constexpr double kSomeWork = 1e9;
/// Above, its Hessian does not belong into one rank's memory.
constexpr Index kNewtonLimit = 20000;

std::size_t size_of(Index i) { return static_cast<std::size_t>(i); }

Error agreed_input(const std::string& message) { return {ErrorCode::bad_input, message, {}, true}; }
Error agreed_parameter(const std::string& message) { return {ErrorCode::bad_parameter, message, {}, true}; }

void reserve_rows(const RowBlocks& data, Index values_of_row, LogisticProblem& problem) {
  problem.reserved.emplace_back(
      data.context.memory(), data.local_rows() * values_of_row * static_cast<Index>(sizeof(double)),
      "targets, weights and margins of " + std::to_string(data.local_rows()) + " rows");
}

void check_column(const RowBlocks& data, Index column, double mean, double deviation) {
  if (std::isfinite(mean) && std::isfinite(deviation) && (deviation == 0 || std::isfinite(1 / deviation)))
    return;
  throw bad_input(data.schema.column(column) + ": its mean, " + number_text(mean) +
                      ", or standard deviation, " + number_text(deviation) +
                      ", is beyond what double precision can scale; multiply the column by a constant",
                  {0, column});
}

Index first_column(const LogisticProblem& problem) { return problem.wide ? problem.wide->first_column() : 0; }

/// Weights of a penalty of `amount` on |coefficient|^power, times σ^power with --standardization.
std::vector<double> penalty_weights(const LogisticRegression& learner, const LogisticProblem& problem,
                                    double amount, int power) {
  std::vector<double> weights(problem.local_coefficients(), 0.0);
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const std::size_t j = problem.column_of(i);
    const double sigma = problem.deviation[j];
    if (sigma == 0) continue;
    const double unit = problem.units.deviation[j];
    const double divisor = learner.standardization ? unit / sigma : unit;
    weights[i] = amount / (power == 2 ? divisor * divisor : divisor);
    if (amount > 0 && !std::isfinite(weights[i]))
      throw bad_input("a column of standard deviation " + number_text(sigma) +
                          " cannot be penalised with --no-standardization: multiply it by a constant",
                      {0, static_cast<Index>(j) + first_column(problem)});
  }
  return weights;
}

void check_classes(const LogisticRegression& learner, const ClassLabels& classes) {
  if (classes.count() == 0)
    throw agreed_input("there is no row to fit: none was read, or all are left out or of weight 0");
  if (classes.count() == 1)
    throw agreed_input("the label column has one class only, " + classes.name(0) +
                       ": a classifier needs at least two");
  if (learner.family == "binomial" && classes.count() > 2)
    throw agreed_input("--family binomial: the label column has " + std::to_string(classes.count()) +
                       " classes; use --family multinomial or auto");
  if (!learner.thresholds.empty() && static_cast<Index>(learner.thresholds.size()) != classes.count())
    throw agreed_input("--thresholds: expected one for each of the " + std::to_string(classes.count()) +
                       " classes, got " + std::to_string(learner.thresholds.size()));
}

/// Rows of weight 1 whose targets are −1 or 1, 0 in padding: exact.
void count_two_classes(const LogisticTargets& targets, std::size_t first, std::size_t end,
                       std::span<double> out) {
  // Four sums, row after row in turn: additions do not wait for each other.
  std::array<double, 4> sums{};
  for (std::size_t row = first; row < end; row += 4)
    for (std::size_t i = 0; i < 4; ++i) sums[i] += targets.target[row + i];
  const double difference = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  const auto rows = static_cast<double>(std::min(end, size_of(targets.rows)) - first);
  out[0] = (rows - difference) / 2;
  out[1] = (rows + difference) / 2;
}

/// Σ w of each class. `two`: targets are −1 and 1, else class numbers.
std::vector<double> sum_class_weights(const RowBlocks& data, const LogisticTargets& targets, Index classes,
                                      bool two) {
  CanonicalSum sum(data.context.comm(), data.partition, classes, data.context.threads());
  const auto total = sum([&](Index block, std::span<double> out) {
    const TileRange range = tiles_of_block(data.partition, data.context.rank(), block);
    const std::size_t first = size_of(range.first * kTileRows);
    const std::size_t end = size_of(range.end * kTileRows);
    if (targets.weight.empty()) return count_two_classes(targets, first, end, out);
    std::fill(out.begin(), out.end(), 0.0);
    for (std::size_t row = first; row < end; ++row)  // padding has weight 0
      out[two ? (targets.target[row] > 0 ? 1 : 0) : static_cast<std::size_t>(targets.target[row])] +=
          targets.weight[row];
  });
  return {total.begin(), total.end()};
}

/// The model and a gather of it on every rank; among all ranks the point, gradients, directions and pairs of
/// L-BFGS, and for each column moments and scales.
void reserve_state(const RowBlocks& data, LogisticProblem& problem) {
  const Communicator& comm = data.context.comm();
  const auto outputs = static_cast<double>(problem.outputs);
  const double copies = 2 * outputs + (26 * outputs + 10) / comm.size();
  const double bytes = copies * sizeof(double) * static_cast<double>(data.columns());
  const std::string what =
      std::to_string(problem.outputs * data.columns()) + " coefficients and the vectors of their fit";
  require_memory(comm, bytes, what);
  problem.reserved.emplace_back(data.context.memory(), static_cast<Index>(bytes), what);
}

/// What `auto` stands for.
std::string fastest_solver(Index rows, Index parameters, bool absolute) {
  const auto count = static_cast<double>(parameters);
  const double work = static_cast<double>(rows) * count * count;
  if (parameters <= kNewtonBehindParameters) return work <= kLittleWork ? "newton" : kLbfgsNewton;
  if (parameters <= kNewtonParameters && work <= kSomeWork) return "newton";
  return absolute ? "owlqn" : "lbfgs";
}

bool has_hessian(const std::string& solver) { return solver == "newton" || solver == kLbfgsNewton; }

std::string choose_solver(const LogisticRegression& learner, Index rows, Index parameters) {
  const bool absolute = has_l1(learner);
  std::string solver = learner.solver;
  if (solver == "auto") solver = fastest_solver(rows, parameters, absolute);
  if (has_hessian(solver) && parameters > kNewtonLimit)
    throw agreed_parameter("--solver " + solver + ": " + std::to_string(parameters) +
                           " parameters are more than " + std::to_string(kNewtonLimit) + ": use " +
                           (absolute ? "owlqn" : "lbfgs"));
  return solver;
}

}  // namespace

LogisticProblem prepare_problem(const LogisticRegression& learner, const RowBlocks& data) {
  LogisticProblem problem;
  problem.classes = ClassLabels::gather(data);
  check_classes(learner, problem.classes);
  problem.outputs =
      learner.family == "multinomial" || problem.classes.count() > 2 ? problem.classes.count() : 1;
  // Dense rows of two classes need no weights where none are given, on any rank.
  const bool unit = !data.context.comm().any(!data.weights.empty()) && problem.outputs == 1 && !data.sparse();
  data.context.comm().collectively([&] {
    reserve_state(data, problem);
    reserve_rows(data, 2 + 2 * problem.outputs, problem);  // target, weight, margins twice
    problem.targets.rows = data.local_rows();
    if (!unit) problem.targets.weight = padded_weights(data);
    problem.targets.target.assign(size_of((data.local_rows() + kTileRows - 1) / kTileRows * kTileRows), 0.0);
  });
  std::vector<double> values{-1.0, 1.0};
  if (problem.outputs > 1) {
    values.clear();
    for (Index k = 0; k < problem.classes.count(); ++k) values.push_back(static_cast<double>(k));
  }
  problem.classes.fill_rows(data, values, problem.targets.target);
  problem.class_weights =
      sum_class_weights(data, problem.targets, problem.classes.count(), problem.outputs == 1);
  const Index parameters = problem.outputs * (data.columns() + (learner.fit_intercept ? 1 : 0));
  problem.solver = choose_solver(learner, data.partition.rows(), parameters);
  if (has_hessian(problem.solver))
    data.context.comm().collectively([&] { reserve_rows(data, 1 + problem.outputs, problem); });
  if (!has_hessian(problem.solver) && has_wide_columns(data, 1 + problem.outputs * (1 + data.columns())))
    problem.wide.emplace(data, problem.targets.weight, problem.outputs, learner.fit_intercept);
  return problem;
}

void check_moments(const RowBlocks& data, const LogisticProblem& problem, const ColumnMoments& moments) {
  constexpr double kLeastWeight = 0x1p-960;  // products of weights and small residuals keep their digits
  data.context.comm().collectively([&] {
    if (moments.weight_sum < kLeastWeight)
      throw bad_input("the weights add up to " + number_text(moments.weight_sum) +
                      ", which is too little for double precision: multiply all of them by one number");
    for (std::size_t j = 0; j < moments.deviation.size(); ++j)
      check_column(data, first_column(problem) + static_cast<Index>(j), moments.mean[j],
                   moments.deviation[j]);
  });
}

ColumnMoments units_of(const LogisticRegression& learner, Index classes, ColumnMoments moments) {
  const double l2 = learner.reg_param * (1 - learner.elastic_net_param);
  if (learner.standardization || l2 == 0) return moments;
  const auto count = static_cast<double>(classes);
  const double curvature = (count - 1) / (count * count);
  for (double& unit : moments.deviation)
    if (unit > 0) unit = std::sqrt(unit * unit + l2 / curvature);
  return moments;
}

std::vector<double> start_point(const LogisticProblem& problem, std::size_t local_size) {
  std::vector<double> point(local_size, 0.0);
  const std::size_t first = problem.local_coefficients();
  if (first == local_size) return point;
  const auto& weights = problem.class_weights;
  if (problem.outputs == 1) {
    point.back() = math::log(weights[1] / weights[0]);
    return point;
  }
  double mean = 0;
  for (const double weight : weights) mean += math::log(weight) / static_cast<double>(weights.size());
  for (std::size_t k = 0; k < weights.size(); ++k) point[first + k] = math::log(weights[k]) - mean;
  return point;
}

double value_without_features(const LogisticRegression& learner, const LogisticProblem& problem) {
  const auto& weights = problem.class_weights;
  if (!learner.fit_intercept) return math::log(static_cast<double>(weights.size()));
  double value = 0;
  for (const double weight : weights) {
    const double share = weight / problem.units.weight_sum;
    value -= share * math::log(share);
  }
  return value;
}

std::vector<double> l2_weights(const LogisticRegression& learner, const RowBlocks& data,
                               const LogisticProblem& problem) {
  const double amount = learner.reg_param * (1 - learner.elastic_net_param);
  return data.context.comm().collectively([&] { return penalty_weights(learner, problem, amount, 2); });
}

std::vector<double> l1_weights(const LogisticRegression& learner, const RowBlocks& data,
                               const LogisticProblem& problem) {
  const double amount = learner.reg_param * learner.elastic_net_param;
  return data.context.comm().collectively([&] { return penalty_weights(learner, problem, amount, 1); });
}

}  // namespace firesteel::detail
