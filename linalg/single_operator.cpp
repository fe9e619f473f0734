// SPDX-License-Identifier: Apache-2.0
#include "firesteel/linalg/single_operator.hpp"

#include <algorithm>
#include <cstddef>

#include "firesteel/linalg/simd.hpp"
#include "firesteel/linalg/single_products.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "firesteel/linalg/single_operator.cpp"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>

#ifndef FIRESTEEL_SINGLE_OPERATOR_CONSTANTS
#define FIRESTEEL_SINGLE_OPERATOR_CONSTANTS
namespace firesteel {
constexpr std::size_t kSingleLanes = 16;      // virtual lanes of a dot product
constexpr std::size_t kSingleRun = 32;        // rows that are summed in float
constexpr std::size_t kSingleRowsAhead = 32;  // that are brought nearer: about the latency of memory

struct SingleOperands {
  const float* factors;
  std::size_t stride;
  const std::int32_t* which;
  std::size_t count;
  std::size_t available;
  const float* weights;
  const float* coefficients;
  const float* x;
  double unit;
};
}  // namespace firesteel
#endif

HWY_BEFORE_NAMESPACE();
namespace firesteel::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using SingleTag = hn::CappedTag<float, kSingleLanes>;
using SingleVector = hn::Vec<SingleTag>;

HWY_INLINE const float* row_of(const SingleOperands& operands, std::size_t q) {
  return operands.factors + static_cast<std::size_t>(operands.which[q]) * operands.stride;
}

/// out[0 … lanes) += unit · sum in double.
HWY_INLINE void flush(SingleVector sum, double unit, double* out) {
  const SingleTag d;
  const hn::CappedTag<double, 8> wide;
  const hn::Rebind<float, hn::CappedTag<double, 8>> narrow;
  HWY_ALIGN float values[kSingleLanes];
  hn::Store(sum, d, values);
  for (std::size_t j = 0; j < hn::Lanes(d); j += hn::Lanes(wide))
    hn::Store(hn::MulAdd(hn::Set(wide, unit), hn::PromoteTo(wide, hn::Load(narrow, values + j)),
                         hn::Load(wide, out + j)),
              wide, out + j);
}

#if HWY_TARGET == HWY_AVX3
/// The sum of all lanes by halves, in every lane.
HWY_INLINE SingleVector folded(SingleVector v) {
  const SingleTag d;
  v = hn::Add(v, hn::ConcatLowerUpper(d, v, v));
  v = hn::Add(v, hn::SwapAdjacentBlocks(v));
  v = hn::Add(v, hn::Shuffle1032(v));
  return hn::Add(v, hn::Shuffle2301(v));
}

/// Rows of V vectors, each read once: x, a row and the sums stay in registers.
template <std::size_t V, bool kAhead>
void narrow_products(const SingleOperands& operands, double* out) {
  const SingleTag d;
  SingleVector at_x[V];
#pragma GCC unroll 8
  for (std::size_t v = 0; v < V; ++v) at_x[v] = hn::Load(d, operands.x + v * kSingleLanes);
  for (std::size_t first = 0; first < operands.count; first += kSingleRun) {
    SingleVector sum[V];
#pragma GCC unroll 8
    for (std::size_t v = 0; v < V; ++v) sum[v] = hn::Zero(d);
    for (std::size_t q = first; q < std::min(operands.count, first + kSingleRun); ++q) {
      if constexpr (kAhead) {
        const float* ahead = row_of(operands, std::min(q + kSingleRowsAhead, operands.available - 1));
#pragma GCC unroll 8
        for (std::size_t v = 0; v < V; ++v) hwy::Prefetch(ahead + v * kSingleLanes);
      }
      const float* y = row_of(operands, q);
      SingleVector row[V];
      auto dot = hn::Zero(d);
#pragma GCC unroll 8
      for (std::size_t v = 0; v < V; ++v) {
        row[v] = hn::Load(d, y + v * kSingleLanes);
        dot = hn::MulAdd(row[v], at_x[v], dot);
      }
      const auto scale =
          hn::MulAdd(hn::Set(d, operands.weights[q]), folded(dot), hn::Set(d, operands.coefficients[q]));
#pragma GCC unroll 8
      for (std::size_t v = 0; v < V; ++v) sum[v] = hn::MulAdd(scale, row[v], sum[v]);
    }
#pragma GCC unroll 8
    for (std::size_t v = 0; v < V; ++v) flush(sum[v], operands.unit, out + v * kSingleLanes);
  }
}

