// SPDX-License-Identifier: Apache-2.0
#include "firesteel/linalg/factor_kernels.hpp"

#include <algorithm>
#include <cstddef>

#include "firesteel/linalg/simd.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "firesteel/linalg/factor_kernels.cpp"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>

#ifndef FIRESTEEL_FACTOR_KERNELS_CONSTANTS
#define FIRESTEEL_FACTOR_KERNELS_CONSTANTS
namespace firesteel {
constexpr std::size_t kVirtualLanes = 8;
constexpr std::size_t kBatch = 32;            // rows gathered at a time: they stay in the first cache
constexpr std::size_t kPrefetchDistance = 8;  // rows ahead of the copy
constexpr std::size_t kLineDoubles = 8;
}  // namespace firesteel
#endif

HWY_BEFORE_NAMESPACE();
namespace firesteel::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Tag = hn::CappedTag<double, kVirtualLanes>;
#if HWY_TARGET == HWY_AVX3
constexpr std::size_t kTileLeft = 8;  // 8 x 2 of 32 registers hold sums
#else
constexpr std::size_t kTileLeft = 4;  // 4 x 2 of 16 registers
#endif

/// Operands of a batch: `count` rows of each side.
struct Operands {
  const double* left;
  std::size_t left_stride;
  const double* right;
  std::size_t stride;
  std::size_t count;
};

/// sums[row … row + R) x [column … column + V vectors) += Σ_q left_q[row + r]·right_q[column …].
template <std::size_t R, std::size_t V>
HWY_INLINE void add_tile(const Operands& operands, std::size_t row, std::size_t column, double* sums) {
  const Tag d;
  const std::size_t width = hn::Lanes(d);
  hn::Vec<Tag> sum[R][V];
#pragma GCC unroll 8
  for (std::size_t r = 0; r < R; ++r)
#pragma GCC unroll 2
    for (std::size_t v = 0; v < V; ++v)
      sum[r][v] = hn::Load(d, sums + (row + r) * operands.stride + column + v * width);
  const double* left = operands.left + row;
  const double* right = operands.right + column;
  for (std::size_t q = 0; q < operands.count; ++q) {
    hn::Vec<Tag> y[V];
#pragma GCC unroll 2
    for (std::size_t v = 0; v < V; ++v) y[v] = hn::Load(d, right + v * width);
#pragma GCC unroll 8
    for (std::size_t r = 0; r < R; ++r) {
      const auto factor = hn::Set(d, left[r]);
#pragma GCC unroll 2
      for (std::size_t v = 0; v < V; ++v) sum[r][v] = hn::MulAdd(factor, y[v], sum[r][v]);
    }
    left += operands.left_stride;
    right += operands.stride;
  }
#pragma GCC unroll 8
  for (std::size_t r = 0; r < R; ++r)
#pragma GCC unroll 2
    for (std::size_t v = 0; v < V; ++v)
      hn::Store(sum[r][v], d, sums + (row + r) * operands.stride + column + v * width);
}

/// Rows [row, rows) of the sums in groups of R, what is left over in smaller groups.
template <std::size_t R>
HWY_INLINE void add_row_groups(const Operands& operands, std::size_t row, std::size_t rows, double* sums) {
  const Tag d;
  const std::size_t width = hn::Lanes(d);
  for (; row + R <= rows; row += R) {
    const std::size_t end = std::min(operands.stride, (row + R + width - 1) / width * width);
    std::size_t column = 0;
    for (; column + 2 * width <= end; column += 2 * width) add_tile<R, 2>(operands, row, column, sums);
    if (column < end) add_tile<R, 1>(operands, row, column, sums);
  }
  if constexpr (R > 1) add_row_groups<R / 2>(operands, row, rows, sums);
}

void add_batch(const double* factors, const std::int32_t* which, std::size_t total, std::size_t done,
               const double* weights, const double* coefficients, std::size_t rank, std::size_t stride,
               std::size_t left_stride, double* left, double* right, double* sums) {
  const Tag d;
  const std::size_t width = hn::Lanes(d);
  const std::size_t count = std::min(kBatch, total - done);
  for (std::size_t q = 0; q < count; ++q) {
    if (done + q + kPrefetchDistance < total) {
      const double* ahead = factors + static_cast<std::size_t>(which[done + q + kPrefetchDistance]) * stride;
      for (std::size_t j = 0; j < stride; j += kLineDoubles) hwy::Prefetch(ahead + j);
    }
    const double* source = factors + static_cast<std::size_t>(which[done + q]) * stride;
    const auto weight = hn::Set(d, weights != nullptr ? weights[done + q] : 1.0);
    for (std::size_t j = 0; j < stride; j += width) {
      const auto y = hn::Load(d, source + j);
      hn::Store(y, d, right + q * stride + j);
      hn::Store(hn::Mul(weight, y), d, left + q * left_stride + j);
    }
    left[q * left_stride + rank] = coefficients != nullptr ? coefficients[done + q] : 0.0;
  }
  add_row_groups<kTileLeft>({left, left_stride, right, stride, count}, 0,
                            coefficients != nullptr ? rank + 1 : rank, sums);
}

