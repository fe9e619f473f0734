// SPDX-License-Identifier: Apache-2.0
#include "firesteel/linalg/normal_operator.hpp"

#include <algorithm>
#include <cstddef>

#include "firesteel/linalg/factor_kernels.hpp"
#include "firesteel/linalg/simd.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "firesteel/linalg/normal_operator.cpp"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>

#ifndef FIRESTEEL_NORMAL_OPERATOR_CONSTANTS
#define FIRESTEEL_NORMAL_OPERATOR_CONSTANTS
namespace firesteel {
constexpr std::size_t kOperatorLanes = 8;  // virtual lanes of a dot product
constexpr std::size_t kRowGroup = 8;       // rows whose dot products are folded together
constexpr std::size_t kRowsAhead = 32;     // that are brought nearer: about the latency of memory
constexpr std::size_t kLine = 8;           // doubles of a cache line
}  // namespace firesteel
#endif

HWY_BEFORE_NAMESPACE();
namespace firesteel::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using OperatorTag = hn::CappedTag<double, kOperatorLanes>;
using OperatorVector = hn::Vec<OperatorTag>;

#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX2
/// [a's low half + its high half, b's low half + its high half]
HWY_INLINE OperatorVector fold_halves(OperatorVector a, OperatorVector b) {
  const OperatorTag d;
  return hn::Add(hn::ConcatLowerLower(d, b, a), hn::ConcatUpperUpper(d, b, a));
}
/// Pairs of lanes: the first of a pair from a, the second from b.
HWY_INLINE OperatorVector fold_lanes(OperatorVector a, OperatorVector b) {
  const OperatorTag d;
  return hn::Add(hn::InterleaveLower(d, a, b), hn::InterleaveUpper(d, a, b));
}
#endif

#if HWY_TARGET == HWY_AVX3
/// Pairs of blocks of two lanes: the first of a pair from a, the second from b.
HWY_INLINE OperatorVector fold_blocks(OperatorVector a, OperatorVector b) {
  return hn::Add(hn::OddEvenBlocks(hn::SwapAdjacentBlocks(b), a),
                 hn::OddEvenBlocks(b, hn::SwapAdjacentBlocks(a)));
}

/// dots[r] = rows[r]·x. Folding is a transposition: row r comes to stand in lane r.
HWY_INLINE void group_dots(const double* const* rows, const double* x, std::size_t stride, double* dots) {
  const OperatorTag d;
  OperatorVector sum[kRowGroup];
#pragma GCC unroll 8
  for (std::size_t r = 0; r < kRowGroup; ++r) sum[r] = hn::Zero(d);
  for (std::size_t j = 0; j < stride; j += kOperatorLanes) {
    const auto at_j = hn::Load(d, x + j);
#pragma GCC unroll 8
    for (std::size_t r = 0; r < kRowGroup; ++r) sum[r] = hn::MulAdd(hn::Load(d, rows[r] + j), at_j, sum[r]);
  }
  const auto even = fold_blocks(fold_halves(sum[0], sum[4]), fold_halves(sum[2], sum[6]));
  const auto odd = fold_blocks(fold_halves(sum[1], sum[5]), fold_halves(sum[3], sum[7]));
  hn::Store(fold_lanes(even, odd), d, dots);
}
#elif HWY_TARGET == HWY_AVX2
HWY_INLINE void group_dots(const double* const* rows, const double* x, std::size_t stride, double* dots) {
  const OperatorTag d;
  constexpr std::size_t kHalf = kOperatorLanes / 2;
  for (std::size_t first = 0; first < kRowGroup; first += kHalf) {
    OperatorVector low[kHalf], high[kHalf];
#pragma GCC unroll 4
    for (std::size_t r = 0; r < kHalf; ++r) low[r] = high[r] = hn::Zero(d);
    for (std::size_t j = 0; j < stride; j += kOperatorLanes) {
      const auto x_low = hn::Load(d, x + j);
      const auto x_high = hn::Load(d, x + j + kHalf);
#pragma GCC unroll 4
      for (std::size_t r = 0; r < kHalf; ++r) {
        low[r] = hn::MulAdd(hn::Load(d, rows[first + r] + j), x_low, low[r]);
        high[r] = hn::MulAdd(hn::Load(d, rows[first + r] + j + kHalf), x_high, high[r]);
      }
    }
    const auto even = fold_halves(hn::Add(low[0], high[0]), hn::Add(low[2], high[2]));
    const auto odd = fold_halves(hn::Add(low[1], high[1]), hn::Add(low[3], high[3]));
    hn::Store(fold_lanes(even, odd), d, dots + first);
  }
}
#endif