/// False where rows are wider than registers allow.
template <std::size_t V>
bool try_narrow_products(const SingleOperands& operands, double* out) {
  if constexpr (V > 8) {
    return false;
  } else {
    if (operands.stride != V * kSingleLanes) return try_narrow_products<V + 1>(operands, out);
    if (operands.available > operands.count)
      narrow_products<V, true>(operands, out);
    else
      narrow_products<V, false>(operands, out);
    return true;
  }
}
#endif

HWY_INLINE float single_dot(const float* x, const float* y, std::size_t stride) {
  const SingleTag d;
  HWY_ALIGN float sum[kSingleLanes];
  for (std::size_t part = 0; part < kSingleLanes; part += hn::Lanes(d)) {
    auto lanes = hn::Zero(d);
    for (std::size_t j = part; j < stride; j += kSingleLanes)
      lanes = hn::MulAdd(hn::Load(d, x + j), hn::Load(d, y + j), lanes);
    hn::Store(lanes, d, sum + part);
  }
  for (std::size_t half = kSingleLanes / 2; half > 0; half /= 2)
    for (std::size_t lane = 0; lane < half; ++lane) sum[lane] += sum[lane + half];
  return sum[0];
}

/// sums += scale·y.
HWY_INLINE void add_scaled_row(const float* y, SingleVector scale, std::size_t stride, float* sums) {
  const SingleTag d;
  for (std::size_t j = 0; j < stride; j += hn::Lanes(d))
    hn::Store(hn::MulAdd(scale, hn::Load(d, y + j), hn::Load(d, sums + j)), d, sums + j);
}

void single_products_kernel(const SingleOperands& operands, float* scratch, double* out) {
#if HWY_TARGET == HWY_AVX3
  if (try_narrow_products<1>(operands, out)) return;
#endif
  const SingleTag d;
  const hn::CappedTag<float, 1> one;
  for (std::size_t first = 0; first < operands.count; first += kSingleRun) {
    std::fill_n(scratch, operands.stride, 0.0F);
    for (std::size_t q = first; q < std::min(operands.count, first + kSingleRun); ++q) {
      if (operands.available > operands.count) {
        const float* ahead = row_of(operands, std::min(q + kSingleRowsAhead, operands.available - 1));
        for (std::size_t j = 0; j < operands.stride; j += kSingleLanes) hwy::Prefetch(ahead + j);
      }
      const float* y = row_of(operands, q);
      const auto scale = hn::MulAdd(hn::Set(one, operands.weights[q]),
                                    hn::Set(one, single_dot(y, operands.x, operands.stride)),
                                    hn::Set(one, operands.coefficients[q]));
      add_scaled_row(y, hn::Set(d, hn::GetLane(scale)), operands.stride, scratch);
    }
    for (std::size_t j = 0; j < operands.stride; j += hn::Lanes(d))
      flush(hn::Load(d, scratch + j), operands.unit, out + j);
  }
}

}  // namespace firesteel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace firesteel {

namespace {
HWY_EXPORT(single_products_kernel);
}  // namespace

void add_single_normal_products(const SingleGatheredRows& rows, const float* weights,
                                const float* coefficients, const float* x, double unit, float* scratch,
                                double* out) {
  select_simd();
  const SingleOperands operands{rows.factors,
                                static_cast<std::size_t>(padded_single(rows.rank)),
                                rows.which.data(),
                                static_cast<std::size_t>(rows.count),
                                rows.which.size(),
                                weights,
                                coefficients,
                                x,
                                unit};
  HWY_DYNAMIC_DISPATCH(single_products_kernel)(operands, scratch, out);
}

}  // namespace firesteel
#endif
