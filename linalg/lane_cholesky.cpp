// SPDX-License-Identifier: Apache-2.0
#include "firesteel/linalg/lane_cholesky.hpp"

#include <algorithm>
#include <cstddef>

#include "firesteel/linalg/simd.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "firesteel/linalg/lane_cholesky.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace firesteel::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using LaneTag = hn::CappedTag<double, static_cast<std::size_t>(kSystemLanes)>;
constexpr std::size_t kSystems = static_cast<std::size_t>(kSystemLanes);

HWY_INLINE double* packed_row(double* matrices, std::size_t i) {
  return matrices + i * (i + 1) / 2 * kSystems;
}

/// Column `column` of L, rows [row, row + R): L_ij = (A_ij − Σ_t L_it·L_jt) / L_jj, t ascending.
template <std::size_t R>
HWY_INLINE void eliminate_rows(double* matrices, std::size_t row, std::size_t column,
                               hn::Vec<LaneTag> inverse) {
  const LaneTag d;
  const double* pivot_row = packed_row(matrices, column);
  double* rows[R];
  hn::Vec<LaneTag> sum[R];
#pragma GCC unroll 8
  for (std::size_t r = 0; r < R; ++r) {
    rows[r] = packed_row(matrices, row + r);
    sum[r] = hn::Load(d, rows[r] + column * kSystems);
  }
  for (std::size_t t = 0; t < column * kSystems; t += kSystems) {
    const auto pivot = hn::Load(d, pivot_row + t);
#pragma GCC unroll 8
    for (std::size_t r = 0; r < R; ++r) sum[r] = hn::NegMulAdd(hn::Load(d, rows[r] + t), pivot, sum[r]);
  }
#pragma GCC unroll 8
  for (std::size_t r = 0; r < R; ++r) hn::Store(hn::Mul(sum[r], inverse), d, rows[r] + column * kSystems);
}

/// Lanes [0, Lanes(d)) behind the pointers. The diagonal keeps 1 / L_jj.
void factorise(double* matrices, std::size_t rank, double* pivots) {
  const LaneTag d;
  auto smallest = hn::Set(d, 1.0);
  for (std::size_t j = 0; j < rank; ++j) {
    double* row = packed_row(matrices, j);
    const auto diagonal = hn::Load(d, row + j * kSystems);
    auto pivot = diagonal;
    for (std::size_t t = 0; t < j * kSystems; t += kSystems) {
      const auto entry = hn::Load(d, row + t);
      pivot = hn::NegMulAdd(entry, entry, pivot);
    }
    const auto positive = hn::Gt(diagonal, hn::Zero(d));
    const auto ratio = hn::IfThenElseZero(positive, hn::Div(pivot, diagonal));
    smallest = hn::IfThenElse(hn::Lt(ratio, smallest), ratio, smallest);
    const auto inverse = hn::Div(hn::Set(d, 1.0), hn::Sqrt(pivot));
    hn::Store(inverse, d, row + j * kSystems);
    std::size_t i = j + 1;
    for (; i + 8 <= rank; i += 8) eliminate_rows<8>(matrices, i, j, inverse);
    for (; i + 2 <= rank; i += 2) eliminate_rows<2>(matrices, i, j, inverse);
    for (; i < rank; ++i) eliminate_rows<1>(matrices, i, j, inverse);
  }
  hn::Store(smallest, d, pivots);
}

/// L y = b, then Lᵀ x = y, in place.
void substitute(double* matrices, double* rhs, std::size_t rank) {
  const LaneTag d;
  for (std::size_t i = 0; i < rank; ++i) {
    const double* row = packed_row(matrices, i);
    auto sum = hn::Load(d, rhs + i * kSystems);
    for (std::size_t t = 0; t < i * kSystems; t += kSystems)
      sum = hn::NegMulAdd(hn::Load(d, row + t), hn::Load(d, rhs + t), sum);
    hn::Store(hn::Mul(sum, hn::Load(d, row + i * kSystems)), d, rhs + i * kSystems);
  }
  for (std::size_t i = rank; i-- > 0;) {
    const double* row = packed_row(matrices, i);
    const auto x = hn::Mul(hn::Load(d, rhs + i * kSystems), hn::Load(d, row + i * kSystems));
    hn::Store(x, d, rhs + i * kSystems);
    for (std::size_t t = 0; t < i * kSystems; t += kSystems)
      hn::Store(hn::NegMulAdd(hn::Load(d, row + t), x, hn::Load(d, rhs + t)), d, rhs + t);
  }
}

void solve_lanes_kernel(double* matrices, double* rhs, std::size_t rank, double* pivots) {
  const LaneTag d;
  const std::size_t width = hn::Lanes(d);
  for (std::size_t lane = 0; lane < kSystems; lane += width) {
    factorise(matrices + lane, rank, pivots + lane);
    substitute(matrices + lane, rhs + lane, rank);
  }
}

}  // namespace firesteel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace firesteel {

namespace {
HWY_EXPORT(solve_lanes_kernel);
}  // namespace

void solve_lanes(std::span<double> matrices, std::span<double> rhs, Index rank, std::span<double> pivots) {
  select_simd();
  alignas(64) double smallest[static_cast<std::size_t>(kSystemLanes)];
  HWY_DYNAMIC_DISPATCH(solve_lanes_kernel)
  (matrices.data(), rhs.data(), static_cast<std::size_t>(rank), smallest);
  std::copy_n(smallest, kSystemLanes, pivots.begin());
}

}  // namespace firesteel
#endif
