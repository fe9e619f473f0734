// SPDX-License-Identifier: Apache-2.0
#include "firesteel/algorithms/logistic_regression.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <optional>

#include "firesteel/algorithms/logistic_objective.hpp"
#include "firesteel/algorithms/logistic_sample.hpp"
#include "firesteel/algorithms/wide_logistic_objective.hpp"
#include "firesteel/core/canonical_sum.hpp"
#include "firesteel/core/check_rows.hpp"
#include "firesteel/core/memory.hpp"
#include "firesteel/core/parallel.hpp"
#include "firesteel/linalg/math.hpp"
#include "firesteel/linalg/optimizer.hpp"
#include "firesteel/linalg/wide_columns.hpp"

namespace firesteel {

namespace {

/// Newton, where rows times parameters² is so little that its certain convergence is worth more than the
/// time; L-BFGS with Newton behind it, where a Hessian costs a few passes over the data; for more parameters
/// L-BFGS, or Newton where rows are few (docs/decisions/0032: measured).
constexpr Index kNewtonBehindParameters = 128;
constexpr double kLittleWork = 1e8;
constexpr Index kNewtonParameters = 500;
constexpr double kSomeWork = 1e9;
constexpr const char* kLbfgsNewton = "lbfgs-newton";
/// Above, its Hessian does not belong into one rank's memory.
constexpr Index kNewtonLimit = 20000;

std::size_t size_of(Index i) { return static_cast<std::size_t>(i); }

Error agreed_input(const std::string& message) { return {ErrorCode::bad_input, message, {}, true}; }
Error agreed_parameter(const std::string& message) { return {ErrorCode::bad_parameter, message, {}, true}; }

struct Problem {
  ClassLabels classes;
  LogisticTargets targets;
  std::string solver;
  std::optional<WideColumns> wide;    ///< columns are many: vectors over them are sliced
  ColumnMoments moments;              ///< of all columns, or of the own slice of wide ones
  std::vector<double> class_weights;  ///< Σ w of each class
  Index outputs = 1;
  std::vector<MemoryReservation> reserved;  ///< for what is kept of each row

  void reserve(const RowBlocks& data, Index values_of_row) {
    reserved.emplace_back(data.context.memory(),
                          data.local_rows() * values_of_row * static_cast<Index>(sizeof(double)),
                          "targets, weights and margins of " + std::to_string(data.local_rows()) + " rows");
  }

