// SPDX-License-Identifier: Apache-2.0
// What single_operator.hpp has beside passes over rows: products with a matrix, weights of ratings.
#include <algorithm>
#include <cstddef>

#include "firesteel/linalg/simd.hpp"
#include "firesteel/linalg/single_operator.hpp"
#include "firesteel/linalg/single_products.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "firesteel/linalg/single_gram.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>

#include "firesteel/linalg/simd_halves-inl.hpp"

#ifndef FIRESTEEL_SINGLE_GRAM_CONSTANTS
#define FIRESTEEL_SINGLE_GRAM_CONSTANTS
namespace firesteel {
constexpr std::size_t kGramRun = 32;  // rows that are summed in float
}  // namespace firesteel
#endif

HWY_BEFORE_NAMESPACE();
namespace firesteel::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// out[j … j + V vectors) += unit · Σ_i x[i]·gram[i][j …] for each of N products.
template <std::size_t N, std::size_t V>
HWY_INLINE void add_gram_columns(const float* gram, std::size_t rank, std::size_t stride,
                                 const SingleGramProduct* products, std::size_t j) {
  const SingleTag d;
  const std::size_t width = hn::Lanes(d);
  const float* x[N];
  for (std::size_t n = 0; n < N; ++n) x[n] = products[n].x;
  for (std::size_t first = 0; first < rank; first += kGramRun) {
    SingleVector sum[N][V];
#pragma GCC unroll 4
    for (std::size_t n = 0; n < N; ++n)
#pragma GCC unroll 8
      for (std::size_t v = 0; v < V; ++v) sum[n][v] = hn::Zero(d);
    for (std::size_t i = first; i < std::min(rank, first + kGramRun); ++i) {
      SingleVector row[V];
#pragma GCC unroll 8
      for (std::size_t v = 0; v < V; ++v) row[v] = hn::Load(d, gram + i * stride + j + v * width);
#pragma GCC unroll 4
      for (std::size_t n = 0; n < N; ++n) {
        const auto factor = hn::Set(d, x[n][i]);
#pragma GCC unroll 8
        for (std::size_t v = 0; v < V; ++v) sum[n][v] = hn::MulAdd(factor, row[v], sum[n][v]);
      }
    }
#pragma GCC unroll 4
    for (std::size_t n = 0; n < N; ++n)
#pragma GCC unroll 8
      for (std::size_t v = 0; v < V; ++v)
        add_promoted(sum[n][v], products[n].unit, products[n].out + j + v * width);
  }
}

#if HWY_TARGET == HWY_AVX3
constexpr std::size_t kGramColumns = 4;  // vectors of columns: 4 x 4 of 32 registers hold sums
#else
constexpr std::size_t kGramColumns = 2;  // 4 x 2 of 16 registers
#endif

template <std::size_t N>
void gram_products(const float* gram, std::size_t rank, std::size_t stride,
                   const SingleGramProduct* products) {
  const std::size_t width = hn::Lanes(SingleTag());
  std::size_t j = 0;
  for (; j + kGramColumns * width <= stride; j += kGramColumns * width)
    add_gram_columns<N, kGramColumns>(gram, rank, stride, products, j);
  for (; j < stride; j += width) add_gram_columns<N, 1>(gram, rank, stride, products, j);
}

void single_gram_kernel(const float* gram, std::size_t rank, std::size_t stride,
                        const SingleGramProduct* products, std::size_t count) {
  static_assert(kGramVectors == 4);
  if (count == 4) return gram_products<4>(gram, rank, stride, products);
  if (count >= 2) {
    gram_products<2>(gram, rank, stride, products);
    products += 2;
    count -= 2;
  }
  if (count == 1) gram_products<1>(gram, rank, stride, products);
}

using RatingTag = hn::CappedTag<double, 8>;

/// Ratings [first, end), in steps of the tag's lanes as far as these reach; returns where that is.
template <class D>
HWY_INLINE std::size_t weigh(D d, const double* ratings, std::size_t first, std::size_t end, double alpha,
                             double weight_scale, double coefficient_scale, float* weights,
                             float* coefficients) {
  const hn::Rebind<float, D> narrow;
  std::size_t q = first;
  for (; q + hn::Lanes(d) <= end; q += hn::Lanes(d)) {
    const auto rating = hn::LoadU(d, ratings + q);
    const auto weight = hn::Mul(hn::Set(d, alpha), hn::Abs(rating));
    const auto coefficient =
        hn::IfThenElseZero(hn::Gt(rating, hn::Zero(d)), hn::Add(hn::Set(d, 1.0), weight));
    hn::StoreU(hn::DemoteTo(narrow, hn::Mul(weight, hn::Set(d, weight_scale))), narrow, weights + q);
    hn::StoreU(hn::DemoteTo(narrow, hn::Mul(coefficient, hn::Set(d, coefficient_scale))), narrow,
               coefficients + q);
  }
  return q;
}

void weigh_kernel(const double* ratings, std::size_t count, double alpha, double weight_scale,
                  double coefficient_scale, float* weights, float* coefficients) {
  const std::size_t done =
      weigh(RatingTag(), ratings, 0, count, alpha, weight_scale, coefficient_scale, weights, coefficients);
  weigh(hn::CappedTag<double, 1>(), ratings, done, count, alpha, weight_scale, coefficient_scale, weights,
        coefficients);
}

}  // namespace firesteel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace firesteel {

namespace {
HWY_EXPORT(single_gram_kernel);
HWY_EXPORT(weigh_kernel);

std::size_t at(Index i) { return static_cast<std::size_t>(i); }
}  // namespace

void add_single_gram_products(std::span<const float> gram, Index rank,
                              std::span<const SingleGramProduct> products) {
  select_simd();
  HWY_DYNAMIC_DISPATCH(single_gram_kernel)
  (gram.data(), at(rank), at(padded_single(rank)), products.data(), products.size());
}

void weigh_ratings(std::span<const double> ratings, double alpha, double weight_scale,
                   double coefficient_scale, float* weights, float* coefficients) {
  select_simd();
  HWY_DYNAMIC_DISPATCH(weigh_kernel)
  (ratings.data(), ratings.size(), alpha, weight_scale, coefficient_scale, weights, coefficients);
}

}  // namespace firesteel
#endif
