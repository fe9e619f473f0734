// SPDX-License-Identifier: Apache-2.0
// FactorSolver on ratings that lie in scratch: the sums of als_solver.cpp, chunk by chunk, as blocks come.
#include <algorithm>
#include <array>

#include "firesteel/algorithms/als_solver.hpp"
#include "firesteel/core/parallel.hpp"
#include "firesteel/linalg/lane_cholesky.hpp"

namespace firesteel {

namespace {

constexpr Index kChunksABlock = RatingStore::kBlockRatings / kRatingChunk;
constexpr Index kBlocksAtATime = kChunksAtATime / kChunksABlock;

constexpr std::size_t at(Index i) { return static_cast<std::size_t>(i); }

/// Calls body(chunk, its ratings) for the chunks of ratings that begin with one.
template <class Body>
void for_chunks(RatingSpan ratings, Body&& body) {
  for (std::size_t begin = 0, chunk = 0; begin < ratings.values.size(); begin += at(kRatingChunk), ++chunk) {
    const std::size_t length = std::min(at(kRatingChunk), ratings.values.size() - begin);
    body(chunk, RatingSpan{ratings.others.subspan(begin, length), ratings.values.subspan(begin, length)});
  }
}

}  // namespace

void FactorSolver::plan_scratch() {
  const RatingStore& store = *side_.store;
  for (Index e = 0; e < side_.count; ++e) {
    const Index counted =
        objective_.implicit_prefs ? store.positives(e) : side_.row_begin[at(e) + 1] - side_.row_begin[at(e)];
    penalty_factor_.push_back(objective_.reg_param * static_cast<double>(counted));
  }
  if (objective_.cg_steps > 0) {
    conjugate_gradients_.emplace(
        ConjugateGradients::Problem{objective_.rank, objective_.implicit_prefs, objective_.alpha,
                                    objective_.cg_steps, objective_.single_precision},
        side_, penalty_factor_, threads_);
    return;
  }
  for (int thread = 0; thread < threads_; ++thread) {
    workspaces_.emplace_back(objective_);
    workspaces_.back().chunks.assign(at(kChunksABlock),
                                     AlignedVector<double>(workspaces_.back().sums.size()));
  }
  if (!store.large().empty())
    chunk_sums_.assign(at(kChunksAtATime), AlignedVector<double>(workspaces_.front().sums.size()));
}

/// work.sums ← the normal equations of an entity whose ratings are all there.
void FactorSolver::sum_entity(const GatheredFactors& gathered, RatingSpan ratings, Workspace& work) const {
  std::size_t chunks = 0;
  for_chunks(ratings, [&](std::size_t chunk, RatingSpan part) {
    auto& sum = work.chunks[chunk];
    std::fill(sum.begin(), sum.end(), 0.0);
    add_ratings(gathered, part.others, part.values, work, sum.data());
    ++chunks;
  });
  if (chunks == 0) {
    std::fill(work.sums.begin(), work.sums.end(), 0.0);
    return;
  }
  fold_tree(work.chunks, chunks);
  std::copy(work.chunks.front().begin(), work.chunks.front().end(), work.sums.begin());
}

/// sums ← the normal equations of an entity of several blocks, which threads share.
void FactorSolver::sum_large(const GatheredFactors& gathered, const RatingStore::Large& large, double* sums) {
  const RatingStore& store = *side_.store;
  BlockPass pass(&store.blocks(), large.first_block, large.end_block);
  std::vector<AlignedVector<double>> nodes;
  for (Index first = large.first_block; first < large.end_block; first += kBlocksAtATime) {
    const Index count = std::min(kBlocksAtATime, large.end_block - first);
    std::vector<std::size_t> chunks(at(count), 0);
    parallel_for(threads_, count, [&](Index i, int thread) {
      const BlockPass::Hold hold(pass, first + i);
      for_chunks(store.block(first + i), [&](std::size_t chunk, RatingSpan part) {
        auto& sum = chunk_sums_[at(i * kChunksABlock) + chunk];
        std::fill(sum.begin(), sum.end(), 0.0);
        add_ratings(gathered, part.others, part.values, workspaces_[at(thread)], sum.data());
        ++chunks[at(i)];
      });
    });
    fold_tree(chunk_sums_, at((count - 1) * kChunksABlock) + chunks.back());
    nodes.push_back(chunk_sums_.front());
  }
  fold_tree(nodes, nodes.size());
  std::copy(nodes.front().begin(), nodes.front().end(), sums);
}

void FactorSolver::for_ratings_of(const RatingStore::Large& large, Given::Visit visit) const {
  const RatingStore& store = *side_.store;
  BlockPass pass(&store.blocks(), large.first_block, large.end_block);
  for (Index block = large.first_block; block < large.end_block; ++block) {
    const BlockPass::Hold hold(pass, block);
    visit(store.block(block));
  }
}

void FactorSolver::solve_from_scratch(const GatheredFactors& gathered, std::span<const double> gram,
                                      std::vector<double>& own) {
  const RatingStore& store = *side_.store;
  {
    BlockPass pass(&store.blocks(), 0, store.units());
    parallel_for(threads_, store.units(), [&](Index unit, int thread) {
      const BlockPass::Hold hold(pass, unit);
      Workspace& work = workspaces_[at(thread)];
      std::array<std::int32_t, at(kSystemLanes)> entities{};
      std::size_t count = 0;
      work.held.assign(at(kSystemLanes), {});
      const auto ratings_of = [&](std::size_t lane, Given::Visit visit) { visit(work.held[lane]); };
      const auto solve_lanes = [&] {
        solve_batch({gathered, gram, ratings_of}, std::span(entities).first(count), work, own);
        count = 0;
      };
      store.for_entities(unit, [&](Index e, RatingSpan ratings) {
        sum_entity(gathered, ratings, work);
        load_lane(sums_of(work.sums.data(), gathered), gram, penalty_factor_[at(e)],
                  static_cast<Index>(count), work);
        work.held[count] = ratings;
        entities[count++] = static_cast<std::int32_t>(e);
        if (count == entities.size()) solve_lanes();
      });
      if (count > 0) solve_lanes();
    });
  }
  const FloatEnvironment environment;
  Workspace& work = workspaces_.front();
  for (const auto& large : store.large()) {
    sum_large(gathered, large, work.sums.data());
    load_lane(sums_of(work.sums.data(), gathered), gram, penalty_factor_[at(large.entity)], 0, work);
    const auto ratings_of = [&](std::size_t, Given::Visit visit) { for_ratings_of(large, visit); };
    const auto entity = static_cast<std::int32_t>(large.entity);
    solve_batch({gathered, gram, ratings_of}, std::span(&entity, 1), work, own);
  }
}

/// losses_ ← each own entity's loss.
void FactorSolver::find_losses(const GatheredFactors& gathered, const std::vector<double>& own) {
  const RatingStore& store = *side_.store;
  const auto factors = [&](Index e) {
    return std::span(own).subspan(at(e * objective_.rank), at(objective_.rank));
  };
  {
    BlockPass pass(&store.blocks(), 0, store.units());
    parallel_for(threads_, store.units(), [&](Index unit, int thread) {
      const BlockPass::Hold hold(pass, unit);
      store.for_entities(unit, [&](Index e, RatingSpan ratings) {
        losses_[at(e)] = loss_of(gathered, ratings, factors(e), rating_losses_[at(thread)]);
      });
    });
  }
  const FloatEnvironment environment;
  for (const auto& large : store.large()) {
    RatingLoss& loss = rating_losses_.front();
    loss.begin(factors(large.entity), gathered.scale);
    double sum = 0;
    for_ratings_of(large, [&](RatingSpan ratings) {
      sum = loss.add(gathered, ratings.others, ratings.values, {}, sum);
    });
    losses_[at(large.entity)] = sum;
  }
}

}  // namespace firesteel