/// x·y in the lanes' order.
HWY_INLINE double lane_dot(const double* x, const double* y, std::size_t stride) {
  const OperatorTag d;
  HWY_ALIGN double sum[kOperatorLanes];
  for (std::size_t part = 0; part < kOperatorLanes; part += hn::Lanes(d)) {
    auto lanes = hn::Zero(d);
    for (std::size_t j = part; j < stride; j += kOperatorLanes)
      lanes = hn::MulAdd(hn::Load(d, x + j), hn::Load(d, y + j), lanes);
    hn::Store(lanes, d, sum + part);
  }
  return ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]));
}

#if HWY_TARGET != HWY_AVX3 && HWY_TARGET != HWY_AVX2
HWY_INLINE void group_dots(const double* const* rows, const double* x, std::size_t stride, double* dots) {
  for (std::size_t r = 0; r < kRowGroup; ++r) dots[r] = lane_dot(rows[r], x, stride);
}
#endif

/// out[j … j + V vectors) += Σ_r scale[r]·rows[r][j …], r ascending.
template <std::size_t V>
HWY_INLINE void add_scaled_rows(const double* const* rows, const OperatorVector* scale, std::size_t j,
                                double* out) {
  const OperatorTag d;
  const std::size_t width = hn::Lanes(d);
  OperatorVector sum[V];
#pragma GCC unroll 4
  for (std::size_t v = 0; v < V; ++v) sum[v] = hn::Load(d, out + j + v * width);
#pragma GCC unroll 8
  for (std::size_t r = 0; r < kRowGroup; ++r)
#pragma GCC unroll 4
    for (std::size_t v = 0; v < V; ++v)
      sum[v] = hn::MulAdd(scale[r], hn::Load(d, rows[r] + j + v * width), sum[v]);
#pragma GCC unroll 4
  for (std::size_t v = 0; v < V; ++v) hn::Store(sum[v], d, out + j + v * width);
}

/// Rows that are worked on together, and what each is scaled by.
struct RowGroup {
  const double* rows[kRowGroup];
  HWY_ALIGN double scales[kRowGroup];
};

/// out += Σ_r scales[r]·rows[r].
HWY_INLINE void add_scaled_group(const RowGroup& group, std::size_t stride, double* out) {
  const OperatorTag d;
  const std::size_t width = hn::Lanes(d);
  OperatorVector scale[kRowGroup];
#pragma GCC unroll 8
  for (std::size_t r = 0; r < kRowGroup; ++r) scale[r] = hn::Set(d, group.scales[r]);
  std::size_t j = 0;
  for (; j + 4 * width <= stride; j += 4 * width) add_scaled_rows<4>(group.rows, scale, j, out);
  for (; j < stride; j += width) add_scaled_rows<1>(group.rows, scale, j, out);
}

/// scales[r] = c + w·(row·x) of rows [q, q + kRowGroup). A short group is filled up with rows that are scaled
/// by 0, which changes no bit.
HWY_INLINE void scale_group(const double* factors, std::size_t stride, const std::int32_t* which,
                            std::size_t length, const double* weights, const double* coefficients,
                            const double* x, RowGroup& group) {
  HWY_ALIGN double dots[kRowGroup];
  for (std::size_t r = 0; r < kRowGroup; ++r)
    group.rows[r] = factors + static_cast<std::size_t>(which[r < length ? r : 0]) * stride;
  group_dots(group.rows, x, stride, dots);
  const OperatorTag d;
  const hn::CappedTag<double, 1> one;
  if (length == kRowGroup) {
    for (std::size_t r = 0; r < kRowGroup; r += hn::Lanes(d))
      hn::Store(hn::MulAdd(hn::LoadU(d, weights + r), hn::Load(d, dots + r), hn::LoadU(d, coefficients + r)),
                d, group.scales + r);
    return;
  }
  std::fill_n(group.scales, kRowGroup, 0.0);
  for (std::size_t r = 0; r < length; ++r)
    hn::StoreU(
        hn::MulAdd(hn::LoadU(one, weights + r), hn::LoadU(one, dots + r), hn::LoadU(one, coefficients + r)),
        one, group.scales + r);
}

