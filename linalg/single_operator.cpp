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

#include "firesteel/linalg/simd_halves-inl.hpp"

#ifndef FIRESTEEL_SINGLE_OPERATOR_CONSTANTS
#define FIRESTEEL_SINGLE_OPERATOR_CONSTANTS
namespace firesteel {
constexpr std::size_t kSingleLanes = 16;      // virtual lanes of a dot product
constexpr std::size_t kSingleRun = 32;        // rows that are summed in float
constexpr std::size_t kSingleRowsAhead = 32;  // that are brought nearer: about the latency of memory
constexpr std::size_t kMostAhead = 4;         // brought nearer for each kTogether rows that are used
constexpr std::size_t kTogether = 4;          // rows whose dot products are folded in one register

struct SingleOperands {
  const float* factors;
  std::size_t stride;
  const std::int32_t* which;
  std::size_t count;
  const float* weights;
  const float* coefficients;
  float coefficient_unit;
  const float* x;
  double unit;
};

/// Rows to be brought nearer while others are worked on: `at_a_time` for each kTogether of these.
struct SingleRowsAhead {
  const float* factors;
  const std::int32_t* next;
  const std::int32_t* end;
  std::size_t at_a_time;
  bool halfway;  // into the second cache only: the first is full of the rows that are used
};
}  // namespace firesteel
#endif

HWY_BEFORE_NAMESPACE();
namespace firesteel::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

HWY_INLINE const float* row_of(const SingleOperands& operands, std::size_t q) {
  return operands.factors + static_cast<std::size_t>(operands.which[q]) * operands.stride;
}

HWY_INLINE void bring_nearer(SingleRowsAhead& ahead, std::size_t stride) {
  for (std::size_t i = 0; i < ahead.at_a_time && ahead.next != ahead.end; ++i) {
    const float* row = ahead.factors + static_cast<std::size_t>(*ahead.next++) * stride;
    for (std::size_t j = 0; j < stride; j += kSingleLanes) {
      if (ahead.halfway)
        __builtin_prefetch(row + j, 0, 2);
      else
        hwy::Prefetch(row + j);
    }
  }
}

#if HWY_TARGET == HWY_AVX3
/// Block I of v in every block.
template <int I>
HWY_INLINE SingleVector block_everywhere(SingleVector v) {
  return SingleVector{_mm512_shuffle_f32x4(v.raw, v.raw, I * 0x55)};
}

/// The sums of four registers' lanes, by halves down to one, in the lanes of block 0, 1, 2, 3: folding is
/// half of a transposition.
HWY_INLINE SingleVector folded_together(const SingleVector (&v)[kTogether]) {
  const SingleTag d;
  const auto fold_halves = [&](SingleVector a, SingleVector b) HWY_ATTR {
    return hn::Add(hn::ConcatLowerLower(d, b, a), hn::ConcatUpperUpper(d, b, a));
  };
  const auto low = fold_halves(v[0], v[1]);
  const auto high = fold_halves(v[2], v[3]);
  auto sum = hn::Add(SingleVector{_mm512_shuffle_f32x4(low.raw, high.raw, 0x88)},
                     SingleVector{_mm512_shuffle_f32x4(low.raw, high.raw, 0xDD)});
  sum = hn::Add(sum, hn::Shuffle1032(sum));
  return hn::Add(sum, hn::Shuffle2301(sum));
}

/// kTogether rows and what they weigh; a short group is filled up with its last row, which then weighs 0:
/// that changes no bit.
struct RowsTogether {
  const float* rows[kTogether];
  const float* weights;
  const float* coefficients;  // null: 0
};

/// sum += rows[r] scaled by (c + w·(row·x)), r ascending.
template <std::size_t V, bool kCoefficients>
HWY_INLINE void add_together(const RowsTogether& together, float coefficient_unit, const SingleVector* at_x,
                             SingleVector* sum) {
  const SingleTag d;
  constexpr bool kKept = V <= 4;  // more rows than registers hold are read again
  SingleVector row[kTogether][kKept ? V : 1], dot[kTogether];
#pragma GCC unroll 4
  for (std::size_t r = 0; r < kTogether; ++r) {
    dot[r] = hn::Zero(d);
#pragma GCC unroll 8
    for (std::size_t v = 0; v < V; ++v) {
      const auto y = hn::Load(d, together.rows[r] + v * kSingleLanes);
      if (kKept) row[r][v] = y;
      dot[r] = hn::MulAdd(y, at_x[v], dot[r]);
    }
  }
  static constexpr std::int32_t kBlocks[kSingleLanes] = {0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3};
  const auto of_block = hn::SetTableIndices(d, kBlocks);
  const auto weight = hn::TableLookupLanes(hn::LoadDup128(d, together.weights), of_block);
  auto scales = folded_together(dot);
  if (kCoefficients)
    scales = hn::MulAdd(
        weight, scales,
        hn::TableLookupLanes(hn::Mul(hn::LoadDup128(d, together.coefficients), hn::Set(d, coefficient_unit)),
                             of_block));
  else
    scales = hn::Mul(weight, scales);
  const SingleVector scale[kTogether] = {block_everywhere<0>(scales), block_everywhere<1>(scales),
                                         block_everywhere<2>(scales), block_everywhere<3>(scales)};
#pragma GCC unroll 4
  for (std::size_t r = 0; r < kTogether; ++r)
#pragma GCC unroll 8
    for (std::size_t v = 0; v < V; ++v)
      sum[v] =
          hn::MulAdd(scale[r], kKept ? row[r][v] : hn::Load(d, together.rows[r] + v * kSingleLanes), sum[v]);
}

