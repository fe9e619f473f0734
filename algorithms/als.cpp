// SPDX-License-Identifier: Apache-2.0
#include "firesteel/algorithms/als.hpp"

#include <algorithm>
#include <cmath>

#include "firesteel/algorithms/als_blocks.hpp"
#include "firesteel/algorithms/als_chunks.hpp"
#include "firesteel/algorithms/als_solver.hpp"
#include "firesteel/core/check_rows.hpp"
#include "firesteel/core/parallel.hpp"
#include "firesteel/core/philox.hpp"
#include "firesteel/core/rating_chunks.hpp"
#include "firesteel/linalg/factor_kernels.hpp"

namespace firesteel {

namespace {

// Purposes of random draws: the side in the upper half, the coordinate in the lower.
constexpr std::uint64_t kUserDraws = std::uint64_t{0x75736572} << 32;
constexpr std::uint64_t kItemDraws = std::uint64_t{0x6974656D} << 32;

constexpr std::size_t at(Index i) { return static_cast<std::size_t>(i); }

/// Everything that the next iteration depends on: this rank's rows of the factors.
struct AlsState {
  Index rank = 0;
  std::vector<double> user_factors;
  std::vector<double> item_factors;
  bool gram_known = false;  ///< of the user factors: found anew where they came from a checkpoint

  void restored() { gram_known = false; }
  void describe(StateVisitor& visitor) {
    visitor.partitioned("user_factors", user_factors, rank);
    visitor.partitioned("item_factors", item_factors, rank);
  }
};

/// A number that is normal enough for a direction: four 32-bit uniforms added up and centred, exactly.
double nearly_normal(std::uint64_t seed, std::uint64_t purpose, std::uint64_t key) {
  std::int64_t sum = 0;
  for (const std::uint32_t word : philox(seed, purpose, key)) sum += word;
  return static_cast<double>(sum - 2 * std::int64_t{0xFFFFFFFF}) * 0x1p-32;
}

/// A unit vector of about uniform direction, keyed by the id alone; of the positive orthant if nonnegative.
void draw_factors(const Als& als, std::uint64_t draws, std::uint64_t key, std::span<double> factors) {
  double square = 0;
  for (std::size_t j = 0; j < factors.size(); ++j) {
    const double value = nearly_normal(als.seed, draws + j, key);
    factors[j] = als.nonnegative ? std::fabs(value) : value;
    square += factors[j] * factors[j];
  }
  if (square == 0) factors[0] = square = 1;
  const double scale = 1 / std::sqrt(square);
  for (double& factor : factors) factor *= scale;
}

std::vector<double> initial_factors(const Als& als, std::uint64_t draws, const IdList& ids,
                                    const RatingSide& side) {
  std::vector<double> factors(at(side.count * als.rank));
  for (Index e = 0; e < side.count; ++e)
    draw_factors(als, draws, id_key(ids, side.first + e),
                 std::span(factors).subspan(at(e * als.rank), at(als.rank)));
  return factors;
}

void check_columns(const Als& als, const Ratings& data) {
  if (data.rows == 0) throw bad_input("als: the data have no ratings");
  if (!data.has_ratings && !als.implicit_prefs)
    throw bad_input(
        "als: the data have no rating column; name it with --rating, or use --implicit-prefs, which takes "
        "every row as 1");
}

/// The ratings to fit: as given, or 1 for each row where implicit feedback comes without a rating column.
std::vector<double> checked_ratings(const Ratings& data) {
  check_lengths(data);
  if (!data.has_ratings) return std::vector<double>(at(column_size(data.users)), 1.0);
  for (std::size_t r = 0; r < data.ratings.size(); ++r)
    if (!std::isfinite(data.ratings[r])) {
      const Index row = data.first_row + static_cast<Index>(r);
      throw bad_input("als: row " + std::to_string(row) + ": expected a finite rating, got " +
                          number_text(data.ratings[r]),
                      {0, row});
    }
  return data.ratings;
}

/// What a fit keeps of users and items, whatever becomes of their ratings: factors here and as they travel,
/// as other entities need them, and in the model; ids, counts, places.
Index factor_bytes_of(Index entities, Index rank) {
  constexpr Index kOfEntity = 96;
  const Index factor_bytes = static_cast<Index>(sizeof(double)) * (4 * rank + padded_rank(rank));
  return entities * (factor_bytes + kOfEntity);
}

MemoryReservation reserve_factors(const Context& context, Index users, Index items, Index rank) {
  return {context.memory(), factor_bytes_of(users + items, rank),
          "factors and ids of " + std::to_string(users) + " users and " + std::to_string(items) + " items"};
}

/// Users, items, and their ratings by user and by item.
struct DealtRatings {
  IdList users;
  IdList items;
  MemoryReservation reserved;
  RatingSides sides;
};

DealtRatings deal(const Als& als, const Ratings& data) {
  const Context& context = data.context;
  Communicator& comm = context.comm();
  DealtRatings dealt;
  const auto reserve = [&] {
    dealt.reserved = comm.collectively(
        [&] { return reserve_factors(context, id_count(dealt.users), id_count(dealt.items), als.rank); });
  };
  comm.collectively([&] { check_columns(als, data); });
  if (data.chunks) {
    dealt.users = index_chunked_ids(context, data, true);
    dealt.items = index_chunked_ids(context, data, false);
    reserve();
    dealt.sides = deal_chunks(context, data, dealt.users, dealt.items, !data.has_ratings, als.rank);
    return dealt;
  }
  const auto values = comm.collectively([&] { return checked_ratings(data); });
  auto users = index_ids(context, data.users, data.user_name);
  auto items = index_ids(context, data.items, data.item_name);
  dealt.users = std::move(users.ids);
  dealt.items = std::move(items.ids);
  reserve();
  dealt.sides = deal_ratings(
      context, {users.index, items.index, values, id_count(dealt.users), id_count(dealt.items)}, als.rank);
  return dealt;
}

/// The two half-steps and the objective.
class AlsFit {
 public:
  AlsFit(const Context& context, const Als& als, bool single_precision, const RatingSides& sides)
      : rank_(als.rank),
        implicit_(als.implicit_prefs),
        items_by_user_(context, sides.by_user, als.rank, single_precision),
        users_by_item_(context, sides.by_item, als.rank, single_precision),
        users_(context, objective_of(als, single_precision), sides.by_user),
        items_(context, objective_of(als, single_precision), sides.by_item) {}

