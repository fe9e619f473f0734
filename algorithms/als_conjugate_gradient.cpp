// SPDX-License-Identifier: Apache-2.0
#include "firesteel/algorithms/als_conjugate_gradient.hpp"

#include <algorithm>
#include <cmath>

#include "firesteel/core/parallel.hpp"
#include "firesteel/linalg/factor_kernels.hpp"
#include "firesteel/linalg/normal_operator.hpp"
#include "firesteel/linalg/single_operator.hpp"
#include "firesteel/linalg/single_products.hpp"

namespace firesteel {

namespace {

constexpr Index kTaskRatings = 16384;
constexpr Index kSharedChunks = 16;         // from here on waking threads for every product pays
constexpr double kSmallResidual = 0x1p-80;  // of the first residual, both squared

constexpr double kFloatNoise = 0x1p-19;  // error of float sums: 33 roundings of 2⁻²⁴

constexpr std::size_t at(Index i) { return static_cast<std::size_t>(i); }

double largest_of(std::span<const double> values) {
  double largest = 0;
  for (const double value : values) largest = std::max(largest, std::fabs(value));
  return largest;
}

}  // namespace

ConjugateGradients::Workspace::Workspace(const Problem& problem)
    : x(at(padded_rank(problem.rank))),
      residual(x.size()),
      direction(x.size()),
      product(x.size()),
      change(x.size()),
      base(x.size()),
      weights(at(kRatingChunk)),
      coefficients(at(kRatingChunk)),
      single_x(at(problem.single_precision ? padded_single(problem.rank) : 0)),
      single_scratch(single_x.size()),
      single_weights(at(problem.single_precision ? kRatingChunk : 0)),
      single_coefficients(single_weights.size()) {}

ConjugateGradients::ConjugateGradients(const Problem& problem, const RatingSide& side,
                                       const std::vector<double>& penalty_factor, int threads)
    : problem_(problem), side_(side), penalty_factor_(penalty_factor), threads_(threads) {
  if (side_.store)
    plan_scratch();
  else
    plan();
  if (problem_.implicit_prefs) gram_.resize(at(problem_.rank * padded_rank(problem_.rank)));
}

Index ConjugateGradients::chunks_of(Index e) const {
  return (side_.row_begin[at(e) + 1] - side_.row_begin[at(e)] + kRatingChunk - 1) / kRatingChunk;
}

void ConjugateGradients::plan() {
  Index most_chunks = 1;
  Index begin = 0;
  const auto close = [&](Index end) {
    if (end > begin) tasks_.push_back({begin, end});
    begin = end;
  };
  Index work = 0;
  for (Index e = 0; e < side_.count; ++e) {
    most_chunks = std::max(most_chunks, chunks_of(e));
    if (threads_ > 1 && chunks_of(e) >= kSharedChunks) {
      close(e);
      shared_.push_back(e);
      begin = e + 1;
      work = 0;
      continue;
    }
    work += static_cast<Index>(side_.values_of(e).size()) + problem_.rank;
    if (work < kTaskRatings) continue;
    close(e + 1);
    work = 0;
  }
  close(side_.count);
  make_workspaces(most_chunks, std::min(most_chunks, kSharedChunks));
}

/// The first thread's has room for the chunk sums of the largest entity.
void ConjugateGradients::make_workspaces(Index most_chunks, Index most_chunks_of_one) {
  for (int thread = 0; thread < threads_; ++thread) {
    workspaces_.emplace_back(problem_);
    auto& sums = workspaces_.back().chunk_sums;
    sums.assign(at(thread == 0 ? most_chunks : most_chunks_of_one),
                AlignedVector<double>(at(problem_.single_precision ? padded_single(problem_.rank)
                                                                   : padded_rank(problem_.rank))));
  }
}

void ConjugateGradients::plan_scratch() {
  Index most_chunks = RatingStore::kBlockRatings / kRatingChunk;
  for (const auto& large : side_.store->large()) most_chunks = std::max(most_chunks, chunks_of(large.entity));
  make_workspaces(most_chunks, RatingStore::kBlockRatings / kRatingChunk);
}

void ConjugateGradients::expand(std::span<const double> packed) {
  const Index stride = padded_rank(problem_.rank);
  for (Index i = 0, entry = 0; i < problem_.rank; ++i)
    for (Index j = 0; j <= i; ++j, ++entry)
      gram_[at(i * stride + j)] = gram_[at(j * stride + i)] = packed[at(entry)];
}

RatingSpan ConjugateGradients::chunk_of(Index e, Index chunk, Form form) const {
  const Index begin = side_.row_begin[at(e)] + chunk * kRatingChunk;
  const Index count = std::min(kRatingChunk, side_.row_begin[at(e) + 1] - begin);
  // The first pass over an entity's ratings brings nearer what comes next, the entity behind it included.
  const auto others = std::span(side_.others).subspan(at(begin));
  return {form == Form::residual ? others : others.first(at(count)),
          std::span(side_.values).subspan(at(begin), at(count))};
}

void ConjugateGradients::add_chunk(const GatheredFactors& gathered, RatingSpan ratings, Form form,
                                   const double* x, Workspace& work, double* out) const {
  const auto count = static_cast<Index>(ratings.values.size());
  const double sign = form == Form::residual ? -1 : 1;
  for (Index q = 0; q < count; ++q) {
    const double value = ratings.values[at(q)];
    const double weight = problem_.implicit_prefs ? problem_.alpha * std::fabs(value) : 1.0;
    const double target = problem_.implicit_prefs ? (value > 0 ? 1.0 + weight : 0.0) : value;
    work.weights[at(q)] = sign * weight;
    work.coefficients[at(q)] = form == Form::residual ? target : 0.0;
  }
  const auto which = ratings.others;
  if (problem_.single_precision) return add_single_chunk(gathered, which, count, x, work, out);
  add_normal_products({gathered.rows.data(), problem_.rank, which, count}, work.weights.data(),
                      work.coefficients.data(), x, out);
}

/// The same in single precision, with weights and coefficients as they lie in `work`. Powers of two bring the
/// vector, the weights and the coefficients to at most 1, so that they are floats whatever the ratings are.
void ConjugateGradients::add_single_chunk(const GatheredFactors& gathered,
                                          std::span<const std::int32_t> which, Index count, const double* x,
                                          Workspace& work, double* out) const {
  const double x_scale = scale_to_one(largest_of({x, at(problem_.rank)}));
  for (Index j = 0; j < problem_.rank; ++j) work.single_x[at(j)] = static_cast<float>(x[j] * x_scale);
  // y·x is what rows and vector as they are scaled give, divided by both scales.
  const auto weights = std::span(work.weights).first(at(count));
  const auto coefficients = std::span(work.coefficients).first(at(count));
  const double weight_unit = 1 / x_scale / gathered.scale;
  const double scale = scale_to_one(std::max(largest_of(weights) * weight_unit, largest_of(coefficients)));
  for (std::size_t q = 0; q < weights.size(); ++q) {
    work.single_weights[q] = static_cast<float>(weights[q] * weight_unit * scale);
    work.single_coefficients[q] = static_cast<float>(coefficients[q] * scale);
  }
  add_single_normal_products({gathered.single_rows.data(), problem_.rank, which, count},
                             work.single_weights.data(), work.single_coefficients.data(),
                             work.single_x.data(), 1 / scale / gathered.scale, work.single_scratch.data(),
                             out);
}

/// out ← the entity's ratings, by the calling thread.
void ConjugateGradients::add_entity(const GatheredFactors& gathered, Index e, Form form, const double* x,
                                    Workspace& work, double* out) const {
  const Index chunks = chunks_of(e);
  for (Index chunk = 0; chunk < chunks; ++chunk) {
    auto& sum = work.chunk_sums[at(chunk)];
    std::fill(sum.begin(), sum.end(), 0.0);
    add_chunk(gathered, chunk_of(e, chunk, form), form, x, work, sum.data());
  }
  fold_tree(work.chunk_sums, at(chunks));
  std::copy_n(work.chunk_sums.front().begin(), padded_rank(problem_.rank), out);
}

/// The same by all threads.
void ConjugateGradients::add_entity_by_all(const GatheredFactors& gathered, Index e, Form form,
                                           const double* x, double* out) {
  auto& sums = workspaces_.front().chunk_sums;
  const Index chunks = chunks_of(e);
  parallel_for(threads_, chunks, [&](Index chunk, int thread) {
    auto& sum = sums[at(chunk)];
    std::fill(sum.begin(), sum.end(), 0.0);
    add_chunk(gathered, chunk_of(e, chunk, form), form, x, workspaces_[at(thread)], sum.data());
  });
  fold_tree(sums, at(chunks));
  std::copy_n(sums.front().begin(), padded_rank(problem_.rank), out);
}

/// Whether the right-hand side can differ from 0. If not, the minimiser is 0.
bool ConjugateGradients::has_right_hand_side(Index e) const {
  if (side_.store)
    return problem_.implicit_prefs ? side_.store->positives(e) > 0 : side_.store->has_non_zero(e);
  const auto values = side_.values_of(e);
  return std::any_of(values.begin(), values.end(),
                     [&](double r) { return problem_.implicit_prefs ? r > 0 : r != 0; });
}

/// Whether a step along p can come nearer: pᵀAp is above 0 and, in single precision, neither it nor the
/// residual is what floats make of 0. `reach`: the largest coordinate of x; `steepest`: the largest of
/// max |Ap| / max |p| so far. Largest coordinates stand for norms.
bool ConjugateGradients::may_step(const Workspace& work, double curvature, double reach,
                                  double& steepest) const {
  if (!(curvature > 0)) return false;
  if (!problem_.single_precision) return true;
  const double direction = largest_of(work.direction);
  steepest = std::max(steepest, largest_of(work.product) / direction);
  const double noise = kFloatNoise * steepest;
  return curvature > noise * direction * direction &&
         largest_of(work.residual) > noise * (reach + largest_of(work.change));
}

/// sum += sign · (YᵀY + λ n I) vector.
void ConjugateGradients::add_base(Index e, const AlignedVector<double>& vector, double sign, Workspace& work,
                                  AlignedVector<double>& sum) const {
  shifted_gram_product(gram_, problem_.rank, penalty_factor_[at(e)], vector.data(), work.base.data());
  for (Index j = 0; j < problem_.rank; ++j) sum[at(j)] += sign * work.base[at(j)];
}

void ConjugateGradients::improve(Index e, RatingSum rating_sum, Workspace& work,
                                 std::vector<double>& own) const {
  const Index rank = problem_.rank;
  const auto factors = std::span(own).subspan(at(e * rank), at(rank));
  if (!has_right_hand_side(e)) {
    std::fill(factors.begin(), factors.end(), 0.0);
    return;
  }
  auto& x = work.x;
  auto& r = work.residual;
  auto& p = work.direction;
  auto& product = work.product;
  auto& change = work.change;
  // r ← b − A x, brought to at most 1, so that squares neither overflow nor vanish
  std::copy(factors.begin(), factors.end(), x.begin());
  rating_sum(Form::residual, x.data(), r.data());
  add_base(e, x, -1, work, r);
  const double scale = scale_to_one(largest_of(r));
  const double reach = largest_of(x) * scale;
  for (double& value : r) value *= scale;
  // p ← r, and steps along p towards A·change = r
  std::copy(r.begin(), r.end(), p.begin());
  std::fill(change.begin(), change.end(), 0.0);
  double square = factor_dot(rank, r.data(), r.data());
  const double enough = kSmallResidual * square;
  double steepest = 0;
  for (Index step = 0; step < problem_.steps && square > enough; ++step) {
    rating_sum(Form::product, p.data(), product.data());
    add_base(e, p, 1, work, product);
    const double curvature = factor_dot(rank, p.data(), product.data());
    if (!may_step(work, curvature, reach, steepest)) break;
    const double next =
        step_along(rank, square / curvature, p.data(), product.data(), change.data(), r.data());
    turn_direction(rank, next / square, r.data(), p.data());
    square = next;
  }
  for (std::size_t j = 0; j < factors.size(); ++j) factors[j] = x[j] + change[j] / scale;
}

void ConjugateGradients::solve(const GatheredFactors& gathered, std::span<const double> gram,
                               std::vector<double>& own) {
  if (problem_.implicit_prefs) expand(gram);
  if (side_.store) return solve_from_scratch(gathered, own);
  parallel_for(threads_, static_cast<Index>(tasks_.size()), [&](Index task, int thread) {
    Workspace& work = workspaces_[at(thread)];
    for (Index e = tasks_[at(task)].begin; e < tasks_[at(task)].end; ++e)
      improve(
          e, [&](Form form, const double* x, double* out) { add_entity(gathered, e, form, x, work, out); },
          work, own);
  });
  const FloatEnvironment environment;
  for (const Index e : shared_)
    improve(
        e, [&](Form form, const double* x, double* out) { add_entity_by_all(gathered, e, form, x, out); },
        workspaces_.front(), own);
}

/// out ← an entity's ratings, all of which are there.
void ConjugateGradients::add_held(const GatheredFactors& gathered, RatingSpan ratings, Form form,
                                  const double* x, Workspace& work, double* out) const {
  std::size_t chunks = 0;
  for (std::size_t begin = 0; begin < ratings.values.size(); begin += at(kRatingChunk), ++chunks) {
    const std::size_t length = std::min(at(kRatingChunk), ratings.values.size() - begin);
    auto& sum = work.chunk_sums[chunks];
    std::fill(sum.begin(), sum.end(), 0.0);
    add_chunk(gathered, {ratings.others.subspan(begin, length), ratings.values.subspan(begin, length)}, form,
              x, work, sum.data());
  }
  fold_tree(work.chunk_sums, chunks);
  std::copy_n(work.chunk_sums.front().begin(), padded_rank(problem_.rank), out);
}

/// The same for an entity of several blocks, which are read for every product.
void ConjugateGradients::add_large(const GatheredFactors& gathered, const RatingStore::Large& large,
                                   Form form, const double* x, double* out) {
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
      add_chunk(gathered, {ratings.others.subspan(begin, length), ratings.values.subspan(begin, length)},
                form, x, workspaces_[at(thread)], sums[chunk].data());
    }
  });
  fold_tree(sums, at(chunks_of(large.entity)));
  std::copy_n(sums.front().begin(), padded_rank(problem_.rank), out);
}

void ConjugateGradients::solve_from_scratch(const GatheredFactors& gathered, std::vector<double>& own) {
  const RatingStore& store = *side_.store;
  {
    BlockPass pass(&store.blocks(), 0, store.units());
    parallel_for(threads_, store.units(), [&](Index unit, int thread) {
      const BlockPass::Hold hold(pass, unit);
      Workspace& work = workspaces_[at(thread)];
      store.for_entities(unit, [&](Index e, RatingSpan ratings) {
        improve(
            e,
            [&](Form form, const double* x, double* out) { add_held(gathered, ratings, form, x, work, out); },
            work, own);
      });
    });
  }
  const FloatEnvironment environment;
  for (const auto& large : store.large())
    improve(
        large.entity,
        [&](Form form, const double* x, double* out) { add_large(gathered, large, form, x, out); },
        workspaces_.front(), own);
}

}  // namespace firesteel