/// Rows of V vectors: x, rows and sums stay in registers.
template <std::size_t V, bool kCoefficients>
void narrow_products(const SingleOperands& operands, SingleRowsAhead ahead, double* out) {
  const SingleTag d;
  const std::size_t count = operands.count;
  const auto row_at = [factors = operands.factors, which = operands.which](std::size_t q) {
    return factors + static_cast<std::size_t>(which[q]) * V * kSingleLanes;
  };
  SingleVector at_x[V];
#pragma GCC unroll 8
  for (std::size_t v = 0; v < V; ++v) at_x[v] = hn::Load(d, operands.x + v * kSingleLanes);
  RowsTogether together{{}, operands.weights, operands.coefficients};
  for (std::size_t q = 0; q < count;) {
    SingleVector sum[V];
#pragma GCC unroll 8
    for (std::size_t v = 0; v < V; ++v) sum[v] = hn::Zero(d);
    const std::size_t end = std::min(count, q + kSingleRun);
    for (; q + kTogether <= end; q += kTogether) {
      bring_nearer(ahead, V * kSingleLanes);
#pragma GCC unroll 4
      for (std::size_t r = 0; r < kTogether; ++r) together.rows[r] = row_at(q + r);
      add_together<V, kCoefficients>(together, operands.coefficient_unit, at_x, sum);
      together.weights += kTogether;
      if (kCoefficients) together.coefficients += kTogether;
    }
    if (q < end) {
      HWY_ALIGN float weights[kTogether] = {};
      HWY_ALIGN float coefficients[kTogether] = {};
      for (std::size_t r = 0; r < kTogether; ++r) {
        together.rows[r] = row_at(std::min(q + r, end - 1));
        if (q + r >= end) continue;
        weights[r] = together.weights[r];
        if (kCoefficients) coefficients[r] = together.coefficients[r];
      }
      const RowsTogether last{
          {together.rows[0], together.rows[1], together.rows[2], together.rows[3]}, weights, coefficients};
      add_together<V, kCoefficients>(last, operands.coefficient_unit, at_x, sum);
      q = end;
    }
#pragma GCC unroll 8
    for (std::size_t v = 0; v < V; ++v) add_promoted(sum[v], operands.unit, out + v * kSingleLanes);
  }
}