  /// Parameters of this rank that are coefficients; what follows them are intercepts.
  std::size_t local_coefficients() const { return moments.deviation.size() * size_of(outputs); }
  /// The column (of those in moments) of a coefficient.
  std::size_t column_of(std::size_t i) const {
    return wide ? i / size_of(outputs) : i % moments.deviation.size();
  }
};

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

void check_moments(const RowBlocks& data, const ColumnMoments& moments, Index first_column) {
  for (std::size_t j = 0; j < moments.deviation.size(); ++j) {
    const double deviation = moments.deviation[j];
    if (std::isfinite(moments.mean[j]) && std::isfinite(deviation) &&
        (deviation == 0 || std::isfinite(1 / deviation)))
      continue;
    const Index column = first_column + static_cast<Index>(j);
    throw bad_input(data.schema.column(column) + ": its mean, " + number_text(moments.mean[j]) +
                        ", or standard deviation, " + number_text(deviation) +
                        ", is beyond what double precision can scale; multiply the column by a constant",
                    {0, column});
  }
}

/// The optimiser works on coefficients times a unit. With --standardization that is the standard deviation σ;
/// without, where L2 bears on the coefficients themselves, √(σ² + λ/c), c the curvature of the loss at equal
/// probabilities: it makes the Hessian's diagonal alike for columns that are rarely other than 0 too, whose σ
/// alone would blow the penalty up and slow L-BFGS down.
void choose_units(const LogisticRegression& learner, Problem& problem) {
  const double l2 = learner.reg_param * (1 - learner.elastic_net_param);
  if (learner.standardization || l2 == 0) return;
  const auto classes = static_cast<double>(problem.class_weights.size());
  const double curvature = (classes - 1) / (classes * classes);
  for (double& unit : problem.moments.deviation)
    if (unit > 0) unit = std::sqrt(unit * unit + l2 / curvature);
}

/// The model on every rank; point, gradient, means and deviations at least once among all ranks.
void check_memory(const RowBlocks& data, Index outputs) {
  const Communicator& comm = data.context.comm();
  const double copies = static_cast<double>(outputs) + static_cast<double>(2 * outputs + 2) / comm.size();
  require_memory(comm, copies * sizeof(double) * static_cast<double>(data.columns()),
                 std::to_string(outputs * data.columns()) + " coefficients and the vectors of their fit");
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

bool has_l1(const LogisticRegression& learner) { return learner.reg_param * learner.elastic_net_param > 0; }

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

Problem prepare(const LogisticRegression& learner, const RowBlocks& data) {
  Problem problem;
  problem.classes = ClassLabels::gather(data);
  check_classes(learner, problem.classes);
  problem.outputs =
      learner.family == "multinomial" || problem.classes.count() > 2 ? problem.classes.count() : 1;
  // Dense rows of two classes need no weights where none are given, on any rank.
  const bool unit = !data.context.comm().any(!data.weights.empty()) && problem.outputs == 1 && !data.sparse();
  data.context.comm().collectively([&] {
    check_memory(data, problem.outputs);
    problem.reserve(data, 2 + 2 * problem.outputs);  // target, weight, margins twice
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
    data.context.comm().collectively([&] { problem.reserve(data, 1 + problem.outputs); });
  if (!has_hessian(problem.solver) && has_wide_columns(data, 1 + problem.outputs * (1 + data.columns()))) {
    problem.wide.emplace(data, problem.targets.weight, problem.outputs, learner.fit_intercept);
    problem.moments = problem.wide->moments(problem.targets.weight);
  } else {
    problem.moments = column_moments(data, problem.targets.weight);
  }
  data.context.comm().collectively(
      [&] { check_moments(data, problem.moments, problem.wide ? problem.wide->first_column() : 0); });
  choose_units(learner, problem);
  return problem;
}

/// Coefficients 0, intercepts those of the best model without features.
std::vector<double> start_point(const Problem& problem, std::size_t local_size) {
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

/// The weight of a penalty of `amount` on coefficients^power, on coefficients in the optimiser's units.
std::vector<double> penalty_weights(const LogisticRegression& learner, const Problem& problem, double amount,
                                    bool squared) {
  const auto& deviation = problem.moments.deviation;
  std::vector<double> weights(problem.local_coefficients(), 0.0);
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const double sigma = deviation[problem.column_of(i)];
    if (sigma == 0) continue;
    const double divisor = learner.standardization ? 1.0 : (squared ? sigma * sigma : sigma);
    weights[i] = amount / divisor;
    if (amount > 0 && !std::isfinite(weights[i]))
      throw bad_input(
          "a column of standard deviation " + number_text(sigma) +
              " cannot be penalised with --no-standardization: multiply it by a constant",
          {0, static_cast<Index>(problem.column_of(i)) + (problem.wide ? problem.wide->first_column() : 0)});
  }
  return weights;
}

/// The objective of the model without features, or of no model: where start_point() is.
double value_without_features(const LogisticRegression& learner, const Problem& problem) {
  const auto& weights = problem.class_weights;
  if (!learner.fit_intercept) return math::log(static_cast<double>(weights.size()));
  double value = 0;
  for (const double weight : weights) {
    const double share = weight / problem.moments.weight_sum;
    value -= share * math::log(share);
  }
  return value;
}

std::vector<double> squared_penalty(const LogisticRegression& learner, const RowBlocks& data,
                                    const Problem& problem) {
  const double amount = learner.reg_param * (1 - learner.elastic_net_param);
  return data.context.comm().collectively([&] { return penalty_weights(learner, problem, amount, true); });
}

/// Where a pass over all rows costs much beside Newton's method on a sample, that comes first.
std::optional<SampleStart> make_sample_start(const LogisticRegression& learner, const RowBlocks& data,
                                             const Problem& problem) {
  if (problem.solver != kLbfgsNewton || has_l1(learner) || problem.wide) return std::nullopt;
  const auto size = problem.local_coefficients() + (learner.fit_intercept ? size_of(problem.outputs) : 0);
  return start_from_sample(data, problem.moments, problem.targets,
                           {.outputs = problem.outputs,
                            .fit_intercept = learner.fit_intercept,
                            .l2 = squared_penalty(learner, data, problem)},
                           start_point(problem, size));
}

std::unique_ptr<LogisticLoss> make_objective(const LogisticRegression& learner, const RowBlocks& data,
                                             Problem& problem) {
  auto l2 = squared_penalty(learner, data, problem);
  if (problem.wide)
    return std::make_unique<WideLogisticObjective>(
        data, *problem.wide, problem.moments, std::move(problem.targets), problem.outputs,
        WideLogisticObjective::Options{.fit_intercept = learner.fit_intercept, .l2 = std::move(l2)});
  return std::make_unique<LogisticObjective>(
      data, problem.moments, std::move(problem.targets),
      LogisticObjective::Options{
          .outputs = problem.outputs, .fit_intercept = learner.fit_intercept, .l2 = std::move(l2)});
}

std::unique_ptr<Optimizer> make_optimizer(const LogisticRegression& learner, const RowBlocks& data,
                                          const Problem& problem, Objective& objective,
                                          std::vector<double> metric_factor = {}) {
  std::optional<std::vector<double>> l1;
  if (has_l1(learner))
    l1 = data.context.comm().collectively([&] {
      auto weights = penalty_weights(learner, problem, learner.reg_param * learner.elastic_net_param, false);
      weights.resize(objective.space().local_size(), 0.0);
      return weights;
    });
  if (problem.solver == "newton")
    return std::make_unique<NewtonOptimizer>(objective, std::move(l1), learner.tol);
  if (problem.solver == kLbfgsNewton)
    return std::make_unique<LbfgsNewtonOptimizer>(objective, std::move(l1), learner.tol,
                                                  std::move(metric_factor));
  return std::make_unique<LbfgsOptimizer>(objective, std::move(l1), learner.tol);
}

/// Subtracts the mean over the classes.
void centre_classes(double* values, std::size_t classes, std::size_t stride) {
  double mean = 0;
  for (std::size_t k = 0; k < classes; ++k) mean += values[k * stride];
  mean /= static_cast<double>(classes);
  for (std::size_t k = 0; k < classes; ++k) values[k * stride] -= mean;
}

LogisticRegressionModel make_model(const LogisticRegression& learner, const RowBlocks& data, Problem& problem,
                                   const LogisticLoss& objective, std::span<const double> point) {
  LogisticRegressionModel model;
  model.parameters = learner;
  model.schema = data.schema;
  model.coefficients.rows = problem.outputs;
  model.coefficients.columns = data.columns();
  auto& values = model.coefficients.values;
  objective.on_original_scale(point, values, model.intercept);
  const auto outputs = size_of(problem.outputs);
  const auto d = size_of(data.columns());
  if (outputs > 1) {
    if (learner.reg_param == 0)
      for (std::size_t j = 0; j < d; ++j) centre_classes(values.data() + j, outputs, d);
    if (learner.fit_intercept) centre_classes(model.intercept.data(), outputs, 1);
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i]))
      throw agreed_input(data.schema.column(static_cast<Index>(i % d)) +
                         ": its coefficient is not finite; multiply the column by a constant");
    values[i] += 0.0;  // −0.0 becomes 0.0
  }
  for (double& value : model.intercept) {
    if (!std::isfinite(value)) throw agreed_input("the intercept is not finite: scale the features");
    value += 0.0;
  }
  model.classes = problem.classes;
  return model;
}

/// The state of a fit, and who can go on from it.
struct Descent {
  std::unique_ptr<Optimizer> optimizer;
  OptimizerState state;

