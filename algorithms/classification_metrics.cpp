// SPDX-License-Identifier: Apache-2.0
#include "firesteel/algorithms/classification_metrics.hpp"

#include <algorithm>
#include <limits>
#include <string>

#include "firesteel/algorithms/ranking_areas.hpp"
#include "firesteel/core/canonical_sum.hpp"
#include "firesteel/linalg/math.hpp"

namespace firesteel {

namespace {

constexpr double kUndefined = std::numeric_limits<double>::quiet_NaN();
constexpr double kLogLossClip = 1e-15;

/// Predictions beside the rows they belong to. Indices are of local rows.
struct Predictions {
  const RowBlocks& data;
  std::span<const Index> true_class;
  std::span<const double> probabilities;
  std::span<const Index> predicted_class;
  std::size_t classes;

  void check() const {
    const auto rows = static_cast<std::size_t>(data.local_rows());
    if (true_class.size() != rows || predicted_class.size() != rows || probabilities.size() != rows * classes)
      throw internal_error("metrics of " + std::to_string(rows) + " rows and " + std::to_string(classes) +
                           " classes were given " + std::to_string(true_class.size()) + " classes, " +
                           std::to_string(predicted_class.size()) + " predictions and " +
                           std::to_string(probabilities.size()) + " probabilities");
  }
  /// 0 for rows that do not count.
  double weight(std::size_t row) const {
    if (!data.dropped.empty() && data.dropped[row] != 0) return 0.0;
    return data.weights.empty() ? 1.0 : data.weights[row];
  }
  double probability(std::size_t row, std::size_t of_class) const {
    return probabilities[row * classes + of_class];
  }
};

/// Sums of weights: over a class's rows, over its predictions, over what both agree on; and the loss.
struct Sums {
  std::span<const double> of_class;
  std::span<const double> predicted;
  std::span<const double> correct;
  double loss = 0;
};

Sums split(std::span<const double> total, std::size_t classes) {
  return {total.subspan(0, classes), total.subspan(classes, classes), total.subspan(2 * classes, classes),
          total.back()};
}

void add_block(const Predictions& predictions, std::size_t begin, std::size_t end, std::span<double> out) {
  const std::size_t classes = predictions.classes;
  std::fill(out.begin(), out.end(), 0.0);
  for (std::size_t row = begin; row < end; ++row) {
    const double weight = predictions.weight(row);
    if (weight == 0.0) continue;
    const auto truth = static_cast<std::size_t>(predictions.true_class[row]);
    const auto predicted = static_cast<std::size_t>(predictions.predicted_class[row]);
    out[truth] += weight;
    out[classes + predicted] += weight;
    if (truth == predicted) out[2 * classes + truth] += weight;
    const double p = std::clamp(predictions.probability(row, truth), kLogLossClip, 1.0 - kLogLossClip);
    out.back() += weight * -math::log(p);
  }
}

double f1_of(double of_class, double predicted, double correct) {
  // 2PR/(P + R) with P = correct/predicted, R = correct/of_class
  return of_class + predicted > 0 ? 2 * correct / (of_class + predicted) : kUndefined;
}

RankingAreas areas_of(const Predictions& predictions) {
  const auto& data = predictions.data;
  auto rows = data.context.comm().collectively([&] {
    const Index first_row = data.partition.first_row(data.context.rank());
    std::vector<ScoredRow> scored;
    scored.reserve(predictions.true_class.size());
    for (std::size_t row = 0; row < predictions.true_class.size(); ++row)
      if (const double weight = predictions.weight(row); weight > 0.0)
        scored.push_back({.score = predictions.probability(row, 1),
                          .weight = weight,
                          .row = first_row + static_cast<Index>(row),
                          .positive = predictions.true_class[row] == 1});
    return scored;
  });
  return ranking_areas(data.context, std::move(rows));
}

}  // namespace

Metrics classification_metrics(const RowBlocks& data, std::span<const Index> true_class,
                               std::span<const double> probabilities, std::span<const Index> predicted_class,
                               Index classes) {
  const Predictions predictions{data, true_class, probabilities, predicted_class,
                                static_cast<std::size_t>(classes)};
  Communicator& comm = data.context.comm();
  comm.collectively([&] { predictions.check(); });

  const auto first_row = data.partition.first_row(data.context.rank());
  CanonicalSum sum(comm, data.partition, 3 * classes + 1, data.context.threads());
  const auto total = sum([&](Index block, std::span<double> out) {
    add_block(predictions, static_cast<std::size_t>(data.partition.row_of_block(block) - first_row),
              static_cast<std::size_t>(data.partition.row_of_block(block + 1) - first_row), out);
  });
  const Sums sums = split(total, predictions.classes);

  double weight = 0;
  double correct = 0;
  double f1 = 0;
  double precision = 0;
  double recall = 0;
  for (std::size_t c = 0; c < predictions.classes; ++c) {
    weight += sums.of_class[c];
    correct += sums.correct[c];
    if (sums.of_class[c] > 0) {
      f1 += sums.of_class[c] * f1_of(sums.of_class[c], sums.predicted[c], sums.correct[c]);
      recall += sums.correct[c];
      if (sums.predicted[c] > 0) precision += sums.of_class[c] * (sums.correct[c] / sums.predicted[c]);
    }
  }
  const auto mean = [&](double value) { return weight > 0 ? value / weight : kUndefined; };
  const bool binary = classes == 2;
  const RankingAreas areas = binary ? areas_of(predictions) : RankingAreas{kUndefined, kUndefined};
  return {{"accuracy", mean(correct)},
          {"log_loss", mean(sums.loss)},
          {"area_under_roc", areas.roc},
          {"area_under_pr", areas.precision_recall},
          {"f1", mean(f1)},
          {"weighted_precision", mean(precision)},
          {"weighted_recall", mean(recall)},
          {"f1_positive", binary ? f1_of(sums.of_class[1], sums.predicted[1], sums.correct[1]) : kUndefined}};
}

}  // namespace firesteel
