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

/// The rows that predictions belong to, and their number of classes. Indices are of local rows.
struct Rows {
  const RowBlocks& data;
  std::span<const Index> true_class;
  std::size_t classes;

  void check() const {
    const auto rows = static_cast<std::size_t>(data.local_rows());
    if (true_class.size() != rows)
      throw internal_error("metrics of " + std::to_string(rows) + " rows were given " +
                           std::to_string(true_class.size()) + " classes");
  }
  /// 0 for rows that do not count.
  double weight(std::size_t row) const {
    if (!data.dropped.empty() && data.dropped[row] != 0) return 0.0;
    return data.weights.empty() ? 1.0 : data.weights[row];
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

/// Probabilities and predicted classes are of the block's rows, which begin with `first`.
void add_block(const Rows& rows, std::size_t first, std::span<const double> probabilities,
               std::span<const Index> predicted_class, std::span<double> out) {
  const std::size_t classes = rows.classes;
  std::fill(out.begin(), out.end(), 0.0);
  for (std::size_t i = 0; i < predicted_class.size(); ++i) {
    const double weight = rows.weight(first + i);
    if (weight == 0.0) continue;
    const auto truth = static_cast<std::size_t>(rows.true_class[first + i]);
    const auto predicted = static_cast<std::size_t>(predicted_class[i]);
    out[truth] += weight;
    out[classes + predicted] += weight;
    if (truth == predicted) out[2 * classes + truth] += weight;
    const double p = std::clamp(probabilities[i * classes + truth], kLogLossClip, 1.0 - kLogLossClip);
    out.back() += weight * -math::log(p);
  }
}

double f1_of(double of_class, double predicted, double correct) {
  // 2PR/(P + R) with P = correct/predicted, R = correct/of_class
  return of_class + predicted > 0 ? 2 * correct / (of_class + predicted) : kUndefined;
}

/// `scores` and the classes are given away before rows travel.
RankingAreas areas_of(const RowBlocks& data, std::vector<Index> true_class, std::vector<double> scores) {
  auto ranked = data.context.comm().collectively([&] {
    const Rows rows{data, true_class, 2};
    const Index first_row = data.partition.first_row(data.context.rank());
    std::vector<ScoredRow> scored;
    scored.reserve(true_class.size());
    for (std::size_t row = 0; row < true_class.size(); ++row)
      if (const double weight = rows.weight(row); weight > 0.0)
        scored.push_back({.score = scores[row],
                          .weight = weight,
                          .row = first_row + static_cast<Index>(row),
                          .positive = true_class[row] == 1});
    scores = {};
    true_class = {};
    return scored;
  });
  return ranking_areas(data.context, std::move(ranked));
}

}  // namespace

Metrics classification_metrics(const RowBlocks& data, std::span<const Index> true_class,
                               std::span<const double> probabilities, std::span<const Index> predicted_class,
                               Index classes) {
  const auto count = static_cast<std::size_t>(classes);
  data.context.comm().collectively([&] {
    const auto rows = static_cast<std::size_t>(data.local_rows());
    if (predicted_class.size() != rows || probabilities.size() != rows * count)
      throw internal_error("metrics of " + std::to_string(rows) + " rows and " + std::to_string(count) +
                           " classes were given " + std::to_string(predicted_class.size()) +
                           " predictions and " + std::to_string(probabilities.size()) + " probabilities");
  });
  const Index first_row = data.partition.first_row(data.context.rank());
  return classification_metrics(data, {true_class.begin(), true_class.end()}, classes,
                                [&](Index block, std::span<double> p, std::vector<Index>& predicted) {
                                  const auto first = data.partition.row_of_block(block) - first_row;
                                  std::copy_n(probabilities.begin() + first * classes, p.size(), p.begin());
                                  predicted.assign(
                                      predicted_class.begin() + first,
                                      predicted_class.begin() + first + static_cast<Index>(p.size() / count));
                                });
}

Metrics classification_metrics(const RowBlocks& data, std::vector<Index> true_class, Index classes,
                               BlockPredictor predict) {
  const Rows rows{data, true_class, static_cast<std::size_t>(classes)};
  Communicator& comm = data.context.comm();
  const bool binary = classes == 2;
  std::vector<double> scores;
  comm.collectively([&] {
    rows.check();
    scores.resize(binary ? true_class.size() : 0);
  });

  const auto first_row = data.partition.first_row(data.context.rank());
  CanonicalSum sum(comm, data.partition, 3 * classes + 1, data.context.threads());
  const auto total = sum(
      [&](Index block, std::span<double> out) {
        static thread_local std::vector<double> probabilities;
        static thread_local std::vector<Index> predicted;
        const auto first = static_cast<std::size_t>(data.partition.row_of_block(block) - first_row);
        const auto end = static_cast<std::size_t>(data.partition.row_of_block(block + 1) - first_row);
        probabilities.resize((end - first) * rows.classes);
        predict(block, probabilities, predicted);
        add_block(rows, first, probabilities, predicted, out);
        for (std::size_t row = first; binary && row < end; ++row)
          scores[row] = probabilities[(row - first) * 2 + 1];
      },
      data.store());
  const Sums sums = split(total, rows.classes);

  double weight = 0;
  double correct = 0;
  double f1 = 0;
  double precision = 0;
  double recall = 0;
  for (std::size_t c = 0; c < rows.classes; ++c) {
    weight += sums.of_class[c];
    correct += sums.correct[c];
    if (sums.of_class[c] > 0) {
      f1 += sums.of_class[c] * f1_of(sums.of_class[c], sums.predicted[c], sums.correct[c]);
      recall += sums.correct[c];
      if (sums.predicted[c] > 0) precision += sums.of_class[c] * (sums.correct[c] / sums.predicted[c]);
    }
  }
  const auto mean = [&](double value) { return weight > 0 ? value / weight : kUndefined; };
  const double f1_positive =
      binary ? f1_of(sums.of_class[1], sums.predicted[1], sums.correct[1]) : kUndefined;
  const RankingAreas areas = binary ? areas_of(data, std::move(true_class), std::move(scores))
                                    : RankingAreas{kUndefined, kUndefined};
  return {{"accuracy", mean(correct)},
          {"log_loss", mean(sums.loss)},
          {"area_under_roc", areas.roc},
          {"area_under_pr", areas.precision_recall},
          {"f1", mean(f1)},
          {"weighted_precision", mean(precision)},
          {"weighted_recall", mean(recall)},
          {"f1_positive", f1_positive}};
}

}  // namespace firesteel
