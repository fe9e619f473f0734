// SPDX-License-Identifier: Apache-2.0
#include "firesteel/algorithms/logistic_regression.hpp"

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>

#include "firesteel/algorithms/logistic_objective.hpp"
#include "firesteel/algorithms/logistic_problem.hpp"
#include "firesteel/algorithms/logistic_sample.hpp"
#include "firesteel/algorithms/wide_logistic_objective.hpp"
#include "firesteel/core/check_rows.hpp"
#include "firesteel/linalg/optimizer.hpp"

namespace firesteel {

namespace {

using detail::LogisticProblem;

std::size_t size_of(Index i) { return static_cast<std::size_t>(i); }

Error agreed_input(const std::string& message) { return {ErrorCode::bad_input, message, {}, true}; }

/// Where the optimiser begins, when a sample came first, and what is known of all rows there.
struct FirstLook {
  SampleStart start;
  std::vector<double> sums;  ///< as LogisticObjective::ModelSums, where the pass has taken them
};

/// The optimum of a sample, where a pass over all rows costs much beside it; deviations and units of the
/// problem are then the sample's.
std::optional<SampleStart> fit_sample(const LogisticRegression& learner, const RowBlocks& data,
                                      LogisticProblem& problem) {
  if (problem.solver != detail::kLbfgsNewton || detail::has_l1(learner)) return std::nullopt;
  const Index parameters = problem.outputs * (data.columns() + (learner.fit_intercept ? 1 : 0));
  const auto sample = LogisticSample::take(data, problem.targets, problem.outputs, parameters);
  if (!sample) return std::nullopt;
  problem.deviation = sample->moments().deviation;
  problem.units = detail::units_of(learner, problem.classes.count(), sample->moments());
  return sample->fit(problem.units,
                     {.outputs = problem.outputs,
                      .fit_intercept = learner.fit_intercept,
                      .l2 = detail::l2_weights(learner, data, problem)},
                     detail::start_point(problem, size_of(parameters)));
}

/// Columns keep the units of the sample, in which its optimum and metric are; one that was constant there
/// gets its own.
void complete_units(ColumnMoments& units, const ColumnMoments& of_all) {
  units.weight_sum = of_all.weight_sum;
  for (std::size_t j = 0; j < units.deviation.size(); ++j)
    if (units.deviation[j] == 0 || of_all.deviation[j] == 0) units.deviation[j] = of_all.deviation[j];
}

/// Deviations and units of the problem. After a sample dense rows in double give the sums of its optimum in
/// the same pass.
std::optional<FirstLook> look_at_rows(const LogisticRegression& learner, const RowBlocks& data,
                                      LogisticProblem& problem) {
  std::optional<FirstLook> look;
  if (auto start = fit_sample(learner, data, problem)) look = FirstLook{std::move(*start), {}};
  const auto* dense = std::get_if<DenseTiles<double>>(&data.features);
  const auto sums_of_block = [&](Index block, std::span<double> out) {
    static thread_local AlignedVector<double> scratch;
    block_loss_and_gradient(
        *dense, problem.targets, {problem.outputs, look->start.coefficients, look->start.offsets},
        tiles_of_block(data.partition, data.context.rank(), block), nullptr, out, scratch);
  };
  BlockSums beside{1 + problem.outputs * (1 + data.columns()), sums_of_block, {}};
  ColumnMoments moments = problem.wide
                              ? problem.wide->moments(problem.targets.weight)
                              : column_moments(data, problem.targets.weight,
                                               {.beside = look && dense != nullptr ? &beside : nullptr});
  detail::check_moments(data, problem, moments);
  problem.deviation = moments.deviation;
  ColumnMoments units = detail::units_of(learner, problem.classes.count(), std::move(moments));
  if (look) {
    complete_units(problem.units, units);
    look->sums = std::move(beside.total);
  } else {
    problem.units = std::move(units);
  }
  return look;
}

std::unique_ptr<LogisticLoss> make_objective(const LogisticRegression& learner, const RowBlocks& data,
                                             LogisticProblem& problem, const std::optional<FirstLook>& look) {
  auto l2 = detail::l2_weights(learner, data, problem);
  if (problem.wide)
    return std::make_unique<WideLogisticObjective>(
        data, *problem.wide, problem.units, std::move(problem.targets), problem.outputs,
        WideLogisticObjective::Options{.fit_intercept = learner.fit_intercept, .l2 = std::move(l2)});
  auto objective = std::make_unique<LogisticObjective>(
      data, problem.units, std::move(problem.targets),
      LogisticObjective::Options{
          .outputs = problem.outputs,
          .fit_intercept = learner.fit_intercept,
          .l2 = std::move(l2),
          .class_metric = problem.solver != "newton" && !detail::has_l1(learner) && !look});
  if (look && !look->sums.empty())
    objective->know({look->start.coefficients, look->start.offsets, look->sums});
  return objective;
}

std::unique_ptr<Optimizer> make_optimizer(const LogisticRegression& learner, const RowBlocks& data,
                                          const LogisticProblem& problem, Objective& objective,
                                          std::vector<double> metric_factor = {}) {
  std::optional<std::vector<double>> l1;
  if (detail::has_l1(learner)) {
    l1 = detail::l1_weights(learner, data, problem);
    data.context.comm().collectively([&] { l1->resize(objective.space().local_size(), 0.0); });
  }
  if (problem.solver == "newton")
    return std::make_unique<NewtonOptimizer>(objective, std::move(l1), learner.tol);
  if (problem.solver == detail::kLbfgsNewton)
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

LogisticRegressionModel make_model(const LogisticRegression& learner, const RowBlocks& data,
                                   LogisticProblem& problem, const LogisticLoss& objective,
                                   std::span<const double> point) {
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
Descent start_descent(const LogisticRegression& learner, const RowBlocks& data,
                      const LogisticProblem& problem, LogisticLoss& objective,
                      std::optional<FirstLook> look) {
  Descent descent;
  if (look) {
    const double without = detail::value_without_features(learner, problem);
    descent.optimizer = make_optimizer(learner, data, problem, objective, std::move(look->start.factor));
    descent.state = descent.optimizer->start(std::move(look->start.point), without);
    if (descent.state.value <= without) return descent;
  }
  descent.optimizer = make_optimizer(learner, data, problem, objective);
  descent.state = descent.optimizer->start(detail::start_point(problem, objective.space().local_size()));
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
      "solver", solver, {"auto", "lbfgs", "owlqn", "newton", detail::kLbfgsNewton},
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
  LogisticProblem problem = detail::prepare_problem(learner, data);
  auto look = look_at_rows(learner, data, problem);
  const auto objective = make_objective(learner, data, problem, look);
  Descent descent = start_descent(learner, data, problem, *objective, std::move(look));
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