  double initial_objective(AlsState& state) {
    if (implicit_) item_gram_ = items_.gram(state.item_factors);
    return objective(items_by_user_(state.item_factors), state);
  }

  Step step(AlsState& state) {
    if (implicit_ && !state.gram_known) user_gram_ = users_.gram(state.user_factors);
    items_.solve(users_by_item_(state.user_factors), user_gram_, state.item_factors, false);
    const auto& gathered = items_by_user_(state.item_factors);
    if (implicit_) item_gram_ = items_.gram(state.item_factors);
    users_.solve(gathered, item_gram_, state.user_factors, true);
    return {.objective = objective(gathered, state)};
  }

 private:
  static FactorObjective objective_of(const Als& als, bool single_precision) {
    return {als.rank,
            als.reg_param,
            als.implicit_prefs,
            als.alpha,
            als.nonnegative,
            single_precision,
            als.solver == "cg" ? als.cg_steps : 0};
  }

  /// gathered: item factors by user; item_gram_ is of the item factors in `state`. The user factors' products
  /// are found on the way, for the next iteration, too.
  double objective(const GatheredFactors& gathered, AlsState& state) {
    const double item_penalty = items_.penalty(state.item_factors);
    double all_pairs =
        0;  // Σ (x·y)² over users and items: every pair as one of confidence 1 and preference 0
    if (implicit_) {
      user_gram_ = users_.gram(state.user_factors);
      state.gram_known = true;
      all_pairs = gram_of_pairs();
    }
    return users_.loss_and_penalty(gathered, state.user_factors) + all_pairs + item_penalty;
  }

  /// The sum of the products of all entries of XᵀX and YᵀY.
  double gram_of_pairs() const {
    double sum = 0;
    std::size_t entry = 0;
    for (Index i = 0; i < rank_; ++i) {
      double row = 0;
      for (Index j = 0; j < i; ++j, ++entry) row += user_gram_[entry] * item_gram_[entry];
      sum += 2 * row + user_gram_[entry] * item_gram_[entry];
      ++entry;
    }
    return sum;
  }

