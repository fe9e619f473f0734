// SPDX-License-Identifier: Apache-2.0
#include "firesteel/algorithms/als_conjugate_gradient.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>

#include "firesteel/core/parallel.hpp"
#include "firesteel/linalg/factor_kernels.hpp"
#include "firesteel/linalg/normal_operator.hpp"
#include "firesteel/linalg/single_operator.hpp"
#include "firesteel/linalg/single_products.hpp"
#include "firesteel/linalg/vector_kernels.hpp"

namespace firesteel {

namespace {

constexpr Index kTaskRatings = 16384;
constexpr Index kSharedChunks = 16;            // from here on waking threads for every product pays
constexpr Index kNearFloats = Index{3} << 16;  // of rows that are expected to stay in the second cache
constexpr Index kTogether = kGramVectors;      // short entities on their way together
constexpr Index kShortRatings = 512;
constexpr double kSmallResidual = 0x1p-80;  // of the first residual, both squared

constexpr double kFloatNoise = 0x1p-19;  // error of float sums: 33 roundings of 2⁻²⁴

constexpr std::size_t at(Index i) { return static_cast<std::size_t>(i); }

}  // namespace

ConjugateGradients::Slot::Slot(const Problem& problem, Index most_ratings)
    : x(at(problem.single_precision ? padded_single(problem.rank) : padded_rank(problem.rank))),
      negative(x.size()),
      residual(x.size()),
      direction(x.size()),
      product(x.size()),
      change(x.size()),
      base(x.size()),
      of_negative{negative.data()},
      of_direction{direction.data()},
      ratings({problem.rank, problem.implicit_prefs, problem.alpha, problem.single_precision}, most_ratings) {
  if (!problem.single_precision) return;
  of_negative.rounded.resize(x.size());
  of_direction.rounded.resize(x.size());
}

ConjugateGradients::ConjugateGradients(const Problem& problem, const RatingSide& side,
                                       const std::vector<double>& penalty_factor, int threads)
    : problem_(problem), side_(side), penalty_factor_(penalty_factor), threads_(threads) {
  if (side_.store)
    plan_scratch();
  else
    plan();
  if (!problem_.implicit_prefs) return;
  gram_.resize(at(problem_.rank * padded_rank(problem_.rank)));
  if (problem_.single_precision) single_gram_.resize(at(problem_.rank * padded_single(problem_.rank)));
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
  workspaces_.resize(at(threads_));
  for (auto& work : workspaces_) {
    // Vectors are known by their addresses, which moving a slot does not change.
    for (Index slot = 0; slot < (side_.store ? 1 : kTogether); ++slot)
      work.slots.emplace_back(problem_, slot == 0 ? kRatingChunk : kShortRatings);
    work.chunk_sums.assign(at(&work == &workspaces_.front() ? most_chunks : most_chunks_of_one),
                           AlignedVector<double>(work.slots.front().x.size()));
  }
}

void ConjugateGradients::expand(std::span<const double> packed) {
  const Index stride = padded_rank(problem_.rank);
  for (Index i = 0, entry = 0; i < problem_.rank; ++i)
    for (Index j = 0; j <= i; ++j, ++entry)
      gram_[at(i * stride + j)] = gram_[at(j * stride + i)] = packed[at(entry)];
  if (single_gram_.empty()) return;
  gram_scale_ = scale_to_one(largest_finite(packed));
  for (Index i = 0; i < problem_.rank; ++i)
    round_scaled({gram_.data() + i * stride, at(problem_.rank)}, gram_scale_,
                 single_gram_.data() + i * padded_single(problem_.rank));
}

RatingSpan ConjugateGradients::chunk_of(Index e, Index chunk) const {
  const Index begin = side_.row_begin[at(e)] + chunk * kRatingChunk;
  const Index count = std::min(kRatingChunk, side_.row_begin[at(e) + 1] - begin);
  return {std::span(side_.others).subspan(at(begin)), std::span(side_.values).subspan(at(begin), at(count))};
}

void ConjugateGradients::add_chunk(const GatheredFactors& gathered, RatingSpan ratings, Form form,
                                   const ProductVector& x, Slot& slot, double* out) {
  slot.ratings.weigh(ratings.values);
  if (form == Form::residual)
    slot.ratings.add_residual({gathered, ratings.others}, x, out);
  else
    slot.ratings.add_product({gathered, ratings.others}, x, out);
}

/// out ← up to kRatingChunk ratings, all that an entity has, which the residual, the first to come, gets
/// ready for the products.
void ConjugateGradients::add_at_once(const GatheredFactors& gathered, RatingSpan ratings, Form form,
                                     const ProductVector& x, Slot& slot, double* out) const {
  std::fill_n(out, slot.x.size(), 0.0);
  if (form == Form::residual) {
    slot.ratings.weigh(ratings.values);
    slot.products = 0;
    return slot.ratings.add_residual({gathered, ratings.others}, x, out);
  }
  // Each product brings its share of the next rows nearer.
  const auto share = [&](Index product) {
    return slot.next.size() * at(std::min(product, problem_.steps)) / at(problem_.steps);
  };
  const std::size_t begin = share(slot.products++);
  slot.ratings.add_product({gathered, ratings.others.first(ratings.values.size()),
                            slot.next.subspan(begin, share(slot.products) - begin)},
                           x, out);
}

/// Rows that entity `next` uses, as many as the second cache holds beside those of e.
std::span<const std::int32_t> ConjugateGradients::rows_after(Index e, Index next) const {
  if (next >= side_.count) return {};
  const Index held = side_.row_begin[at(e) + 1] - side_.row_begin[at(e)];
  const Index room = std::max<Index>(kNearFloats / padded_single(problem_.rank) - held, 0);
  const auto others = side_.others_of(next);
  return others.first(std::min(others.size(), at(room)));
}

/// out ← the ratings of the slot's entity, by the calling thread.
void ConjugateGradients::add_entity(const GatheredFactors& gathered, Form form, const ProductVector& x,
                                    Slot& slot, std::vector<AlignedVector<double>>& chunk_sums,
                                    double* out) const {
  const Index chunks = chunks_of(slot.entity);
  if (chunks <= 1) return add_at_once(gathered, chunk_of(slot.entity, 0), form, x, slot, out);
  for (Index chunk = 0; chunk < chunks; ++chunk) {
    auto& sum = chunk_sums[at(chunk)];
    std::fill(sum.begin(), sum.end(), 0.0);
    add_chunk(gathered, chunk_of(slot.entity, chunk), form, x, slot, sum.data());
  }
  fold_tree(chunk_sums, at(chunks));
  std::copy(chunk_sums.front().begin(), chunk_sums.front().end(), out);
}

/// The same by all threads.
void ConjugateGradients::add_entity_by_all(const GatheredFactors& gathered, Index e, Form form,
                                           const ProductVector& x, double* out) {
  auto& sums = workspaces_.front().chunk_sums;
  const Index chunks = chunks_of(e);
  parallel_for(threads_, chunks, [&](Index chunk, int thread) {
    auto& sum = sums[at(chunk)];
    std::fill(sum.begin(), sum.end(), 0.0);
    add_chunk(gathered, chunk_of(e, chunk), form, x, workspaces_[at(thread)].slots.front(), sum.data());
  });
  fold_tree(sums, at(chunks));
  std::copy(sums.front().begin(), sums.front().end(), out);
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
/// residual is what floats make of 0.
bool ConjugateGradients::may_step(Slot& slot, double curvature) const {
  if (!(curvature > 0)) return false;
  if (!problem_.single_precision) return true;
  const double direction = slot.largest_direction;
  slot.steepest = std::max(slot.steepest, largest_finite(slot.product) / direction);
  const double noise = kFloatNoise * slot.steepest;
  return curvature > noise * direction * direction && std::sqrt(slot.square) > noise * slot.reach;
}

void ConjugateGradients::round(double largest, ProductVector& x) const {
  if (!problem_.single_precision) return;
  x.scale = scale_to_one(largest);
  round_scaled({x.exact, at(problem_.rank)}, x.scale, x.rounded.data());
}

/// base ← (YᵀY + λ n I) x. In single precision YᵀY is of floats, and sums of 32 products, too.
void ConjugateGradients::multiply_base(std::span<Slot> slots, ProductVector Slot::*x) const {
  const bool single = !single_gram_.empty();
  std::array<SingleGramProduct, at(kGramVectors)> products{};
  std::size_t count = 0;
  for (Slot& slot : slots) {
    if (!slot.steps) continue;
    const ProductVector& vector = slot.*x;
    shifted_gram_product(single ? std::span<const double>() : gram_, problem_.rank,
                         penalty_factor_[at(slot.entity)], vector.exact, slot.base.data());
    products[count++] = {vector.rounded.data(), 1 / gram_scale_ / vector.scale, slot.base.data()};
  }
  if (single) add_single_gram_products(single_gram_, problem_.rank, std::span(products).first(count));
}

/// residual ← b − A x, brought to at most 1 by a power of two, so that squares neither overflow nor vanish;
/// direction ← residual.
void ConjugateGradients::begin(std::span<Slot> slots, RatingSum rating_sum,
                               const std::vector<double>& own) const {
  const Index rank = problem_.rank;
  for (Slot& slot : slots) {
    const auto factors = std::span(own).subspan(at(slot.entity * rank), at(rank));
    slot.summed = slot.steps = has_right_hand_side(slot.entity);
    if (!slot.summed) continue;
    std::copy(factors.begin(), factors.end(), slot.x.begin());
    std::transform(factors.begin(), factors.end(), slot.negative.begin(), std::negate<>());
    slot.reach = problem_.single_precision ? largest_finite(factors) : 0;
    round(slot.reach, slot.of_negative);
    rating_sum(slot, Form::residual, slot.of_negative, slot.residual.data());
  }
  multiply_base(slots, &Slot::of_negative);
  for (Slot& slot : slots) {
    if (!slot.steps) continue;
    auto& r = slot.residual;
    for (std::size_t j = 0; j < at(rank); ++j) r[j] += slot.base[j];
    slot.scale = scale_to_one(largest_finite(r));
    for (std::size_t j = 0; j < r.size(); ++j) slot.direction[j] = r[j] *= slot.scale;
    std::fill(slot.change.begin(), slot.change.end(), 0.0);
    slot.square = factor_dot(rank, r.data(), r.data());
    slot.enough = kSmallResidual * slot.square;
    slot.reach *= slot.scale;
    slot.steepest = 0;
  }
}

/// A step along the direction towards A·change = residual, of the slots that may take one.
void ConjugateGradients::step(std::span<Slot> slots, RatingSum rating_sum) const {
  const Index rank = problem_.rank;
  for (Slot& slot : slots) {
    slot.steps = slot.steps && slot.square > slot.enough;
    if (!slot.steps) continue;
    if (problem_.single_precision) slot.largest_direction = largest_finite(slot.direction);
    round(slot.largest_direction, slot.of_direction);
    rating_sum(slot, Form::product, slot.of_direction, slot.product.data());
  }
  multiply_base(slots, &Slot::of_direction);
  for (Slot& slot : slots) {
    if (!slot.steps) continue;
    double* const p = slot.direction.data();
    for (std::size_t j = 0; j < at(rank); ++j) slot.product[j] += slot.base[j];
    const double curvature = factor_dot(rank, p, slot.product.data());
    slot.steps = may_step(slot, curvature);
    if (!slot.steps) continue;
    const double length = slot.square / curvature;
    const double next =
        step_along(rank, length, p, slot.product.data(), slot.change.data(), slot.residual.data());
    slot.reach += length * slot.largest_direction;
    turn_direction(rank, next / slot.square, slot.residual.data(), p);
    slot.square = next;
  }
}

/// Entities do not see each other: each comes to the bits that it comes to alone.
void ConjugateGradients::improve(std::span<Slot> slots, RatingSum rating_sum,
                                 std::vector<double>& own) const {
  begin(slots, rating_sum, own);
  const auto steps = [](const Slot& slot) { return slot.steps; };
  for (Index taken = 0; taken < problem_.steps && std::any_of(slots.begin(), slots.end(), steps); ++taken)
    step(slots, rating_sum);
  for (const Slot& slot : slots) {
    const auto factors = std::span(own).subspan(at(slot.entity * problem_.rank), at(problem_.rank));
    for (std::size_t j = 0; j < factors.size(); ++j)
      factors[j] = slot.summed ? slot.x[j] + slot.change[j] / slot.scale : 0.0;
  }
}

/// Short entities in groups, others one by one.
void ConjugateGradients::improve_task(const GatheredFactors& gathered, const Task& task, Workspace& work,
                                      std::vector<double>& own, Done done, int thread) const {
  const auto rating_sum = [&](Slot& slot, Form form, const ProductVector& x, double* out) {
    add_entity(gathered, form, x, slot, work.chunk_sums, out);
  };
  const auto is_short = [&](Index e) {
    return side_.row_begin[at(e) + 1] - side_.row_begin[at(e)] <= kShortRatings;
  };
  for (Index e = task.begin; e < task.end;) {
    Index end = e + 1;
    if (is_short(e))
      while (end < std::min(task.end, e + kTogether) && is_short(end)) ++end;
    const auto slots = std::span(work.slots).first(at(end - e));
    for (std::size_t s = 0; s < slots.size(); ++s) {
      slots[s].entity = e + static_cast<Index>(s);
      slots[s].next = rows_after(slots[s].entity, end + static_cast<Index>(s));
    }
    improve(slots, rating_sum, own);
    for (const Slot& slot : slots) done(slot.entity, thread);
    e = end;
  }
}

void ConjugateGradients::solve(const GatheredFactors& gathered, std::span<const double> gram,
                               std::vector<double>& own, Done done) {
  if (problem_.implicit_prefs) expand(gram);
  if (side_.store) return solve_from_scratch(gathered, own);
  parallel_for(threads_, static_cast<Index>(tasks_.size()), [&](Index task, int thread) {
    improve_task(gathered, tasks_[at(task)], workspaces_[at(thread)], own, done, thread);
  });
  const FloatEnvironment environment;
  for (const Index e : shared_)
    improve_alone(
        e,
        [&](Form form, const ProductVector& x, double* out) { add_entity_by_all(gathered, e, form, x, out); },
        workspaces_.front(), own);
}

/// One entity in the first slot.
void ConjugateGradients::improve_alone(
    Index e, FunctionRef<void(Form form, const ProductVector& x, double* out)> rating_sum, Workspace& work,
    std::vector<double>& own) const {
  const auto slots = std::span(work.slots).first(1);
  slots.front().entity = e;
  slots.front().next = {};
  improve(
      slots, [&](Slot&, Form form, const ProductVector& x, double* out) { rating_sum(form, x, out); }, own);
}

}  // namespace firesteel
