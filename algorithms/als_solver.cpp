// SPDX-License-Identifier: Apache-2.0
#include "firesteel/algorithms/als_solver.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <optional>

#include "firesteel/core/parallel.hpp"
#include "firesteel/linalg/factor_kernels.hpp"
#include "firesteel/linalg/lane_cholesky.hpp"
#include "firesteel/linalg/nonnegative_solve.hpp"

namespace firesteel {

namespace {

constexpr Index kTaskRatings = 8192;
constexpr Index kThreadMultiplications = 2'000'000;  // about 100 microseconds
constexpr double kSingularPivot = 0x1p-40;           // of the diagonal entry: below it a pivot is rounding
constexpr double kRidge = 0x1p-30;                   // of the largest diagonal entry

constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

constexpr std::size_t at(Index i) { return static_cast<std::size_t>(i); }

/// Threads that are worth waking for a half-step of this rank. They do not reach the result.
int useful_threads(int threads, const RatingSide& side, Index rank) {
  const Index multiplications = side.ratings() * rank * (rank + 1) / 2;
  return static_cast<int>(std::clamp<Index>(multiplications / kThreadMultiplications, 1, threads));
}

}  // namespace

FactorSolver::Workspace::Workspace(const FactorObjective& objective)
    : equations(objective.rank),
      single_equations(objective.rank),
      sums(at(objective.single_precision ? single_equations.size() : equations.size())),
      matrices(at(packed_size(objective.rank) * kSystemLanes)),
      rhs(at(objective.rank * kSystemLanes)),
      weights(at(kRatingChunk)),
      coefficients(at(kRatingChunk)),
      single_weights(at(kRatingChunk)),
      single_coefficients(at(kRatingChunk)),
      dense(at(objective.rank * objective.rank)),
      dense_rhs(at(objective.rank)) {}

FactorSolver::FactorSolver(const Context& context, const FactorObjective& objective, const RatingSide& side)
    : comm_(context.comm()),
      threads_(useful_threads(context.threads(), side, objective.rank)),
      objective_(objective),
      side_(side),
      loss_sum_(comm_, side.partition, 1, threads_),
      penalty_sum_(comm_, side.partition, 1, 1),
      gram_sum_(comm_, side.partition, objective.implicit_prefs ? packed_size(objective.rank) : 1, threads_) {
  comm_.collectively([&] {
    if (side_.store)
      plan_scratch();
    else
      plan();
    losses_.assign(at(side_.count), kUnknown);
    rating_losses_.assign(at(threads_), RatingLoss(loss_problem()));
  });
  if (objective_.single_precision) find_single_scales();
}

/// Splits the own entities into long rows, whose chunks are spread over threads, and tasks of short ones.
void FactorSolver::plan() {
  for (Index e = 0; e < side_.count; ++e) {
    const auto values = side_.values_of(e);
    const auto counted = objective_.implicit_prefs
                             ? std::count_if(values.begin(), values.end(), [](double r) { return r > 0; })
                             : static_cast<std::ptrdiff_t>(values.size());
    penalty_factor_.push_back(objective_.reg_param * static_cast<double>(counted));
    auto& rows = values.size() > at(kRatingChunk) ? long_rows_ : short_rows_;
    rows.push_back(static_cast<std::int32_t>(e));
  }
  if (objective_.cg_steps > 0) {
    conjugate_gradients_.emplace(
        ConjugateGradients::Problem{objective_.rank, objective_.implicit_prefs, objective_.alpha,
                                    objective_.cg_steps, objective_.single_precision},
        side_, penalty_factor_, threads_);
    return;
  }
  Index ratings = 0;
  std::size_t begin = 0;
  for (std::size_t end = 0; end < short_rows_.size();) {
    const std::size_t batch_end = std::min(end + at(kSystemLanes), short_rows_.size());
    for (; end < batch_end; ++end)
      ratings += static_cast<Index>(side_.values_of(short_rows_[end]).size()) + objective_.rank;
    if (ratings < kTaskRatings && end < short_rows_.size()) continue;
    tasks_.push_back({begin, end});
    begin = end;
    ratings = 0;
  }
  for (int thread = 0; thread < threads_; ++thread) workspaces_.emplace_back(objective_);
  if (!long_rows_.empty())
    chunk_sums_.assign(at(kChunksAtATime), AlignedVector<double>(workspaces_.front().sums.size()));
}

/// sums += the normal equations of at most kRatingChunk ratings.
void FactorSolver::add_ratings(const GatheredFactors& gathered, std::span<const std::int32_t> others,
                               std::span<const double> values, Workspace& work, double* sums) const {
  if (!gathered.single_rows.empty()) return add_single_ratings(gathered, others, values, work, sums);
  NormalEquations& equations = work.equations;
  const auto next = ratings_behind(others);
  if (!objective_.implicit_prefs) {
    equations.add(gathered.rows.data(), others, {}, values, sums, next);
    return;
  }
  // w = c − 1 = α|r|, right-hand side c·p.
  for (std::size_t q = 0; q < values.size(); ++q) {
    work.weights[q] = objective_.alpha * std::fabs(values[q]);
    work.coefficients[q] = values[q] > 0 ? 1.0 + work.weights[q] : 0.0;
  }
  equations.add(gathered.rows.data(), others, std::span(work.weights).first(values.size()),
                std::span(work.coefficients).first(values.size()), sums, next);
}

/// The ratings that stand behind some of the side's, which as a rule are summed next.
std::span<const std::int32_t> FactorSolver::ratings_behind(std::span<const std::int32_t> others) const {
  const std::int32_t* const begin = side_.others.data();
  if (std::less<>()(others.data(), begin) || !std::less<>()(others.data(), begin + side_.others.size()))
    return {};  // not the side's own
  return std::span(side_.others).subspan(static_cast<std::size_t>(others.data() - begin) + others.size());
}

/// sums ← the normal equations of a row of several chunks. Chunk sums are joined kChunksAtATime at a time,
/// which are whole nodes of the tree, so that memory is bounded.
void FactorSolver::add_long_row(const GatheredFactors& gathered, Index e, double* sums) {
  const auto others = side_.others_of(e);
  const auto values = side_.values_of(e);
  const Index chunks = (static_cast<Index>(values.size()) + kRatingChunk - 1) / kRatingChunk;
  std::size_t nodes = 0;
  for (Index first = 0; first < chunks; first += kChunksAtATime) {
    const Index count = std::min(kChunksAtATime, chunks - first);
    parallel_for(threads_, count, [&](Index chunk, int thread) {
      const std::size_t begin = at((first + chunk) * kRatingChunk);
      const std::size_t length = std::min(at(kRatingChunk), values.size() - begin);
      auto& chunk_sum = chunk_sums_[at(chunk)];
      std::fill(chunk_sum.begin(), chunk_sum.end(), 0.0);
      add_ratings(gathered, others.subspan(begin, length), values.subspan(begin, length),
                  workspaces_[at(thread)], chunk_sum.data());
    });
    fold_tree(chunk_sums_, at(count));
    if (nodes == chunk_nodes_.size()) chunk_nodes_.emplace_back();
    chunk_nodes_[nodes++].assign(chunk_sums_.front().begin(), chunk_sums_.front().end());
  }
  fold_tree(chunk_nodes_, nodes);
  std::copy(chunk_nodes_.front().begin(), chunk_nodes_.front().end(), sums);
}

/// One system into a lane: (sums + YᵀY) + λ n on the diagonal.
void FactorSolver::load_lane(const Sums& sums, std::span<const double> gram, double penalty, Index lane,
                             Workspace& work) const {
  const Index rank = objective_.rank;
  double* matrix = work.matrices.data() + lane;
  for (Index i = 0, entry = 0; i < rank; ++i) {
    for (Index j = 0; j <= i; ++j, ++entry) {
      double value = sums.values[i * sums.stride + j] * sums.matrix_unit;
      if (!gram.empty()) value += gram[at(entry)];
      if (i == j) value += penalty;
      matrix[entry * kSystemLanes] = value;
    }
    work.rhs[at(i * kSystemLanes + lane)] = sums.values[rank * sums.stride + i] * sums.rhs_unit;
  }
}

/// Unit matrices and zero right-hand sides into the lanes from `first` on.
void FactorSolver::clear_lanes(Index first, Workspace& work) const {
  for (Index lane = first; lane < kSystemLanes; ++lane)
    for (Index i = 0, entry = 0; i < objective_.rank; ++i) {
      for (Index j = 0; j <= i; ++j, ++entry) work.matrices[at(entry * kSystemLanes + lane)] = i == j ? 1 : 0;
      work.rhs[at(i * kSystemLanes + lane)] = 0;
    }
}

/// Solves the systems loaded for `entities` and stores their factors.
void FactorSolver::solve_batch(const Given& given, std::span<const std::int32_t> entities, Workspace& work,
                               std::vector<double>& own) const {
  clear_lanes(static_cast<Index>(entities.size()), work);
  work.kept_matrices = work.matrices;
  work.kept_rhs = work.rhs;
  std::array<double, static_cast<std::size_t>(kSystemLanes)> pivots{};
  solve_lanes(work.matrices, work.rhs, objective_.rank, pivots);
  if (objective_.single_precision) solve_again(given, entities, work, pivots);
  const Index count = static_cast<Index>(entities.size());
  for (Index lane = 0; lane < count; ++lane)
    for (Index i = 0; i < objective_.rank; ++i)
      own[at(entities[at(lane)] * objective_.rank + i)] = work.rhs[at(i * kSystemLanes + lane)];
  for (Index lane = 0; lane < count; ++lane) {
    const auto x = std::span(own).subspan(at(entities[at(lane)] * objective_.rank), at(objective_.rank));
    double ridge = 0;
    if (!(pivots[at(lane)] > kSingularPivot)) solve_singular(lane, work, x, ridge);
    if (objective_.nonnegative && std::any_of(x.begin(), x.end(), [](double v) { return v < 0; }))
      make_nonnegative(lane, ridge, work, x);
  }
}

/// The lane's system again with a ridge.
void FactorSolver::solve_singular(Index lane, Workspace& work, std::span<double> x, double& ridge) const {
  const Index rank = objective_.rank;
  double largest = 0;
  for (Index i = 0; i < rank; ++i)
    largest = std::max(largest, work.kept_matrices[at((packed_size(i) + i) * kSystemLanes + lane)]);
  if (!(largest > 0)) {
    std::fill(x.begin(), x.end(), 0.0);
    return;
  }
  ridge = kRidge * largest;
  clear_lanes(1, work);
  for (Index i = 0, entry = 0; i < rank; ++i) {
    for (Index j = 0; j <= i; ++j, ++entry)
      work.matrices[at(entry * kSystemLanes)] =
          work.kept_matrices[at(entry * kSystemLanes + lane)] + (i == j ? ridge : 0.0);
    work.rhs[at(i * kSystemLanes)] = work.kept_rhs[at(i * kSystemLanes + lane)];
  }
  std::array<double, static_cast<std::size_t>(kSystemLanes)> pivots{};
  solve_lanes(work.matrices, work.rhs, rank, pivots);
  for (Index i = 0; i < rank; ++i) x[at(i)] = work.rhs[at(i * kSystemLanes)];
}

void FactorSolver::make_nonnegative(Index lane, double ridge, Workspace& work, std::span<double> x) const {
  const Index rank = objective_.rank;
  for (Index i = 0, entry = 0; i < rank; ++i) {
    for (Index j = 0; j <= i; ++j, ++entry)
      work.dense[at(i * rank + j)] =
          work.kept_matrices[at(entry * kSystemLanes + lane)] + (i == j ? ridge : 0.0);
    work.dense_rhs[at(i)] = work.kept_rhs[at(i * kSystemLanes + lane)];
  }
  solve_nonnegative(work.dense, work.dense_rhs, rank, x);
}

void FactorSolver::solve(const GatheredFactors& gathered, std::span<const double> gram,
                         std::vector<double>& own, bool with_losses) {
  comm_.collectively([&] {
    const auto find_loss = [&](Index e, int thread) {
      const auto entity = static_cast<std::int32_t>(e);
      if (with_losses) find_losses_of(gathered, std::span(&entity, 1), own, rating_losses_[at(thread)]);
    };
    if (conjugate_gradients_) return conjugate_gradients_->solve(gathered, gram, own, find_loss);
    if (side_.store) return solve_from_scratch(gathered, gram, own);
    parallel_for(threads_, static_cast<Index>(tasks_.size()), [&](Index task, int thread) {
      Workspace& work = workspaces_[at(thread)];
      for (std::size_t begin = tasks_[at(task)].begin; begin < tasks_[at(task)].end;
           begin += at(kSystemLanes)) {
        const std::size_t end = std::min(begin + at(kSystemLanes), tasks_[at(task)].end);
        for (std::size_t s = begin; s < end; ++s) {
          const Index e = short_rows_[s];
          std::fill(work.sums.begin(), work.sums.end(), 0.0);
          add_ratings(gathered, side_.others_of(e), side_.values_of(e), work, work.sums.data());
          load_lane(sums_of(work.sums.data(), gathered), gram, penalty_factor_[at(e)],
                    static_cast<Index>(s - begin), work);
        }
        const auto entities = std::span(short_rows_).subspan(begin, end - begin);
        const auto ratings_of = [&](std::size_t lane, Given::Visit visit) {
          visit({side_.others_of(entities[lane]), side_.values_of(entities[lane])});
        };
        solve_batch({gathered, gram, ratings_of}, entities, work, own);
        if (with_losses) find_losses_of(gathered, entities, own, rating_losses_[at(thread)]);
      }
    });
    const FloatEnvironment environment;
    Workspace& work = workspaces_.front();
    for (std::size_t s = 0; s < long_rows_.size(); ++s) {
      add_long_row(gathered, long_rows_[s], work.sums.data());
      load_lane(sums_of(work.sums.data(), gathered), gram, penalty_factor_[at(long_rows_[s])], 0, work);
      const auto ratings_of = [&](std::size_t, Given::Visit visit) {
        visit({side_.others_of(long_rows_[s]), side_.values_of(long_rows_[s])});
      };
      solve_batch({gathered, gram, ratings_of}, std::span(long_rows_).subspan(s, 1), work, own);
    }
  });
}

RatingProblem FactorSolver::loss_problem() const {
  return {objective_.rank, objective_.implicit_prefs, objective_.alpha, objective_.single_precision};
}

double FactorSolver::loss_of(const GatheredFactors& gathered, RatingSpan ratings, std::span<const double> x,
                             RatingLoss& loss) const {
  loss.begin(x, gathered.scale);
  return loss.add(gathered, ratings.others, ratings.values, ratings_behind(ratings.others), 0.0);
}

void FactorSolver::find_losses_of(const GatheredFactors& gathered, std::span<const std::int32_t> entities,
                                  const std::vector<double>& own, RatingLoss& loss) {
  for (const std::int32_t e : entities)
    losses_[at(e)] = loss_of(gathered, {side_.others_of(e), side_.values_of(e)},
                             std::span(own).subspan(at(e * objective_.rank), at(objective_.rank)), loss);
}

namespace {

double square_norm(std::span<const double> x) {
  double sum = 0;
  for (const double value : x) sum += value * value;
  return sum;
}

/// What a thread needs to sum YᵀY of a block.
struct GramBuffers {
  AlignedVector<double> rows;
  std::vector<std::int32_t> which;
  std::optional<NormalEquations> equations;
  AlignedVector<double> sums;
};

/// The own entities of a block, counted from this rank's first.
struct EntityRange {
  Index begin;
  Index end;
};
EntityRange entities_of(const RatingSide& side, Index block) {
  return {side.partition.row_of_block(block) - side.first,
          side.partition.row_of_block(block + 1) - side.first};
}

}  // namespace

double FactorSolver::loss_and_penalty(const GatheredFactors& gathered, const std::vector<double>& own) {
  const Index rank = objective_.rank;
  if (side_.store) comm_.collectively([&] { find_losses(gathered, own); });
  const double sum = loss_sum_([&](Index block, std::span<double> out) {
    static thread_local std::optional<RatingLoss> rating_loss;  // kept, so that a block takes no memory
    if (!rating_loss || rating_loss->problem() != loss_problem()) rating_loss.emplace(loss_problem());
    const auto [begin, end] = entities_of(side_, block);
    out[0] = 0;
    for (Index e = begin; e < end; ++e) {
      const auto x = std::span(own).subspan(at(e * rank), at(rank));
      double loss = losses_[at(e)];
      if (!side_.store && std::isnan(loss))
        loss = loss_of(gathered, {side_.others_of(e), side_.values_of(e)}, x, *rating_loss);
      out[0] += loss + penalty_factor_[at(e)] * square_norm(x);
    }
  })[0];
  std::fill(losses_.begin(), losses_.end(), kUnknown);
  return sum;
}

double FactorSolver::penalty(const std::vector<double>& own) {
  const Index rank = objective_.rank;
  return penalty_sum_([&](Index block, std::span<double> out) {
    out[0] = 0;
    for (auto [e, end] = entities_of(side_, block); e < end; ++e)
      out[0] += penalty_factor_[at(e)] * square_norm(std::span(own).subspan(at(e * rank), at(rank)));
  })[0];
}

std::span<const double> FactorSolver::gram(const std::vector<double>& own) {
  const Index rank = objective_.rank;
  const Index stride = padded_rank(rank);
  return gram_sum_([&](Index block, std::span<double> out) {
    const auto [begin, end] = entities_of(side_, block);
    static thread_local GramBuffers buffers;
    if (!buffers.equations || buffers.equations->rank() != rank) buffers.equations.emplace(rank);
    buffers.rows.assign(at((end - begin) * stride), 0.0);
    buffers.which.resize(at(end - begin));
    std::iota(buffers.which.begin(), buffers.which.end(), 0);
    for (Index e = begin; e < end; ++e)
      std::copy_n(own.begin() + e * rank, rank, buffers.rows.begin() + (e - begin) * stride);
    auto& sums = buffers.sums;
    sums.assign(at(buffers.equations->size()), 0.0);
    buffers.equations->add(buffers.rows.data(), buffers.which, {}, {}, sums.data());
    for (Index i = 0, entry = 0; i < rank; ++i)
      for (Index j = 0; j <= i; ++j, ++entry) out[at(entry)] = sums[at(i * stride + j)];
  });
}

}  // namespace firesteel