  Index rank_;
  bool implicit_;
  std::span<const double> user_gram_;  ///< packed XᵀX and YᵀY, implicit only
  std::span<const double> item_gram_;
  FactorGather items_by_user_;
  FactorGather users_by_item_;
  FactorSolver users_;
  FactorSolver items_;
};

void check_finite(Communicator& comm, const FitSummary& summary, const AlsState& state) {
  const auto finite = [](const std::vector<double>& values) {
    return std::all_of(values.begin(), values.end(), [](double v) { return std::isfinite(v); });
  };
  comm.collectively([&] {
    if (!std::isfinite(summary.objective) || !finite(state.user_factors) || !finite(state.item_factors))
      throw bad_input("als: the factors are not finite: the ratings are too large; scale them");
  });
}

}  // namespace

void Als::describe(ParameterVisitor& visitor) {
  visitor.integer("rank", rank, at_least(1), "number of factors of a user or item");
  visitor.integer("max_iter", max_iter, at_least(0), "iterations: item factors, then user factors");
  visitor.real("reg_param", reg_param, at_least(0), "penalty, scaled by the ratings of each user and item");
  visitor.boolean("implicit_prefs", implicit_prefs,
                  "ratings are strengths of observation (clicks, plays), not scores");
  visitor.real("alpha", alpha, at_least(0), "implicit: confidence is 1 + alpha * |rating|");
  visitor.boolean("nonnegative", nonnegative, "factors >= 0");
  visitor.choice("solver", solver, {"cholesky", "cg"},
                 "of the normal equations: exactly, or by conjugate gradients from the last factors");
  visitor.integer("cg_steps", cg_steps, at_least(1), "cg: steps for each user and item in an iteration");
  visitor.choice("cold_start_strategy", cold_start_strategy, {"nan", "drop"},
                 "prediction for an unknown user or item: NaN, or leave the row out");
  visitor.seed("seed", seed, "of the initial factors, drawn by id");
  visitor.require(!nonnegative || solver == "cholesky",
                  "--nonnegative needs --solver cholesky: conjugate gradients do not keep factors >= 0");
}

RatingNeeds Als::rating_needs(const Ratings& data) const {
  const Context& context = data.context;
  context.comm().collectively([&] { check_columns(*this, data); });
  const auto count = [&](bool users) {
    if (data.chunks) return id_count(index_chunked_ids(context, data, users));
    return id_count(
        index_ids(context, users ? data.users : data.items, users ? data.user_name : data.item_name).ids);
  };
  RatingNeeds needs{.users = count(true), .items = count(false)};
  needs.factor_bytes = factor_bytes_of(needs.users + needs.items, rank);
  needs.bytes_of_side = static_cast<Index>(sizeof(double) + sizeof(std::int32_t));
  needs.passes = 3;  // by item, by user, and by user for the objective
  return needs;
}

AlsModel Als::fit(const Ratings& data) const {
  const FloatEnvironment environment;
  const Context& context = data.context;
  Communicator& comm = context.comm();
  AlsModel model;
  model.parameters = *this;
  comm.collectively([&] { validate_parameters(model.parameters); });
  DealtRatings dealt = deal(*this, data);
  const RatingSides& sides = dealt.sides;

  AlsState state{rank, {}, {}, false};
  comm.collectively([&] {
    state.user_factors = initial_factors(*this, kUserDraws, dealt.users, sides.by_user);
    state.item_factors = initial_factors(*this, kItemDraws, dealt.items, sides.by_item);
  });
  AlsFit fit(context, *this, data.single_precision, sides);
  model.summary = run_fit_loop(data, "als", *this, fit.initial_objective(state), state,
                               [&](AlsState& s, Index) { return fit.step(s); });
  check_finite(comm, model.summary, state);
  if (data.chunks)
    for (const RatingSide* side : {&sides.by_user, &sides.by_item})
      data.chunks->add_traffic(side->store->blocks());

  model.user_factors = comm.allgatherv(std::span<const double>(state.user_factors));
  model.item_factors = comm.allgatherv(std::span<const double>(state.item_factors));
  model.user_ids = std::move(dealt.users);
  model.item_ids = std::move(dealt.items);
  model.user_name = data.user_name;
  model.item_name = data.item_name;
  model.num_ratings = data.rows;
  model.summary.converged = std::nullopt;  // ALS runs its iterations; it has no test of convergence
  model.summary.extra = {{"num_users", model.num_users()},
                         {"num_items", model.num_items()},
                         {"num_ratings", model.num_ratings},
                         {"rank", rank}};
  return model;
}

}  // namespace firesteel
