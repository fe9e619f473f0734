// SPDX-License-Identifier: Apache-2.0
// FactorSolver in single precision: sums of up to 32 ratings in float, and what floats cannot tell apart
// again in double.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "firesteel/algorithms/als_solver.hpp"
#include "firesteel/linalg/factor_kernels.hpp"
#include "firesteel/linalg/lane_cholesky.hpp"

namespace firesteel {

namespace {

/// Of the diagonal entry: with a smaller pivot the rounding of float sums (33·2⁻²⁴ of the entries) would
/// reach the third digit of the solution.
constexpr double kSinglePivot = 0x1p-10;

constexpr std::size_t at(Index i) { return static_cast<std::size_t>(i); }

}  // namespace

void FactorSolver::find_single_scales() {
  double largest = 0;
  if (side_.store) largest = side_.store->largest();
  for (const double value : side_.values) largest = std::max(largest, std::fabs(value));
  comm_.allreduce_max(std::span(&largest, 1));
  const double weight = objective_.alpha * largest;
  weight_scale_ = scale_to_one(weight);
  coefficient_scale_ = scale_to_one(objective_.implicit_prefs ? 1 + weight : largest);
}

void FactorSolver::add_single_ratings(const GatheredFactors& gathered, std::span<const std::int32_t> others,
                                      std::span<const double> values, Workspace& work, double* sums) const {
  for (std::size_t q = 0; q < values.size(); ++q) {
    double coefficient = values[q];
    if (objective_.implicit_prefs) {
      const double weight = objective_.alpha * std::fabs(values[q]);
      work.single_weights[q] = static_cast<float>(weight * weight_scale_);
      coefficient = values[q] > 0 ? 1.0 + weight : 0.0;
    }
    work.single_coefficients[q] = static_cast<float>(coefficient * coefficient_scale_);
  }
  const auto weights = std::span(work.single_weights).first(objective_.implicit_prefs ? values.size() : 0);
  work.single_equations.add(gathered.single_rows.data(), others, weights,
                            std::span(work.single_coefficients).first(values.size()), sums);
}

FactorSolver::Sums FactorSolver::sums_of(const double* values, const GatheredFactors& gathered) const {
  if (!objective_.single_precision) return {values, padded_rank(objective_.rank)};
  const double weight_unit = objective_.implicit_prefs ? 1 / weight_scale_ : 1.0;
  return {values, padded_single(objective_.rank), weight_unit / gathered.scale / gathered.scale,
          1 / coefficient_scale_ / gathered.scale};
}

/// sums ← the normal equations of a lane's entity of the rounded factors, in double, ratings in order.
void FactorSolver::sum_in_double(const Given& given, std::size_t lane, Workspace& work,
                                 AlignedVector<double>& sums) const {
  const GatheredFactors& gathered = given.gathered;
  const std::size_t stride = at(padded_rank(objective_.rank));
  const std::size_t single_stride = at(padded_single(objective_.rank));
  sums.assign(at(work.equations.size()), 0.0);
  GatheredFactors widened;
  std::vector<std::int32_t> which;
  given.for_ratings(lane, [&](RatingSpan ratings) {
    for (std::size_t begin = 0; begin < ratings.values.size(); begin += at(kRatingChunk)) {
      const std::size_t length = std::min(at(kRatingChunk), ratings.values.size() - begin);
      which.resize(length);
      std::iota(which.begin(), which.end(), 0);
      widened.rows.resize(length * stride);
      for (std::size_t q = 0; q < length; ++q) {
        const float* row = gathered.single_rows.data() + at(ratings.others[begin + q]) * single_stride;
        for (std::size_t j = 0; j < stride; ++j)
          widened.rows[q * stride + j] = static_cast<double>(row[j]) / gathered.scale;
      }
      add_ratings(widened, which, ratings.values.subspan(begin, length), work, sums.data());
    }
  });
}

/// Solves the batch again with the systems of small pivots summed in double. The other lanes come to the same
/// bits: a lane does not depend on its neighbours.
void FactorSolver::solve_again(const Given& given, std::span<const std::int32_t> entities, Workspace& work,
                               std::span<double> pivots) const {
  bool again = false;
  AlignedVector<double> sums;
  for (std::size_t lane = 0; lane < entities.size(); ++lane) {
    if (pivots[lane] > kSinglePivot) continue;
    if (!again) {
      work.matrices = work.kept_matrices;
      work.rhs = work.kept_rhs;
    }
    again = true;
    const Index e = entities[lane];
    sum_in_double(given, lane, work, sums);
    load_lane({sums.data(), padded_rank(objective_.rank)}, given.gram, penalty_factor_[at(e)],
              static_cast<Index>(lane), work);
  }
  if (!again) return;
  work.kept_matrices = work.matrices;
  work.kept_rhs = work.rhs;
  solve_lanes(work.matrices, work.rhs, objective_.rank, pivots);
}

}  // namespace firesteel
