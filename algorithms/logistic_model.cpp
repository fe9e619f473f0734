// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <limits>

#include "firesteel/algorithms/classification_metrics.hpp"
#include "firesteel/algorithms/logistic_regression.hpp"
#include "firesteel/core/parallel.hpp"
#include "firesteel/linalg/column_moments.hpp"
#include "firesteel/linalg/math.hpp"

namespace firesteel {

namespace {

std::size_t size_of(Index i) { return static_cast<std::size_t>(i); }

/// Softmax of K margins that lie kTileRows apart.
void softmax(const double* z, Index classes, double* p) {
  double top = z[0];
  for (Index k = 1; k < classes; ++k) top = std::max(top, z[k * kTileRows]);
  double sum = 0;
  for (Index k = 0; k < classes; ++k) sum += p[k] = math::exp(z[k * kTileRows] - top);
  for (Index k = 0; k < classes; ++k) p[k] /= sum;
}

/// The first columns of a row-major matrix.
std::vector<double> first_columns(const Matrix& matrix, Index columns) {
  std::vector<double> values;
  values.reserve(size_of(matrix.rows * columns));
  for (Index k = 0; k < matrix.rows; ++k) {
    const auto row = matrix.values.begin() + k * matrix.columns;
    values.insert(values.end(), row, row + columns);
  }
  return values;
}

}  // namespace

void LogisticRegressionModel::to_record(Record& record) const {
  LogisticRegression described = parameters;
  parameters_to_record(described, record);
  record.set_matrix("coefficients", coefficients.rows, coefficients.columns, coefficients.values);
  record.set_vector("intercept", intercept);
  classes.to_record(record);
  record.set("separable", separable);
}

LogisticRegressionModel LogisticRegressionModel::from_record(const Record& record) {
  LogisticRegressionModel model;
  parameters_from_record(model.parameters, record);
  const auto& coefficients = record.matrix("coefficients", -1, -1);
  model.coefficients = {coefficients.shape[0], coefficients.shape[1], coefficients.values};
  model.intercept = record.vector("intercept", model.coefficients.rows).values;
  model.classes = ClassLabels::from_record(record);
  model.separable = record.get<bool>("separable");
  if (model.classes.count() < 2 || (model.coefficients.rows != model.classes.count() &&
                                    !(model.coefficients.rows == 1 && model.classes.count() == 2)))
    throw bad_input("the model has " + std::to_string(model.coefficients.rows) +
                    " rows of coefficients for " + std::to_string(model.classes.count()) +
                    " classes: it is damaged");
  return model;
}

void LogisticRegressionModel::describe_scoring(ParameterVisitor& visitor) {
  parameters.describe_thresholds(visitor);
}

void LogisticRegressionModel::check_scoring() const {
  const auto& t = parameters.thresholds;
  if (!t.empty() && static_cast<Index>(t.size()) != classes.count())
    throw Error(ErrorCode::bad_input,
                "--thresholds: expected one for each of the model's " + std::to_string(classes.count()) +
                    " classes, got " + std::to_string(t.size()),
                {}, true);
}

void LogisticRegressionModel::check_columns(const RowBlocks& data) const {
  if (data.columns() > features() || (data.columns() < features() && !data.sparse()))
    throw Error(ErrorCode::bad_input,
                "the model has " + std::to_string(features()) + " features, the data have " +
                    std::to_string(data.columns()),
                {}, true);
}

void LogisticRegressionModel::probabilities_of_block(const RowBlocks& data, Index block,
                                                     std::span<const double> own,
                                                     std::span<double> probabilities) const {
  const Index outputs = coefficients.rows;
  const Index count = classes.count();
  const TileRange range = tiles_of_block(data.partition, data.context.rank(), block);
  static thread_local AlignedVector<double> scratch;
  scratch.resize(size_of((range.end - range.first) * outputs * kTileRows));
  double* const z = scratch.data() - range.first * outputs * kTileRows;
  std::visit(
      [&](const auto& x) {
        block_margins(x, LinearOutputs{outputs, own, intercept}, range, z);
      },
      data.features);
  const Index end = range.first * kTileRows + static_cast<Index>(probabilities.size()) / count;
  double* p = probabilities.data();
  for (Index row = range.first * kTileRows; row < end; ++row, p += count) {
    const double* margin = z + row / kTileRows * outputs * kTileRows + row % kTileRows;
    if (outputs == 1) {
      p[0] = math::sigmoid(-*margin);
      p[1] = math::sigmoid(*margin);
    } else {
      softmax(margin, count, p);
    }
  }
}

std::vector<double> LogisticRegressionModel::probabilities(const RowBlocks& data) const {
  check_columns(data);
  return data.context.comm().collectively([&] {
    const auto own = first_columns(coefficients, data.columns());
    const auto& partition = data.partition;
    std::vector<double> p(size_of(data.local_rows() * classes.count()));
    const Index first_row = partition.first_row(data.context.rank());
    for_each_block(data, [&](Index block, int) {
      const Index first = (partition.row_of_block(block) - first_row) * classes.count();
      const Index end = (partition.row_of_block(block + 1) - first_row) * classes.count();
      probabilities_of_block(data, block, own, std::span(p).subspan(size_of(first), size_of(end - first)));
    });
    return p;
  });
}

std::vector<Index> LogisticRegressionModel::decide(std::span<const double> probabilities) const {
  const auto count = size_of(classes.count());
  const auto& thresholds = parameters.thresholds;
  std::vector<Index> decided(probabilities.size() / count);
  for (std::size_t row = 0; row < decided.size(); ++row) {
    const double* p = probabilities.data() + row * count;
    if (count == 2 && thresholds.empty()) {
      decided[row] = p[1] > parameters.threshold ? 1 : 0;
      continue;
    }
    double best = -1;
    for (std::size_t k = 0; k < count; ++k) {
      double score = p[k];
      // Threshold 0: always, unless impossible.
      if (!thresholds.empty())
        score = thresholds[k] > 0 ? p[k] / thresholds[k]
                                  : (p[k] > 0 ? std::numeric_limits<double>::infinity() : 0);
      if (score > best) {
        best = score;
        decided[row] = static_cast<Index>(k);
      }
    }
  }
  return decided;
}

ColumnTable LogisticRegressionModel::predict(const RowBlocks& data) const {
  const FloatEnvironment environment;
  check_scoring();
  const auto reserved = data.context.comm().collectively([&] {
    return MemoryReservation(data.context.memory(), data.local_rows() * (16 * classes.count() + 16),
                             "predictions of " + std::to_string(data.local_rows()) + " rows");
  });
  const auto p = probabilities(data);
  return data.context.comm().collectively([&] {
    ColumnTable table;
    table.columns.push_back({"prediction", classes.labels_of(decide(p))});
    const auto count = size_of(classes.count());
    for (std::size_t k = 0; k < count; ++k) {
      std::vector<double> column(p.size() / count);
      for (std::size_t row = 0; row < column.size(); ++row) column[row] = p[row * count + k];
      table.columns.push_back({"probability_" + std::to_string(k), std::move(column)});
    }
    return table;
  });
}

Metrics LogisticRegressionModel::evaluate(const RowBlocks& data) const {
  const FloatEnvironment environment;
  check_scoring();
  check_columns(data);
  // Class and score, and what ranks rows by score: twice, where they travel.
  const Index row_bytes = 16 + 32 * (data.context.size() > 1 ? 2 : 1);
  const auto reserved = data.context.comm().collectively([&] {
    return MemoryReservation(data.context.memory(), data.local_rows() * row_bytes,
                             "scores of " + std::to_string(data.local_rows()) + " rows");
  });
  auto true_classes = classes.of_rows(data);
  const auto own =
      data.context.comm().collectively([&] { return first_columns(coefficients, data.columns()); });
  return classification_metrics(data, std::move(true_classes), classes.count(),
                                [&](Index block, std::span<double> p, std::vector<Index>& decided) {
                                  probabilities_of_block(data, block, own, p);
                                  decided = decide(p);
                                });
}

}  // namespace firesteel