  void describe(StateVisitor& visitor) { optimizer->describe(visitor, state); }
  void restored() { optimizer->go_on_from(state); }
};

/// From the sample's optimum, unless all rows find it worse than no features at all.
Descent start_descent(const LogisticRegression& learner, const RowBlocks& data, const Problem& problem,
                      LogisticLoss& objective, std::optional<SampleStart> sample) {
  Descent descent;
  if (sample) {
    const double without = value_without_features(learner, problem);
    descent.optimizer = make_optimizer(learner, data, problem, objective, std::move(sample->factor));
    descent.state = descent.optimizer->start(std::move(sample->point), without);
    if (descent.state.value <= without) return descent;
  }
  descent.optimizer = make_optimizer(learner, data, problem, objective);
  descent.state = descent.optimizer->start(start_point(problem, objective.space().local_size()));
  return descent;
}

}  // namespace

void LogisticRegression::describe(ParameterVisitor& visitor) {
  visitor.real("reg_param", reg_param, at_least(0), "weight of the penalty");
  visitor.real("elastic_net_param", elastic_net_param, between(0, 1),
               "share of L1 in the penalty; 0: all L2");
  visitor.integer("max_iter", max_iter, at_least(0), "most iterations");
  visitor.real("tol", tol, at_least(0), "ends at a gradient of tol times the objective");
  visitor.boolean("fit_intercept", fit_intercept, "fit an intercept, which is not penalised");
  visitor.choice("family", family, {"auto", "binomial", "multinomial"},
                 "auto: binomial for two classes, else multinomial (softmax)");
  visitor.boolean("standardization", standardization,
                  "penalise coefficients times the standard deviations of their columns");
  visitor.choice(
      "solver", solver, {"auto", "lbfgs", "owlqn", "newton", kLbfgsNewton},
      "auto: newton for few parameters or rows, lbfgs (owlqn with L1) for many, between them one after the "
      "other");
  describe_thresholds(visitor);
  visitor.require(
      solver != "lbfgs" || !(reg_param * elastic_net_param > 0),
      "--solver lbfgs cannot minimise an L1 penalty (--elastic-net-param above 0): use owlqn, newton "
      "or auto");
}

void LogisticRegression::describe_thresholds(ParameterVisitor& visitor) {
  visitor.real("threshold", threshold, between(0, 1), "positive if the probability is greater; two classes");
  visitor.reals("thresholds", thresholds, at_least(0),
                "one a class: predicts the class of the largest probability / threshold");
  visitor.require(std::count(thresholds.begin(), thresholds.end(), 0.0) <= 1,
                  "--thresholds: at most one of them may be 0");
}

LogisticRegressionModel LogisticRegression::fit(const RowBlocks& data) const {
  const FloatEnvironment environment;
  LogisticRegression learner = *this;
  data.context.comm().collectively([&] { validate_parameters(learner); });
  check_rows_but_dense_features(data);  // column_moments() sees those
  Problem problem = prepare(learner, data);
  auto sample = make_sample_start(learner, data, problem);
  const auto objective = make_objective(learner, data, problem);
  Descent descent = start_descent(learner, data, problem, *objective, std::move(sample));
  FitSummary summary = run_fit_loop(data, "logistic", *this, descent.state.value, descent,
                                    [](Descent& d, Index) { return d.optimizer->step(d.state); });
  summary.gradient_norm = descent.optimizer->gradient_norm(descent.state);
  // Of a state with many parameters only the point is left when the model is made.
  const std::vector<double> point = std::move(descent.state.point);
  descent.state = {};
  LogisticRegressionModel model = make_model(learner, data, problem, *objective, point);
  model.separable = reg_param == 0 && objective->smallest_margin() > 0;
  if (model.separable)
    data.context.monitor().warning(
        "logistic: a plane separates the classes, so that without a penalty the coefficients have no finite "
        "optimum; they were stopped at " +
        std::to_string(summary.iterations) + " iterations. Use --reg-param");
  summary.extra = {
      {"solver", problem.solver}, {"classes", problem.classes.count()}, {"separable", model.separable}};
  model.summary = std::move(summary);
  return model;
}

}  // namespace firesteel