/// False where rows are wider than registers allow.
template <std::size_t V>
bool try_narrow_products(const SingleOperands& operands, const SingleRowsAhead& ahead, double* out) {
  if constexpr (V > 8) {
    return false;
  } else {
    if (operands.stride != V * kSingleLanes) return try_narrow_products<V + 1>(operands, ahead, out);
    if (operands.coefficients == nullptr)
      narrow_products<V, false>(operands, ahead, out);
    else
      narrow_products<V, true>(operands, ahead, out);
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

void single_products_kernel(const SingleOperands& operands, SingleRowsAhead ahead, float* scratch,
                            double* out) {
#if HWY_TARGET == HWY_AVX3
  if (try_narrow_products<1>(operands, ahead, out)) return;
#endif
  const SingleTag d;
  const hn::CappedTag<float, 1> one;
  for (std::size_t first = 0; first < operands.count; first += kSingleRun) {
    std::fill_n(scratch, operands.stride, 0.0F);
    for (std::size_t q = first; q < std::min(operands.count, first + kSingleRun); ++q) {
      if (q % kTogether == 0) bring_nearer(ahead, operands.stride);
      const float* y = row_of(operands, q);
      const float coefficient =
          operands.coefficients == nullptr ? 0 : operands.coefficients[q] * operands.coefficient_unit;
      const auto scale =
          hn::MulAdd(hn::Set(one, operands.weights[q]),
                     hn::Set(one, single_dot(y, operands.x, operands.stride)), hn::Set(one, coefficient));
      add_scaled_row(y, hn::Set(d, hn::GetLane(scale)), operands.stride, scratch);
    }
    for (std::size_t j = 0; j < operands.stride; j += hn::Lanes(d))
      add_promoted(hn::Load(d, scratch + j), operands.unit, out + j);
  }
}

#if HWY_TARGET == HWY_AVX3
template <std::size_t V>
void narrow_dots(const SingleOperands& operands, SingleRowsAhead ahead, float* dots) {
  const SingleTag d;
  const std::size_t count = operands.count;
  const auto row_at = [factors = operands.factors, which = operands.which](std::size_t q) {
    return factors + static_cast<std::size_t>(which[q]) * V * kSingleLanes;
  };
  SingleVector at_x[V];
#pragma GCC unroll 8
  for (std::size_t v = 0; v < V; ++v) at_x[v] = hn::Load(d, operands.x + v * kSingleLanes);
  for (std::size_t q = 0; q < count; q += kTogether) {
    bring_nearer(ahead, V * kSingleLanes);
    SingleVector dot[kTogether];
#pragma GCC unroll 4
    for (std::size_t r = 0; r < kTogether; ++r) {
      const float* y = row_at(std::min(q + r, count - 1));
      dot[r] = hn::Zero(d);
#pragma GCC unroll 8
      for (std::size_t v = 0; v < V; ++v)
        dot[r] = hn::MulAdd(hn::Load(d, y + v * kSingleLanes), at_x[v], dot[r]);
    }
    HWY_ALIGN float blocks[kSingleLanes];
    hn::Store(folded_together(dot), d, blocks);
    for (std::size_t r = 0; r < std::min(kTogether, count - q); ++r)
      dots[q + r] = blocks[r * kSingleLanes / kTogether];
  }
}

template <std::size_t V>
bool try_narrow_dots(const SingleOperands& operands, const SingleRowsAhead& ahead, float* dots) {
  if constexpr (V > 8) {
    return false;
  } else {
    if (operands.stride != V * kSingleLanes) return try_narrow_dots<V + 1>(operands, ahead, dots);
    narrow_dots<V>(operands, ahead, dots);
    return true;
  }
}
#endif

void single_dots_kernel(const SingleOperands& operands, SingleRowsAhead ahead, float* dots) {
#if HWY_TARGET == HWY_AVX3
  if (try_narrow_dots<1>(operands, ahead, dots)) return;
#endif
  for (std::size_t q = 0; q < operands.count; ++q) {
    if (q % kTogether == 0) bring_nearer(ahead, operands.stride);
    dots[q] = single_dot(row_of(operands, q), operands.x, operands.stride);
  }
}

}  // namespace firesteel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace firesteel {

namespace {
HWY_EXPORT(single_products_kernel);
HWY_EXPORT(single_dots_kernel);

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

SingleOperands operands_of(const SingleRows& rows, const SingleWeights& weights, const float* x,
                           double unit) {
  return {rows.factors,
          at(padded_single(rows.rank)),
          rows.which.data(),
          at(rows.count),
          weights.weights,
          weights.coefficients,
          weights.coefficient_unit,
          x,
          unit};
}

/// What stands behind the first of `which` that are used.
SingleRowsAhead rows_ahead(const SingleRows& rows) {
  const std::size_t begin = std::min(kSingleRowsAhead, rows.which.size());
  const std::size_t end = std::min(begin + at(rows.count), rows.which.size());
  return {rows.factors, rows.which.data() + begin, rows.which.data() + end, kTogether, false};
}
}  // namespace

void add_single_normal_products(const SingleRows& rows, const SingleWeights& weights,
                                const SingleRowsNext& next, const float* x, double unit, float* scratch,
                                double* out) {
  select_simd();
  auto ahead = rows_ahead(rows);
  if (!next.which.empty()) {
    const std::size_t groups = std::max<std::size_t>(1, at(rows.count) / kTogether);
    ahead = {next.factors, next.which.data(), next.which.data() + next.which.size(),
             std::min(kMostAhead, (next.which.size() + groups - 1) / groups), true};
  }
  HWY_DYNAMIC_DISPATCH(single_products_kernel)(operands_of(rows, weights, x, unit), ahead, scratch, out);
}

void single_dots(const SingleRows& rows, const float* x, float* dots) {
  select_simd();
  HWY_DYNAMIC_DISPATCH(single_dots_kernel)(operands_of(rows, {}, x, 1), rows_ahead(rows), dots);
}

}  // namespace firesteel
#endif