#if HWY_TARGET == HWY_AVX3
/// The sum of all lanes, in every lane.
HWY_INLINE OperatorVector folded(OperatorVector v) {
  const OperatorTag d;
  v = hn::Add(v, hn::ConcatLowerUpper(d, v, v));
  v = hn::Add(v, hn::SwapAdjacentBlocks(v));
  return hn::Add(v, hn::Shuffle01(v));
}

/// Rows of V vectors, one after another, each read once: x, a row and the sums stay in registers. kAhead:
/// whether rows behind are brought nearer.
template <std::size_t V, bool kAhead>
void narrow_products(const double* factors, const std::int32_t* which, std::size_t count,
                     std::size_t available, const double* weights, const double* coefficients,
                     const double* x, double* out) {
  const OperatorTag d;
  OperatorVector at_x[V], sum[V];
#pragma GCC unroll 8
  for (std::size_t v = 0; v < V; ++v) {
    at_x[v] = hn::Load(d, x + v * kOperatorLanes);
    sum[v] = hn::Load(d, out + v * kOperatorLanes);
  }
  for (std::size_t q = 0; q < count; ++q) {
    const double* y = factors + static_cast<std::size_t>(which[q]) * V * kOperatorLanes;
    if constexpr (kAhead) {
      const double* ahead =
          factors +
          static_cast<std::size_t>(which[std::min(q + kRowsAhead, available - 1)]) * V * kOperatorLanes;
#pragma GCC unroll 8
      for (std::size_t v = 0; v < V; ++v) hwy::Prefetch(ahead + v * kOperatorLanes);
    }
    OperatorVector row[V];
    auto dot = hn::Zero(d);
#pragma GCC unroll 8
    for (std::size_t v = 0; v < V; ++v) {
      row[v] = hn::Load(d, y + v * kOperatorLanes);
      dot = hn::MulAdd(row[v], at_x[v], dot);
    }
    const auto scale = hn::MulAdd(hn::Set(d, weights[q]), folded(dot), hn::Set(d, coefficients[q]));
#pragma GCC unroll 8
    for (std::size_t v = 0; v < V; ++v) sum[v] = hn::MulAdd(scale, row[v], sum[v]);
  }
#pragma GCC unroll 8
  for (std::size_t v = 0; v < V; ++v) hn::Store(sum[v], d, out + v * kOperatorLanes);
}

/// False where rows are wider than registers allow.
template <std::size_t V, class... Arguments>
bool try_narrow_products(std::size_t stride, bool ahead, const Arguments&... arguments) {
  if constexpr (V > 8) {
    return false;
  } else {
    if (stride != V * kOperatorLanes) return try_narrow_products<V + 1>(stride, ahead, arguments...);
    if (ahead)
      narrow_products<V, true>(arguments...);
    else
      narrow_products<V, false>(arguments...);
    return true;
  }
}
#endif

void normal_products_kernel(const double* factors, std::size_t stride, const std::int32_t* which,
                            std::size_t count, std::size_t available, const double* weights,
                            const double* coefficients, const double* x, double* out) {
#if HWY_TARGET == HWY_AVX3
  if (try_narrow_products<1>(stride, available > count, factors, which, count, available, weights,
                             coefficients, x, out))
    return;
#endif
  // A group's dot products are begun before the rows of the group in front are added up: the processor has
  // work while the folded sums are on their way.
  RowGroup groups[2];
  std::size_t current = 0;
  for (std::size_t q = 0; q < count; q += kRowGroup) {
    const std::size_t length = std::min(kRowGroup, count - q);
    for (std::size_t r = q + kRowsAhead; r < std::min(available, q + kRowsAhead + length); ++r)
      for (std::size_t j = 0; j < stride; j += kLine)
        hwy::Prefetch(factors + static_cast<std::size_t>(which[r]) * stride + j);
    current = 1 - current;
    scale_group(factors, stride, which + q, length, weights + q, coefficients + q, x, groups[current]);
    if (q > 0) add_scaled_group(groups[1 - current], stride, out);
  }
  if (count > 0) add_scaled_group(groups[current], stride, out);
}

