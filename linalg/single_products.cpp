// SPDX-License-Identifier: Apache-2.0
#include "firesteel/linalg/single_products.hpp"

#include <algorithm>
#include <cstddef>

#include "firesteel/linalg/simd.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "firesteel/linalg/single_products.cpp"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>

#include "firesteel/linalg/simd_halves-inl.hpp"

#ifndef FIRESTEEL_SINGLE_PRODUCTS_CONSTANTS
#define FIRESTEEL_SINGLE_PRODUCTS_CONSTANTS
namespace firesteel {
constexpr std::size_t kGathered = 64;         // rows gathered at a time: they stay in the first cache
constexpr std::size_t kPrefetchDistance = 8;  // rows ahead of the copy
constexpr std::size_t kLineFloats = 16;
}  // namespace firesteel
#endif

HWY_BEFORE_NAMESPACE();
namespace firesteel::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET == HWY_AVX3
constexpr std::size_t kTileLeft = 8;  // 8 x 2 of 32 registers hold sums
#else
constexpr std::size_t kTileLeft = 4;  // 4 x 2 of 16 registers
#endif

struct Operands {
  const float* left;
  std::size_t left_stride;
  const float* right;
  std::size_t stride;
  std::size_t rows;
};

/// sums += v, a register of floats, in double.
HWY_INLINE void add_to_doubles(hn::Vec<SingleTag> v, double* sums) {
  const SinglePart d;
  const std::size_t width = hn::Lanes(d);
  hn::Store(hn::Add(hn::Load(d, sums), promote_lower(v)), d, sums);
  hn::Store(hn::Add(hn::Load(d, sums + width), promote_upper(v)), d, sums + width);
}

/// sums[row … row + R) x [column … column + V vectors) += products, 32 rows after 32 rows.
template <std::size_t R, std::size_t V>
HWY_INLINE void add_tile(const Operands& operands, std::size_t row, std::size_t column, double* sums) {
  const SingleTag f;
  const std::size_t width = hn::Lanes(f);
  const float* left = operands.left + row;
  const float* right = operands.right + column;
  for (std::size_t first = 0; first < operands.rows; first += kTileRows) {
    hn::Vec<SingleTag> sum[R][V];
#pragma GCC unroll 8
    for (std::size_t r = 0; r < R; ++r)
#pragma GCC unroll 2
      for (std::size_t v = 0; v < V; ++v) sum[r][v] = hn::Zero(f);
    const std::size_t end = std::min<std::size_t>(operands.rows, first + kTileRows);
    for (std::size_t q = first; q < end; ++q) {
      hn::Vec<SingleTag> y[V];
#pragma GCC unroll 2
      for (std::size_t v = 0; v < V; ++v) y[v] = hn::Load(f, right + v * width);
#pragma GCC unroll 8
      for (std::size_t r = 0; r < R; ++r) {
        const auto factor = hn::Set(f, left[r]);
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
        add_to_doubles(sum[r][v], sums + (row + r) * operands.stride + column + v * width);
  }
}

/// Rows [row, height) of the sums in groups of R, what is left over in smaller groups.
template <std::size_t R>
HWY_INLINE void add_row_groups(const Operands& operands, std::size_t row, std::size_t height, double* sums) {
  const std::size_t width = hn::Lanes(SingleTag());
  for (; row + R <= height; row += R) {
    const std::size_t end = std::min(operands.stride, (row + R + width - 1) / width * width);
    std::size_t column = 0;
    for (; column + 2 * width <= end; column += 2 * width) add_tile<R, 2>(operands, row, column, sums);
    if (column < end) add_tile<R, 1>(operands, row, column, sums);
  }
  if constexpr (R > 1) add_row_groups<R / 2>(operands, row, height, sums);
}

void products_kernel(const float* left, std::size_t left_stride, const float* right, std::size_t stride,
                     std::size_t rows, std::size_t height, double* sums) {
  add_row_groups<kTileLeft>({left, left_stride, right, stride, rows}, 0, height, sums);
}

/// Rows which[done … done + count) into the operands of a batch.
void gather_rows(const float* factors, const std::int32_t* which, std::size_t done, std::size_t count,
                 std::size_t total, const float* weights, const float* coefficients, std::size_t rank,
                 std::size_t stride, std::size_t left_stride, float* left, float* right) {
  const SingleTag f;
  const std::size_t width = hn::Lanes(f);
  for (std::size_t q = 0; q < count; ++q) {
    if (done + q + kPrefetchDistance < total) {
      const float* ahead = factors + static_cast<std::size_t>(which[done + q + kPrefetchDistance]) * stride;
      for (std::size_t j = 0; j < stride; j += kLineFloats) hwy::Prefetch(ahead + j);
    }
    const float* source = factors + static_cast<std::size_t>(which[done + q]) * stride;
    const auto weight = hn::Set(f, weights != nullptr ? weights[done + q] : 1.0F);
    for (std::size_t j = 0; j < stride; j += width) {
      const auto y = hn::Load(f, source + j);
      hn::Store(y, f, right + q * stride + j);
      hn::Store(hn::Mul(weight, y), f, left + q * left_stride + j);
    }
    left[q * left_stride + rank] = coefficients[done + q];
  }
}

}  // namespace firesteel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace firesteel {

namespace {
HWY_EXPORT(products_kernel);
HWY_EXPORT(gather_rows);

std::size_t at(Index i) { return static_cast<std::size_t>(i); }
/// A row of the left operand holds the factors and one more number.
Index left_stride(Index rank) { return padded_single(rank + 1); }
}  // namespace

void add_single_products(const SingleProducts& products, double* sums) {
  select_simd();
  HWY_DYNAMIC_DISPATCH(products_kernel)
  (products.left, at(products.left_stride), products.right, at(products.stride), at(products.rows),
   at(products.height), sums);
}

SingleNormalEquations::SingleNormalEquations(Index rank)
    : rank_(rank), left_(kGathered * at(left_stride(rank))), right_(kGathered * at(padded_single(rank))) {}

void SingleNormalEquations::add(const float* factors, std::span<const std::int32_t> which,
                                std::span<const float> weights, std::span<const float> coefficients,
                                double* sums) {
  select_simd();
  for (std::size_t done = 0; done < which.size(); done += kGathered) {
    const std::size_t count = std::min(kGathered, which.size() - done);
    HWY_DYNAMIC_DISPATCH(gather_rows)
    (factors, which.data(), done, count, which.size(), weights.empty() ? nullptr : weights.data(),
     coefficients.data(), at(rank_), at(stride()), at(left_stride(rank_)), left_.data(), right_.data());
    add_single_products(
        {left_.data(), left_stride(rank_), right_.data(), stride(), static_cast<Index>(count), rank_ + 1},
        sums);
  }
}

}  // namespace firesteel
#endif
