// SPDX-License-Identifier: Apache-2.0
#include "firesteel/algorithms/als_loss.hpp"

#include <algorithm>
#include <cmath>

#include "firesteel/linalg/factor_kernels.hpp"
#include "firesteel/linalg/single_operator.hpp"
#include "firesteel/linalg/single_products.hpp"
#include "firesteel/linalg/vector_kernels.hpp"

namespace firesteel {

namespace {

constexpr std::size_t at(Index i) { return static_cast<std::size_t>(i); }

}  // namespace

RatingLoss::RatingLoss(const RatingProblem& problem)
    : problem_(problem),
      x_(at(problem.single_precision ? 0 : padded_rank(problem.rank))),
      single_x_(at(problem.single_precision ? padded_single(problem.rank) : 0)),
      products_(at(kRatingChunk)),
      single_products_(at(problem.single_precision ? kRatingChunk : 0)) {}

void RatingLoss::begin(std::span<const double> x, double scale) {
  if (!problem_.single_precision) {
    std::copy(x.begin(), x.end(), x_.begin());
    return;
  }
  const double own_scale = scale_to_one(largest_finite(x));
  round_scaled(x, own_scale, single_x_.data());
  unit_ = 1 / own_scale / scale;
}

double RatingLoss::add(const GatheredFactors& gathered, std::span<const std::int32_t> which,
                       std::span<const double> ratings, std::span<const std::int32_t> next, double loss) {
  for (std::size_t begin = 0; begin < ratings.size(); begin += at(kRatingChunk)) {
    const std::size_t length = std::min(at(kRatingChunk), ratings.size() - begin);
    const auto part = which.subspan(begin, length);
    if (problem_.single_precision) {
      single_dots({gathered.single_rows.data(), problem_.rank, static_cast<Index>(length), part},
                  single_x_.data(), single_products_.data());
      for (std::size_t q = 0; q < length; ++q)
        products_[q] = static_cast<double>(single_products_[q]) * unit_;
    } else {
      const auto behind = which.subspan(begin + length);
      gathered_products(gathered.rows.data(), problem_.rank, part, x_.data(), products_.data(),
                        behind.empty() ? next : behind);
    }
    loss = add_products(ratings.subspan(begin, length), loss);
  }
  return loss;
}

double RatingLoss::add_products(std::span<const double> ratings, double loss) const {
  for (std::size_t q = 0; q < ratings.size(); ++q) {
    const double rating = ratings[q];
    const double product = products_[q];
    if (problem_.implicit_prefs) {
      const double difference = (rating > 0 ? 1.0 : 0.0) - product;
      loss += (1.0 + problem_.alpha * std::fabs(rating)) * difference * difference - product * product;
    } else {
      loss += (rating - product) * (rating - product);
    }
  }
  return loss;
}

}  // namespace firesteel
