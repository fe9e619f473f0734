// SPDX-License-Identifier: Apache-2.0
// ConjugateGradients on ratings that lie in scratch: the sums of als_conjugate_gradient.cpp, as blocks come.
#include <algorithm>

#include "firesteel/algorithms/als_conjugate_gradient.hpp"
#include "firesteel/core/parallel.hpp"

namespace firesteel {

namespace {

constexpr std::size_t at(Index i) { return static_cast<std::size_t>(i); }

}  // namespace

void ConjugateGradients::plan_scratch() {
  Index most_chunks = RatingStore::kBlockRatings / kRatingChunk;
  for (const auto& large : side_.store->large()) most_chunks = std::max(most_chunks, chunks_of(large.entity));
  make_workspaces(most_chunks, RatingStore::kBlockRatings / kRatingChunk);
}

/// out ← an entity's ratings, all of which are there.
void ConjugateGradients::add_held(const GatheredFactors& gathered, RatingSpan ratings, Form form,
                                  const ProductVector& x, Workspace& work, double* out) const {
  if (ratings.values.size() <= at(kRatingChunk))
    return add_at_once(gathered, ratings, form, x, work.slots.front(), out);
  std::size_t chunks = 0;
  for (std::size_t begin = 0; begin < ratings.values.size(); begin += at(kRatingChunk), ++chunks) {
    const std::size_t length = std::min(at(kRatingChunk), ratings.values.size() - begin);
    auto& sum = work.chunk_sums[chunks];
    std::fill(sum.begin(), sum.end(), 0.0);
    add_chunk(gathered, {ratings.others.subspan(begin), ratings.values.subspan(begin, length)}, form, x,
              work.slots.front(), sum.data());
  }
  fold_tree(work.chunk_sums, chunks);
  std::copy(work.chunk_sums.front().begin(), work.chunk_sums.front().end(), out);
}

/// The same for an entity of several blocks, which are read for every product.
void ConjugateGradients::add_large(const GatheredFactors& gathered, const RatingStore::Large& large,
                                   Form form, const ProductVector& x, double* out) {
  const RatingStore& store = *side_.store;
  auto& sums = workspaces_.front().chunk_sums;
  BlockPass pass(&store.blocks(), large.first_block, large.end_block);
  parallel_for(threads_, large.end_block - large.first_block, [&](Index i, int thread) {
    const BlockPass::Hold hold(pass, large.first_block + i);
    const RatingSpan ratings = store.block(large.first_block + i);
    std::size_t chunk = at(i * (RatingStore::kBlockRatings / kRatingChunk));
    for (std::size_t begin = 0; begin < ratings.values.size(); begin += at(kRatingChunk), ++chunk) {
      const std::size_t length = std::min(at(kRatingChunk), ratings.values.size() - begin);
      std::fill(sums[chunk].begin(), sums[chunk].end(), 0.0);
      add_chunk(gathered, {ratings.others.subspan(begin), ratings.values.subspan(begin, length)}, form, x,
                workspaces_[at(thread)].slots.front(), sums[chunk].data());
    }
  });
  fold_tree(sums, at(chunks_of(large.entity)));
  std::copy(sums.front().begin(), sums.front().end(), out);
}

void ConjugateGradients::solve_from_scratch(const GatheredFactors& gathered, std::vector<double>& own) {
  const RatingStore& store = *side_.store;
  {
    BlockPass pass(&store.blocks(), 0, store.units());
    parallel_for(threads_, store.units(), [&](Index unit, int thread) {
      const BlockPass::Hold hold(pass, unit);
      Workspace& work = workspaces_[at(thread)];
      store.for_entities(unit, [&](Index e, RatingSpan ratings) {
        improve_alone(
            e,
            [&](Form form, const ProductVector& x, double* out) {
              add_held(gathered, ratings, form, x, work, out);
            },
            work, own);
      });
    });
  }
  const FloatEnvironment environment;
  for (const auto& large : store.large())
    improve_alone(
        large.entity,
        [&](Form form, const ProductVector& x, double* out) { add_large(gathered, large, form, x, out); },
        workspaces_.front(), own);
}

}  // namespace firesteel
