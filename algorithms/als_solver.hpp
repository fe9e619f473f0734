// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "firesteel/algorithms/als_blocks.hpp"
#include "firesteel/algorithms/als_conjugate_gradient.hpp"
#include "firesteel/algorithms/als_loss.hpp"
#include "firesteel/algorithms/als_store.hpp"
#include "firesteel/core/aligned_vector.hpp"
#include "firesteel/core/canonical_sum.hpp"
#include "firesteel/core/context.hpp"
#include "firesteel/core/function_ref.hpp"
#include "firesteel/linalg/factor_kernels.hpp"
#include "firesteel/linalg/single_products.hpp"

namespace firesteel {

/// What the normal equations of ALS are made of.
struct FactorObjective {
  Index rank = 10;
  double reg_param = 0.1;
  bool implicit_prefs = false;
  double alpha = 1.0;
  bool nonnegative = false;
  bool single_precision = false;
  Index cg_steps = 0;  ///< of conjugate gradients; 0: by Cholesky
};

/// Chunk sums that are joined at a time: whole nodes of the tree.
inline constexpr Index kChunksAtATime = 64;

/// Solves for all factor rows of one side, the other side's being fixed:
///   explicit  x = argmin Σ_q (r_q − xᵀy_q)² + λ n ‖x‖²,                     n = ratings of the entity
///   implicit  x = argmin Σ_all c (p − xᵀy)² + λ n ‖x‖², c = 1 + α|r|, p = [r > 0],  n = positive ratings
/// by Cholesky on (YᵀY + Σ w y yᵀ + λ n I) x = Σ c y, 8 entities side by side. A singular matrix (λ = 0, too
/// few ratings) is solved with 2⁻³⁰ of its largest diagonal entry added to the diagonal: nearly the solution
/// of least norm. In single precision the other side's factors, weights and ratings are floats and sums of up
/// to 32 ratings too, everything beyond is double; a system that floats leave too inexact is summed again in
/// double. Notation: X own factors count x rank, partitioned | Y gathered x padded_rank(rank), local.
/// Source: Zhou et al. 2008, doi:10.1007/978-3-540-68880-8_32; Hu, Koren & Volinsky 2008,
/// doi:10.1109/ICDM.2008.22. Cost: ratings·rank² + entities·rank³/3 flops.
class FactorSolver {
 public:
  FactorSolver(const Context& context, const FactorObjective& objective, const RatingSide& side);

  /// own ← the minimisers, or nearer to them where conjugate gradients are the solver. gram: packed YᵀY over
  /// all entities of the other side, implicit only. with_losses: loss_and_penalty() comes next, with the same
  /// factors; what ratings lose is found while their rows are near. Collective.
  void solve(const GatheredFactors& gathered, std::span<const double> gram, std::vector<double>& own,
             bool with_losses);

  /// Σ over all own-side entities of what their ratings lose (RatingLoss) + penalty of the own side, in
  /// canonical order. Same on all ranks. Collective.
  double loss_and_penalty(const GatheredFactors& gathered, const std::vector<double>& own);
  /// Σ λ n ‖x‖² over all own-side entities. Collective.
  double penalty(const std::vector<double>& own);
  /// Packed XᵀX over all own-side entities, canonical; valid until the next call. Collective.
  std::span<const double> gram(const std::vector<double>& own);

 private:
  struct Workspace {
    explicit Workspace(const FactorObjective& objective);
    NormalEquations equations;
    SingleNormalEquations single_equations;
    AlignedVector<double> sums;
    AlignedVector<double> matrices;  ///< kSystemLanes packed lower triangles, lane by lane
    AlignedVector<double> rhs;
    AlignedVector<double> kept_matrices;  ///< before factorisation
    AlignedVector<double> kept_rhs;
    std::vector<double> weights;
    std::vector<double> coefficients;
    std::vector<float> single_weights;
    std::vector<float> single_coefficients;
    std::vector<double> dense;
    std::vector<double> dense_rhs;
    std::vector<AlignedVector<double>> chunks;  ///< sums of those of an entity of several, from scratch
    std::vector<RatingSpan> held;               ///< of the lanes, from scratch
  };
  struct Task {
    std::size_t begin;
    std::size_t end;
  };

