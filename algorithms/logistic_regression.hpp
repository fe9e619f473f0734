// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "firesteel/algorithms/class_labels.hpp"
#include "firesteel/algorithms/learner.hpp"

namespace firesteel {

struct LogisticRegressionModel;

/// Logistic regression, binary and multinomial (softmax), with elastic net; MLlib's parameters and objective:
///
///   1/W Σ_i w_i·logloss_i + reg_param·Σ_j [α·|β_j| + (1 − α)/2·β_j²],  α = elastic_net_param, W = Σ w_i
///
/// β: coefficients times the columns' standard deviations (unbiased, weighted) under `standardization`, else
/// the coefficients themselves; coefficients are returned on the original scale. The intercept is not
/// penalised. A constant column has coefficient 0. Multinomial has no pivot class: coefficients are centred
/// over the classes where nothing penalises them, intercepts always.
///
/// Stops, with f the objective and p the (pseudo-)gradient on standardised coefficients, at
///   "gradient"     ‖p‖₂ ≤ tol·f
///   "objective"    f improved by at most tol·f over ten iterations, or f ≤ tol·(f without features)
///   "max_iter", "line_search"  without having converged.
///
/// Many rows begin with a sample of them (docs/decisions/0053).
///
/// Cost: one pass over the data an iteration (rarely two) and one sum of 1 + K + K·d doubles; Newton adds
/// n·(K·d)²/4 multiply-adds and a sum of (K·d)²/2.
struct LogisticRegression {
  using Data = RowBlocks;
  using Model = LogisticRegressionModel;

  double reg_param = 0;
  double elastic_net_param = 0;
  Index max_iter = 100;
  double tol = 1e-6;
  bool fit_intercept = true;
  std::string family = "auto";
  bool standardization = true;
  std::string solver = "auto";
  double threshold = 0.5;
  std::vector<double> thresholds;

  void describe(ParameterVisitor& visitor);
  /// threshold, thresholds: those that a fitted model can change.
  void describe_thresholds(ParameterVisitor& visitor);
  /// Collective. Throws bad_parameter, and bad_input: rows that check_rows refuses, no labels, one class
  /// only, more than two classes for family binomial, a column too large or too small to be scaled.
  Model fit(const RowBlocks& data) const;
  /// Of two classes: label, target, weight, margins twice, and what a Hessian needs; or label, class, score
  /// and the row's place in the ranking that the metrics are taken from.
  Index row_bytes() const { return 8 + (2 + 2 + 2) * 8; }
};

/// A fitted classifier. Replicated.
struct LogisticRegressionModel {
  LogisticRegression parameters;
  Matrix coefficients;            ///< classes x features; binary: 1 x features, of the last class
  std::vector<double> intercept;  ///< one a row of coefficients
  ClassLabels classes;
  bool separable = false;  ///< the training data are separated by the model and nothing penalises it
  FitSummary summary;
  FeatureSchema schema;

  Index features() const { return coefficients.columns; }
  void to_record(Record& record) const;
  static LogisticRegressionModel from_record(const Record& record);
  /// threshold, thresholds.
  void describe_scoring(ParameterVisitor& visitor);
  /// Columns prediction (the original label), probability_0, probability_1, … in class order, one row a row
  /// of `data`. Binary: the last class where its probability > threshold; with thresholds t the class of the
  /// largest probability/t, ties to the first. Sparse data may have fewer columns than the model. Collective.
  ColumnTable predict(const RowBlocks& data) const;
  /// See classification_metrics. Throws bad_input where a label is unknown. Collective.
  Metrics evaluate(const RowBlocks& data) const;

 private:
  /// Row-major, local rows x classes.
  std::vector<double> probabilities(const RowBlocks& data) const;
  /// Of one block's rows, in memory; `own`: the coefficients of the data's columns. Local.
  void probabilities_of_block(const RowBlocks& data, Index block, std::span<const double> own,
                              std::span<double> probabilities) const;
  std::vector<Index> decide(std::span<const double> probabilities) const;
  void check_columns(const RowBlocks& data) const;
  void check_scoring() const;
};

}  // namespace firesteel
