// SPDX-License-Identifier: Apache-2.0
#include "firesteel/algorithms/als_rating_products.hpp"

#include <algorithm>
#include <cmath>

#include "firesteel/linalg/factor_kernels.hpp"
#include "firesteel/linalg/normal_operator.hpp"
#include "firesteel/linalg/single_operator.hpp"
#include "firesteel/linalg/single_products.hpp"
#include "firesteel/linalg/vector_kernels.hpp"

namespace firesteel {

namespace {

constexpr std::size_t at(Index i) { return static_cast<std::size_t>(i); }

}  // namespace

RatingProducts::RatingProducts(const RatingProblem& problem, Index most_ratings) : problem_(problem) {
  const std::size_t in_double = problem.single_precision ? 0 : at(most_ratings);
  const std::size_t in_single = at(most_ratings) - in_double;
  weights_.assign(in_double, 1.0);
  coefficients_.assign(in_double, 0.0);
  zeros_.assign(in_double, 0.0);
  single_weights_.assign(in_single, 1.0F);
  single_coefficients_.assign(in_single, 0.0F);
  if (!problem.single_precision) return;
  vector_.resize(at(padded_single(problem.rank)));
  scratch_.resize(vector_.size());
}

void RatingProducts::weigh(std::span<const double> ratings) {
  count_ = static_cast<Index>(ratings.size());
  if (problem_.single_precision) return weigh_single(ratings);
  for (std::size_t q = 0; q < ratings.size(); ++q) {
    if (!problem_.implicit_prefs) {
      coefficients_[q] = ratings[q];  // weights are 1
      continue;
    }
    weights_[q] = problem_.alpha * std::fabs(ratings[q]);
    coefficients_[q] = ratings[q] > 0 ? 1.0 + weights_[q] : 0.0;
  }
}

void RatingProducts::weigh_single(std::span<const double> ratings) {
  const double largest = largest_finite(ratings);
  if (!problem_.implicit_prefs) {
    coefficient_scale_ = scale_to_one(largest);
    for (std::size_t q = 0; q < ratings.size(); ++q)
      single_coefficients_[q] = static_cast<float>(ratings[q] * coefficient_scale_);
    return;
  }
  weight_scale_ = scale_to_one(problem_.alpha * largest);
  coefficient_scale_ = scale_to_one(1 + problem_.alpha * largest);
  weigh_ratings(ratings, problem_.alpha, weight_scale_, coefficient_scale_, single_weights_.data(),
                single_coefficients_.data());
}

void RatingProducts::add_product(const Pass& pass, const ProductVector& x, double* out) {
  const auto& gathered = pass.gathered;
  if (!problem_.single_precision)
    return add_normal_products({gathered.rows.data(), problem_.rank, pass.which, count_}, weights_.data(),
                               zeros_.data(), x.exact, out);
  const double scale = weight_scale_ * gathered.scale * x.scale;
  const SingleRows rows{gathered.single_rows.data(), problem_.rank, count_, pass.which};
  add_single_normal_products(rows, {single_weights_.data()}, {gathered.single_rows.data(), pass.next},
                             x.rounded.data(), 1 / scale / gathered.scale, scratch_.data(), out);
}

void RatingProducts::add_residual(const Pass& pass, const ProductVector& x, double* out) {
  const auto& gathered = pass.gathered;
  if (!problem_.single_precision)
    return add_normal_products({gathered.rows.data(), problem_.rank, pass.which, count_}, weights_.data(),
                               coefficients_.data(), x.exact, out);
  // c and w (y·x) are added as floats: both scaled by what the larger of the two needs.
  const double of_products = weight_scale_ * gathered.scale * x.scale;
  const double scale = std::min(of_products, coefficient_scale_);
  round_scaled({x.exact, at(problem_.rank)}, x.scale * (scale / of_products), vector_.data());
  const auto coefficient_unit = static_cast<float>(scale / coefficient_scale_);
  add_single_normal_products({gathered.single_rows.data(), problem_.rank, count_, pass.which},
                             {single_weights_.data(), single_coefficients_.data(), coefficient_unit}, {},
                             vector_.data(), 1 / scale / gathered.scale, scratch_.data(), out);
}

}  // namespace firesteel