  void plan();
  void add_ratings(const GatheredFactors& gathered, std::span<const std::int32_t> others,
                   std::span<const double> values, Workspace& work, double* sums) const;
  std::span<const std::int32_t> ratings_behind(std::span<const std::int32_t> others) const;
  void add_long_row(const GatheredFactors& gathered, Index e, double* sums);
  void add_single_ratings(const GatheredFactors& gathered, std::span<const std::int32_t> others,
                          std::span<const double> values, Workspace& work, double* sums) const;
  void find_single_scales();
  /// Sums as add_ratings made them, and what their parts are to be multiplied with.
  struct Sums {
    const double* values;
    Index stride;
    double matrix_unit = 1;
    double rhs_unit = 1;
  };
  Sums sums_of(const double* values, const GatheredFactors& gathered) const;
  void load_lane(const Sums& sums, std::span<const double> gram, double penalty, Index lane,
                 Workspace& work) const;
  /// What a half-step reads.
  struct Given {
    const GatheredFactors& gathered;
    std::span<const double> gram;
    /// Calls visit(some of its ratings) for those of a lane's entity, in order.
    using Visit = FunctionRef<void(RatingSpan)>;
    FunctionRef<void(std::size_t lane, Visit visit)> for_ratings;
  };
  void solve_batch(const Given& given, std::span<const std::int32_t> entities, Workspace& work,
                   std::vector<double>& own) const;
  void sum_in_double(const Given& given, std::size_t lane, Workspace& work,
                     AlignedVector<double>& sums) const;
  void solve_again(const Given& given, std::span<const std::int32_t> entities, Workspace& work,
                   std::span<double> pivots) const;
  void solve_singular(Index lane, Workspace& work, std::span<double> x, double& ridge) const;
  void make_nonnegative(Index lane, double ridge, Workspace& work, std::span<double> x) const;
  void clear_lanes(Index first, Workspace& work) const;
  RatingProblem loss_problem() const;
  double loss_of(const GatheredFactors& gathered, RatingSpan ratings, std::span<const double> x,
                 RatingLoss& loss) const;
  void find_losses_of(const GatheredFactors& gathered, std::span<const std::int32_t> entities,
                      const std::vector<double>& own, RatingLoss& loss);
  // Of ratings in scratch (als_scratch.cpp).
  void plan_scratch();
  void solve_from_scratch(const GatheredFactors& gathered, std::span<const double> gram,
                          std::vector<double>& own);
  void sum_entity(const GatheredFactors& gathered, RatingSpan ratings, Workspace& work) const;
  void sum_large(const GatheredFactors& gathered, const RatingStore::Large& large, double* sums);
  void for_ratings_of(const RatingStore::Large& large, Given::Visit visit) const;
  void find_losses(const GatheredFactors& gathered, const std::vector<double>& own);

  Communicator comm_;
  int threads_;  ///< as many as the work is worth
  FactorObjective objective_;
  const RatingSide& side_;
  double weight_scale_ = 1;       ///< single precision: powers of two that bring weights and coefficients
  double coefficient_scale_ = 1;  ///< of all ratings (all ranks) to at most 1
  std::vector<double> penalty_factor_;    ///< λ·n, one an own entity
  std::vector<std::int32_t> short_rows_;  ///< own entities of one chunk
  std::vector<std::int32_t> long_rows_;
  std::vector<Task> tasks_;            ///< runs of short_rows_
  std::vector<Workspace> workspaces_;  ///< one a thread
  std::vector<AlignedVector<double>> chunk_sums_;
  std::vector<AlignedVector<double>> chunk_nodes_;         ///< sums of kChunksAtATime chunks
  std::vector<double> losses_;                             ///< of own entities; not a number: not known
  std::vector<RatingLoss> rating_losses_;                  ///< one a thread
  std::optional<ConjugateGradients> conjugate_gradients_;  ///< where they are the solver
  CanonicalSum loss_sum_;
  CanonicalSum penalty_sum_;
  CanonicalSum gram_sum_;
};

}  // namespace firesteel