/// out[j … j + V vectors) = shift·x[j …] + Σ_i x[i]·gram[i][j …].
template <std::size_t V>
HWY_INLINE void gram_columns(const double* gram, std::size_t rank, std::size_t stride, double shift,
                             const double* x, std::size_t j, double* out) {
  const OperatorTag d;
  const std::size_t width = hn::Lanes(d);
  OperatorVector sum[V];
#pragma GCC unroll 8
  for (std::size_t v = 0; v < V; ++v) sum[v] = hn::Mul(hn::Set(d, shift), hn::Load(d, x + j + v * width));
  for (std::size_t i = 0; gram != nullptr && i < rank; ++i) {
    const auto factor = hn::Set(d, x[i]);
#pragma GCC unroll 8
    for (std::size_t v = 0; v < V; ++v)
      sum[v] = hn::MulAdd(factor, hn::Load(d, gram + i * stride + j + v * width), sum[v]);
  }
#pragma GCC unroll 8
  for (std::size_t v = 0; v < V; ++v) hn::Store(sum[v], d, out + j + v * width);
}

void gram_product_kernel(const double* gram, std::size_t rank, std::size_t stride, double shift,
                         const double* x, double* out) {
  const std::size_t width = hn::Lanes(OperatorTag());
  std::size_t j = 0;
  for (; j + 8 * width <= stride; j += 8 * width) gram_columns<8>(gram, rank, stride, shift, x, j, out);
  for (; j + 2 * width <= stride; j += 2 * width) gram_columns<2>(gram, rank, stride, shift, x, j, out);
  for (; j < stride; j += width) gram_columns<1>(gram, rank, stride, shift, x, j, out);
}

double dot_kernel(std::size_t stride, const double* x, const double* y) { return lane_dot(x, y, stride); }

double step_kernel(std::size_t stride, double alpha, const double* direction, const double* product,
                   double* x, double* residual) {
  const OperatorTag d;
  const auto factor = hn::Set(d, alpha);
  for (std::size_t j = 0; j < stride; j += hn::Lanes(d)) {
    hn::Store(hn::MulAdd(factor, hn::Load(d, direction + j), hn::Load(d, x + j)), d, x + j);
    hn::Store(hn::NegMulAdd(factor, hn::Load(d, product + j), hn::Load(d, residual + j)), d, residual + j);
  }
  return lane_dot(residual, residual, stride);
}

void turn_kernel(std::size_t stride, double beta, const double* residual, double* direction) {
  const OperatorTag d;
  const auto factor = hn::Set(d, beta);
  for (std::size_t j = 0; j < stride; j += hn::Lanes(d))
    hn::Store(hn::MulAdd(factor, hn::Load(d, direction + j), hn::Load(d, residual + j)), d, direction + j);
}

}  // namespace firesteel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace firesteel {

namespace {
HWY_EXPORT(normal_products_kernel);
HWY_EXPORT(gram_product_kernel);
HWY_EXPORT(dot_kernel);
HWY_EXPORT(step_kernel);
HWY_EXPORT(turn_kernel);

std::size_t stride_of(Index rank) { return static_cast<std::size_t>(padded_rank(rank)); }
}  // namespace

void add_normal_products(const GatheredRows& rows, const double* weights, const double* coefficients,
                         const double* x, double* out) {
  select_simd();
  HWY_DYNAMIC_DISPATCH(normal_products_kernel)
  (rows.factors, stride_of(rows.rank), rows.which.data(), static_cast<std::size_t>(rows.count),
   rows.which.size(), weights, coefficients, x, out);
}

void shifted_gram_product(std::span<const double> gram, Index rank, double shift, const double* x,
                          double* out) {
  select_simd();
  HWY_DYNAMIC_DISPATCH(gram_product_kernel)
  (gram.empty() ? nullptr : gram.data(), static_cast<std::size_t>(rank), stride_of(rank), shift, x, out);
}

double factor_dot(Index rank, const double* x, const double* y) {
  select_simd();
  return HWY_DYNAMIC_DISPATCH(dot_kernel)(stride_of(rank), x, y);
}

double step_along(Index rank, double alpha, const double* direction, const double* product, double* x,
                  double* residual) {
  select_simd();
  return HWY_DYNAMIC_DISPATCH(step_kernel)(stride_of(rank), alpha, direction, product, x, residual);
}

void turn_direction(Index rank, double beta, const double* residual, double* direction) {
  select_simd();
  HWY_DYNAMIC_DISPATCH(turn_kernel)(stride_of(rank), beta, residual, direction);
}

}  // namespace firesteel
#endif
