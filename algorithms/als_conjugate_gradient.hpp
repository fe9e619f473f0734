// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "firesteel/algorithms/als_blocks.hpp"
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

  /// Improves `own`. gram: packed YᵀY over all entities of the other side, implicit only. Local.
  void solve(const GatheredFactors& gathered, std::span<const double> gram, std::vector<double>& own);

 private:
  /// out += Σ_q (c_q − w_q (y_q·x)) y_q, or Σ_q w_q (y_q·x) y_q.
  enum class Form { residual, product };
  using RatingSum = FunctionRef<void(Form form, const double* x, double* out)>;

  struct Workspace {
    explicit Workspace(const Problem& problem);
    AlignedVector<double> x, residual, direction, product, change, base;  ///< padded_rank(rank) each
    std::vector<AlignedVector<double>> chunk_sums;                        ///< of one entity
    std::vector<double> weights, coefficients;                            ///< of one chunk
    AlignedVector<float> single_x, single_scratch;                        ///< padded_single(rank) each
    std::vector<float> single_weights, single_coefficients;
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
  void improve(Index e, RatingSum rating_sum, Workspace& work, std::vector<double>& own) const;
  /// out += up to kRatingChunk ratings; `ratings.others` may hold those behind them, too.
  void add_chunk(const GatheredFactors& gathered, RatingSpan ratings, Form form, const double* x,
                 Workspace& work, double* out) const;
  void add_single_chunk(const GatheredFactors& gathered, std::span<const std::int32_t> which, Index count,
                        const double* x, Workspace& work, double* out) const;
  /// The chunks of an entity's ratings, as add_chunk takes them.
  RatingSpan chunk_of(Index e, Index chunk, Form form) const;
  void add_entity(const GatheredFactors& gathered, Index e, Form form, const double* x, Workspace& work,
                  double* out) const;
  void add_entity_by_all(const GatheredFactors& gathered, Index e, Form form, const double* x, double* out);
  // Of ratings in scratch.
  void solve_from_scratch(const GatheredFactors& gathered, std::vector<double>& own);
  void add_held(const GatheredFactors& gathered, RatingSpan ratings, Form form, const double* x,
                Workspace& work, double* out) const;
  void add_large(const GatheredFactors& gathered, const RatingStore::Large& large, Form form, const double* x,
                 double* out);
  bool may_step(const Workspace& work, double curvature, double reach, double& steepest) const;
  void add_base(Index e, const AlignedVector<double>& vector, double sign, Workspace& work,
                AlignedVector<double>& sum) const;
  bool has_right_hand_side(Index e) const;
  Index chunks_of(Index e) const;

  Problem problem_;
  const RatingSide& side_;
  const std::vector<double>& penalty_factor_;
  int threads_;
  std::vector<Task> tasks_;
  std::vector<Index> shared_;          ///< entities with so many ratings that all threads work on one
  AlignedVector<double> gram_;         ///< rank x padded_rank(rank), both triangles
  std::vector<Workspace> workspaces_;  ///< one a thread
};

}  // namespace firesteel
