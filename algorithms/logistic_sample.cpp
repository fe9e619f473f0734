// SPDX-License-Identifier: Apache-2.0
#include "firesteel/algorithms/logistic_sample.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "firesteel/core/memory.hpp"
#include "firesteel/linalg/cholesky.hpp"
#include "firesteel/linalg/optimizer.hpp"

namespace firesteel {

namespace {

constexpr Index kLeastRows = 1000;  ///< a parameter
constexpr Index kMostRows = 2000;
constexpr Index kShare = 64;
constexpr Index kLeastShare = 10;
constexpr Index kPieceRows = 256;
constexpr Index kDoubleBytes = sizeof(double);
constexpr double kTolerance = 1e-3;  ///< the sample's own optimum is no nearer to that of all rows
constexpr int kIterations = 12;
constexpr Index kPart = 8;               ///< one piece of so many of the sample is fitted first
constexpr double kPartTolerance = 1e-2;  ///< likewise

std::size_t size_of(Index i) { return static_cast<std::size_t>(i); }

/// Which pieces of rows are taken: `first`, `first` + `every`, …
struct Choice {
  Index piece_rows = kTileRows;
  Index every = 1;
  Index first = 0;

  /// Pieces taken of those below global piece number `end`.
  Index below(Index end) const { return end > first ? (end - first - 1) / every + 1 : 0; }
  /// The first taken piece that does not end before `row`, as its number among those taken.
  Index number_from(Index row) const { return below(row / piece_rows); }
  Index first_row(Index number) const { return (first + number * every) * piece_rows; }
};

std::optional<Choice> choose_pieces(const BlockPartition& partition, Index parameters) {
  const Index rows = partition.rows();
  if (rows < kLeastShare * kLeastRows * parameters) return std::nullopt;
  const Index wanted = std::clamp(rows / kShare, kLeastRows * parameters, kMostRows * parameters);
  Choice choice;
  choice.piece_rows = std::min(kPieceRows, partition.block_rows());
  choice.every = rows / wanted;
  choice.first = choice.every / 2;
  return choice;
}

template <class Scalar>
void copy_rows(const DenseTiles<Scalar>& from, Index row, Index count, DenseTiles<Scalar>& to, Index target) {
  for (Index r = 0; r < count; r += kTileRows)
    std::copy_n(from.tile((row + r) / kTileRows), kTileRows * from.columns(),
                to.tile((target + r) / kTileRows));
}

/// Calls copy(local row, its place in the sample) for the first row of each of this rank's pieces, the block
/// in memory.
template <class Copy>
void for_each_piece(const RowBlocks& data, const Choice& choice, Copy&& copy) {
  const Index begin = data.partition.first_row(data.context.rank());
  const Index first = choice.number_from(begin);
  for_each_block(data, [&](Index block, int) {
    const Index end = choice.number_from(data.partition.row_of_block(block + 1));
    for (Index number = choice.number_from(data.partition.row_of_block(block)); number < end; ++number)
      copy(choice.first_row(number) - begin, (number - first) * choice.piece_rows);
  });
}

template <class Scalar>
DenseTiles<Scalar> sample_of(const RowBlocks& data, const DenseTiles<Scalar>& features, const Choice& choice,
                             Index rows) {
  DenseTiles<Scalar> result(rows, features.columns());
  for_each_piece(data, choice,
                 [&](Index row, Index place) { copy_rows(features, row, choice.piece_rows, result, place); });
  return result;
}

template <class Scalar>
SparseRows<Scalar> sample_of(const RowBlocks& data, const SparseRows<Scalar>& features, const Choice& choice,
                             Index rows) {
  struct Piece {
    std::vector<std::int32_t> indices;
    std::vector<Scalar> values;
    std::vector<Index> lengths;
  };
  std::vector<Piece> pieces(size_of(rows / choice.piece_rows));
  for_each_piece(data, choice, [&](Index row, Index place) {
    Piece& piece = pieces[size_of(place / choice.piece_rows)];
    for (Index r = row; r < row + choice.piece_rows; ++r) {
      const auto indices = features.row_indices(r);
      const auto values = features.row_values(r);
      piece.indices.insert(piece.indices.end(), indices.begin(), indices.end());
      piece.values.insert(piece.values.end(), values.begin(), values.end());
      piece.lengths.push_back(static_cast<Index>(indices.size()));
    }
  });
  SparseRows<Scalar> result;
  result.columns_count = features.columns();
  for (const Piece& piece : pieces) {
    result.indices.insert(result.indices.end(), piece.indices.begin(), piece.indices.end());
    result.values.insert(result.values.end(), piece.values.begin(), piece.values.end());
    for (const Index length : piece.lengths) result.row_begin.push_back(result.row_begin.back() + length);
  }
  return result;
}

LogisticSampleRows take_rows(const RowBlocks& data, const LogisticTargets& targets, const Choice& choice,
                             Index outputs) {
  const BlockPartition& partition = data.partition;
  std::vector<Index> cuts{0};
  for (int rank = 0; rank < partition.ranks(); ++rank)
    cuts.push_back(choice.number_from(partition.end_row(rank)));
  const Index taken = cuts.back();
  LogisticSampleRows sample{
      .rows = {.context = data.context,
               .partition = {taken * choice.piece_rows, choice.piece_rows, std::move(cuts)},
               .features = {},
               .schema = {}},
      .targets = {},
      .reserved = {}};
  data.context.comm().collectively([&] {
    const Index rows = sample.rows.local_rows();
    // Margins, for which there is room, are taken when the sample has been given back.
    const Index margins = data.local_rows() * 2 * outputs;
    sample.reserved.emplace(data.context.memory(),
                            std::max<Index>(0, rows * data.columns() - margins) * kDoubleBytes,
                            "a sample of " + std::to_string(rows) + " rows");
    std::visit([&](const auto& features) { sample.rows.features = sample_of(data, features, choice, rows); },
               data.features);
    sample.targets.target.resize(size_of(rows));
    sample.targets.rows = rows;
    const bool weighted = !targets.weight.empty();
    if (weighted) sample.targets.weight.resize(size_of(rows));
    const Index begin = partition.first_row(data.context.rank());
    const Index first = choice.number_from(begin);
    for (Index place = 0; place < rows; place += choice.piece_rows) {
      const Index row = choice.first_row(first + place / choice.piece_rows) - begin;
      std::copy_n(targets.target.data() + row, choice.piece_rows, sample.targets.target.data() + place);
      if (weighted)
        std::copy_n(targets.weight.data() + row, choice.piece_rows, sample.targets.weight.data() + place);
    }
  });
  return sample;
}

bool are_finite(const std::vector<double>& values) {
  return std::all_of(values.begin(), values.end(), [](double value) { return std::isfinite(value); });
}

bool can_scale(const ColumnMoments& moments) {
  const auto has_inverse = [](double unit) { return unit == 0 || std::isfinite(1 / unit); };
  return are_finite(moments.mean) && are_finite(moments.deviation) &&
         std::all_of(moments.deviation.begin(), moments.deviation.end(), has_inverse);
}

/// The weights are those of the rows, not of all data.
ColumnMoments with_weight_of(const LogisticSampleRows& sample, ColumnMoments units) {
  units.weight_sum = sum_tile_weights(sample.rows, sample.targets.weights()).total;
  return units;
}

/// Point and factor empty where the sample has no weight or its optimum is not finite.
SampleStart minimise(const LogisticSampleRows& sample, const ColumnMoments& units,
                     const LogisticObjective::Options& options, const std::vector<double>& start,
                     double tolerance) {
  const ColumnMoments own = with_weight_of(sample, units);
  if (!(own.weight_sum > 0)) return {};
  LogisticObjective objective(sample.rows, own, sample.targets, options);
  NewtonOptimizer optimizer(objective, {}, tolerance);
  OptimizerState state = optimizer.start(start);
  for (int i = 0; i < kIterations; ++i) {
    const Step step = optimizer.step(state);
    if (step.stop || step.converged) break;
  }
  SampleStart result;
  result.point = std::move(state.point);
  result.factor = optimizer.take_factor();
  if (!are_finite(result.point) || !are_finite(result.factor)) return {};
  objective.on_original_scale(result.point, result.coefficients, result.offsets);
  return result;
}

}  // namespace

std::optional<LogisticSample> LogisticSample::take(const RowBlocks& data, const LogisticTargets& targets,
                                                   Index outputs, Index parameters) {
  const auto choice = choose_pieces(data.partition, parameters);
  if (!choice) return std::nullopt;
  LogisticSample sample(take_rows(data, targets, *choice, outputs));
  if (!(sum_tile_weights(sample.rows_.rows, sample.rows_.targets.weights()).total > 0)) return std::nullopt;
  sample.moments_ = column_moments(sample.rows_.rows, sample.rows_.targets.weight, {.check = false});
  if (!can_scale(sample.moments_)) return std::nullopt;
  return sample;
}

std::optional<SampleStart> LogisticSample::fit(const ColumnMoments& units,
                                               const LogisticObjective::Options& options,
                                               const std::vector<double>& start) const {
  const Choice of_part{rows_.rows.partition.block_rows(), kPart, kPart / 2};
  const auto part_rows = take_rows(rows_.rows, rows_.targets, of_part, options.outputs);
  const SampleStart part = minimise(part_rows, units, options, start, kPartTolerance);
  SampleStart whole = minimise(rows_, units, options, part.point.empty() ? start : part.point, kTolerance);
  if (whole.point.empty()) return std::nullopt;
  return whole;
}

}  // namespace firesteel