void products_kernel(const double* factors, std::size_t stride, const std::int32_t* which, std::size_t count,
                     const double* x, double* products) {
  const Tag d;
  const std::size_t width = hn::Lanes(d);
  HWY_ALIGN double sum[kVirtualLanes];
  for (std::size_t q = 0; q < count; ++q) {
    const double* y = factors + static_cast<std::size_t>(which[q]) * stride;
    for (std::size_t part = 0; part < kVirtualLanes; part += width) {
      auto lanes = hn::Zero(d);
      for (std::size_t j = part; j < stride; j += kVirtualLanes)
        lanes = hn::MulAdd(hn::Load(d, y + j), hn::Load(d, x + j), lanes);
      hn::Store(lanes, d, sum + part);
    }
    products[q] = ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]));
  }
}

template <std::size_t U>
HWY_INLINE void score_users(const double* users, std::size_t user_stride, const double* tile,
                            std::size_t rank, double* scores) {
  const Tag d;
  const std::size_t width = hn::Lanes(d);
  constexpr std::size_t kRows = static_cast<std::size_t>(kTileRows);
  for (std::size_t row = 0; row < kRows; row += 2 * width) {
    hn::Vec<Tag> low[U], high[U];
#pragma GCC unroll 4
    for (std::size_t u = 0; u < U; ++u) low[u] = high[u] = hn::Zero(d);
    for (std::size_t j = 0; j < rank; ++j) {
      const auto items_low = hn::Load(d, tile + j * kRows + row);
      const auto items_high = hn::Load(d, tile + j * kRows + row + width);
#pragma GCC unroll 4
      for (std::size_t u = 0; u < U; ++u) {
        const auto factor = hn::Set(d, users[u * user_stride + j]);
        low[u] = hn::MulAdd(factor, items_low, low[u]);
        high[u] = hn::MulAdd(factor, items_high, high[u]);
      }
    }
#pragma GCC unroll 4
    for (std::size_t u = 0; u < U; ++u) {
      hn::Store(low[u], d, scores + u * kRows + row);
      hn::Store(high[u], d, scores + u * kRows + row + width);
    }
  }
}

void score_kernel(const double* users, std::size_t user_stride, std::size_t user_count, const double* tile,
                  std::size_t rank, double* scores) {
  if (user_count == 4) return score_users<4>(users, user_stride, tile, rank, scores);
  for (std::size_t u = 0; u < user_count; ++u)
    score_users<1>(users + u * user_stride, user_stride, tile, rank,
                   scores + u * static_cast<std::size_t>(kTileRows));
}

}  // namespace firesteel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace firesteel {

namespace {
HWY_EXPORT(add_batch);
HWY_EXPORT(products_kernel);
HWY_EXPORT(score_kernel);

std::size_t at(Index i) { return static_cast<std::size_t>(i); }
/// A row of the left operand holds the factors and one more number.
Index left_stride(Index rank) { return padded_rank(rank + 1); }
}  // namespace

NormalEquations::NormalEquations(Index rank)
    : rank_(rank), left_(kBatch * at(left_stride(rank))), right_(kBatch * at(padded_rank(rank))) {
  select_simd();
}

void NormalEquations::add(const double* factors, std::span<const std::int32_t> which,
                          std::span<const double> weights, std::span<const double> coefficients,
                          double* sums) {
  for (std::size_t done = 0; done < which.size(); done += kBatch) HWY_DYNAMIC_DISPATCH(add_batch)
  (factors, which.data(), which.size(), done, weights.empty() ? nullptr : weights.data(),
   coefficients.empty() ? nullptr : coefficients.data(), at(rank_), at(stride()), at(left_stride(rank_)),
   left_.data(), right_.data(), sums);
}

void gathered_products(const double* factors, Index rank, std::span<const std::int32_t> which,
                       const double* x, double* products) {
  select_simd();
  HWY_DYNAMIC_DISPATCH(products_kernel)
  (factors, at(padded_rank(rank)), which.data(), which.size(), x, products);
}

void score_tile(const double* users, Index user_stride, Index user_count, const double* tile, Index rank,
                double* scores) {
  select_simd();
  HWY_DYNAMIC_DISPATCH(score_kernel)
  (users, at(user_stride), at(user_count), tile, at(rank), scores);
}

}  // namespace firesteel
#endif
