// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "firesteel/algorithms/als_blocks.hpp"
#include "firesteel/algorithms/als_rating_products.hpp"
#include "firesteel/algorithms/als_store.hpp"
#include "firesteel/core/aligned_vector.hpp"
#include "firesteel/core/function_ref.hpp"

namespace firesteel {

/// Steps towards the minimiser of a side's normal equations
///   (YᵀY + Σ_q w_q y_q y_qᵀ + λ n I) x = Σ_q c_q y_q      (explicit: without YᵀY, w = 1, c = r)
/// by conjugate gradients from the factors that are there: `steps` for each entity, fewer where the residual
/// has shrunk to 2⁻⁴⁰ of what it was. No matrix is formed: a product with it is a pass over the entity's
/// ratings. Ratings are summed in chunks of kRatingChunk joined by the fixed tree, one entity at a time, so
/// that neither threads nor ranks reach the result. In single precision factor rows, weights and what is
/// summed over up to 32 ratings are floats, all else is double.
/// Notation: X own factors count x rank, partitioned | Y gathered x padded_rank(rank), local.
/// Source: Hestenes & Stiefel 1952, doi:10.6028/jres.049.044; for ALS: Takács, Pilászy & Tikk 2011,
/// doi:10.1145/2043932.2043987. Cost: (steps + 1)·(4·ratings·rank + 2·entities·rank²) flops; without YᵀY the
/// second term falls away.
class ConjugateGradients {
 public:
  struct Problem {
    Index rank = 10;
    bool implicit_prefs = false;
    double alpha = 1;
    Index steps = 3;
    bool single_precision = false;
  };

  /// `side` and `penalty_factor` (λ·n, one an own entity) must outlive the object. Local.
  ConjugateGradients(const Problem& problem, const RatingSide& side,
                     const std::vector<double>& penalty_factor, int threads);

  /// Called where an entity is done that one thread worked on, from that thread; ratings in memory only.
  using Done = FunctionRef<void(Index e, int thread)>;
  /// Improves `own`. gram: packed YᵀY over all entities of the other side, implicit only. Local.
  void solve(const GatheredFactors& gathered, std::span<const double> gram, std::vector<double>& own,
             Done done);

 private:
  /// out ← Σ_q (c_q + w_q (y_q·x)) y_q, or Σ_q w_q (y_q·x) y_q.
  enum class Form { residual, product };
  struct Slot;
  using RatingSum = FunctionRef<void(Slot& slot, Form form, const ProductVector& x, double* out)>;

  /// An entity on its way.
  struct Slot {
    Slot(const Problem& problem, Index most_ratings);
    Index entity = 0;
    std::span<const std::int32_t> next;  ///< rows that are used after the entity's
    AlignedVector<double> x, negative, residual, direction, product, change, base;
    ProductVector of_negative, of_direction;
    RatingProducts ratings;  ///< of one chunk
    Index products = 0;      ///< that the entity has had
    double scale = 1;        ///< power of two that the residual was brought to at most 1 by
    double square = 0;       ///< of the residual
    double enough = 0;       ///< a square that is small enough
    double largest_direction = 0;
    double reach = 0;     ///< what no coordinate of the factors exceeds
    double steepest = 0;  ///< the largest of max |Ap| / max |p| so far
    bool summed = false;  ///< ratings were, since there is a right-hand side
    bool steps = false;   ///< may take another step
  };
  /// A thread's. Short entities are on their way together: their products share the reading of YᵀY.
  struct Workspace {
    std::vector<Slot> slots;                        ///< the first has room for a chunk of ratings
    std::vector<AlignedVector<double>> chunk_sums;  ///< of one entity
  };
  /// Own entities [begin, end), by one thread.
  struct Task {
    Index begin;
    Index end;
  };

  void plan();
  void plan_scratch();
  void make_workspaces(Index most_chunks, Index most_chunks_of_one);
  void expand(std::span<const double> packed);
  void improve(std::span<Slot> slots, RatingSum rating_sum, std::vector<double>& own) const;
  void improve_alone(Index e, FunctionRef<void(Form form, const ProductVector& x, double* out)> rating_sum,
                     Workspace& work, std::vector<double>& own) const;
  void improve_task(const GatheredFactors& gathered, const Task& task, Workspace& work,
                    std::vector<double>& own, Done done, int thread) const;
  /// out += up to kRatingChunk ratings; `ratings.others` may hold those behind them, too.
  static void add_chunk(const GatheredFactors& gathered, RatingSpan ratings, Form form,
                        const ProductVector& x, Slot& slot, double* out);
  void add_at_once(const GatheredFactors& gathered, RatingSpan ratings, Form form, const ProductVector& x,
                   Slot& slot, double* out) const;
  /// A chunk of an entity's ratings, as add_chunk takes them.
  RatingSpan chunk_of(Index e, Index chunk) const;
  std::span<const std::int32_t> rows_after(Index e, Index next) const;
  void add_entity(const GatheredFactors& gathered, Form form, const ProductVector& x, Slot& slot,
                  std::vector<AlignedVector<double>>& chunk_sums, double* out) const;
  void add_entity_by_all(const GatheredFactors& gathered, Index e, Form form, const ProductVector& x,
                         double* out);
  // Of ratings in scratch.
  void solve_from_scratch(const GatheredFactors& gathered, std::vector<double>& own);
  void add_held(const GatheredFactors& gathered, RatingSpan ratings, Form form, const ProductVector& x,
                Workspace& work, double* out) const;
  void add_large(const GatheredFactors& gathered, const RatingStore::Large& large, Form form,
                 const ProductVector& x, double* out);
  bool may_step(Slot& slot, double curvature) const;
  /// Rounds a vector whose largest coordinate is `largest`; nothing to do in double precision.
  void round(double largest, ProductVector& x) const;
  void multiply_base(std::span<Slot> slots, ProductVector Slot::*x) const;
  void begin(std::span<Slot> slots, RatingSum rating_sum, const std::vector<double>& own) const;
  void step(std::span<Slot> slots, RatingSum rating_sum) const;
  bool has_right_hand_side(Index e) const;
  Index chunks_of(Index e) const;

  Problem problem_;
  const RatingSide& side_;
  const std::vector<double>& penalty_factor_;
  int threads_;
  std::vector<Task> tasks_;
  std::vector<Index> shared_;          ///< entities with so many ratings that all threads work on one
  AlignedVector<double> gram_;         ///< rank x padded_rank(rank), both triangles
  AlignedVector<float> single_gram_;   ///< the same times gram_scale_, rounded, x padded_single(rank)
  double gram_scale_ = 1;              ///< power of two that brings it to at most 1
  std::vector<Workspace> workspaces_;  ///< one a thread
};

}  // namespace firesteel
