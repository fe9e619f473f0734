// SPDX-License-Identifier: Apache-2.0
#include "firesteel/linalg/factor_kernels.hpp"

#include <algorithm>
#include <cstddef>
#include <span>

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
constexpr std::size_t kMostBatchRows = 64;      // rows that all tiles of the sums read in turn,
constexpr std::size_t kBatchDoubles = 64 * 32;  // half of the smallest first cache
constexpr std::size_t kLineDoubles = 8;

inline std::size_t batch_rows(std::size_t stride) {
  return std::clamp(kBatchDoubles / stride, std::size_t{8}, kMostBatchRows);
}

/// A batch of rows y_q: what the tiles of the sums read.
struct NormalBatch {
  const double* left;  // w_q·y_q, left_stride apart; without weights the same as `right`
  std::size_t left_stride;
  const double* right;         // y_q, stride apart
  const double* coefficients;  // c_q; null: b stays as it is
  std::size_t count;
};

/// Rows of a later batch, which the tiles bring nearer one by one: whole rows, whose lines the second cache
/// fetches in pairs, and evenly, since few lines can be on their way at a time.
struct RowsAhead {
  const double* factors;
  const std::int32_t* which;  // as far as `end`, and `next` behind it
  const std::int32_t* end;
  const std::int32_t* next;
  std::size_t count;    // rows that are left
  std::size_t spacing;  // vectors of right rows that a tile reads for each of them
};
}  // namespace firesteel
#endif

HWY_BEFORE_NAMESPACE();
namespace firesteel::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Tag = hn::CappedTag<double, kVirtualLanes>;
#if HWY_TARGET == HWY_AVX3
constexpr std::size_t kTileLeft = 8;  // (8 + 1) x 2 of 32 registers hold sums
constexpr std::size_t kHalfRows = 4;  // of a tile on the diagonal, which need half of its last vector
using HalfTag = hn::Half<Tag>;
HWY_INLINE hn::Vec<HalfTag> half_of(hn::Vec<Tag> v) { return hn::LowerHalf(HalfTag(), v); }
#else
constexpr std::size_t kTileLeft = 4;  // (4 + 1) x 2 of 16 registers
constexpr std::size_t kHalfRows = 0;  // halves would be too short to gain
using HalfTag = Tag;
HWY_INLINE hn::Vec<Tag> half_of(hn::Vec<Tag> v) { return v; }
#endif

/// The sums that a tile adds to: (rank + 1) x stride, `rank` the row of b.
struct SumsView {
  double* values;
  std::size_t rank;
  std::size_t stride;
};

HWY_INLINE void bring_nearer(const double* row, std::size_t stride) {
  for (std::size_t j = 0; j < stride; j += kLineDoubles) hwy::Prefetch(row + j);
}

HWY_INLINE void bring_next(RowsAhead& ahead, std::size_t stride) {
  if (ahead.count == 0) return;
  --ahead.count;
  if (ahead.which == ahead.end) ahead.which = ahead.next;
  bring_nearer(ahead.factors + static_cast<std::size_t>(*ahead.which++) * stride, stride);
}

/// sums[row … row + R) x [column … column + V vectors) += Σ_q left_q[row + r]·right_q[column …]; with kRhs
/// also b[column …] += Σ_q c_q·right_q[column …]. kDiagonal: the last vector begins at column `row`.
template <std::size_t R, std::size_t V, bool kRhs, bool kDiagonal>
HWY_INLINE void add_tile(const NormalBatch& batch, const SumsView& sums, std::size_t row, std::size_t column,
                         RowsAhead& ahead) {
  const Tag d;
  const HalfTag h;
  const std::size_t width = hn::Lanes(d);
  constexpr std::size_t kRows = R + (kRhs ? 1 : 0);
  constexpr std::size_t kHalf = kDiagonal ? std::min(R, kHalfRows) : 0;
  // Of the first kHalf rows the last vector is half as wide.
  hn::Vec<Tag> full[kRows][V];
  hn::Vec<HalfTag> half[kHalf > 0 ? kHalf : 1];
  const auto place = [&](std::size_t r, std::size_t v) {
    return sums.values + (r < R ? row + r : sums.rank) * sums.stride + column + v * width;
  };
#pragma GCC unroll 9
  for (std::size_t r = 0; r < kRows; ++r)
#pragma GCC unroll 2
    for (std::size_t v = 0; v < V; ++v)
      if (r < kHalf && v + 1 == V)
        half[r] = hn::Load(h, place(r, v));
      else
        full[r][v] = hn::Load(d, place(r, v));
  const double* left = batch.left + row;
  const double* right = batch.right + column;
  const std::size_t spacing = ahead.spacing / V;
  for (std::size_t q = 0; q < batch.count;) {
    const std::size_t end = ahead.count > 0 ? std::min(batch.count, q + spacing) : batch.count;
    bring_next(ahead, sums.stride);
    for (; q < end; ++q) {
      hn::Vec<Tag> y[V];
#pragma GCC unroll 2
      for (std::size_t v = 0; v < V; ++v) y[v] = hn::Load(d, right + v * width);
#pragma GCC unroll 9
      for (std::size_t r = 0; r < kRows; ++r) {
        const double* factor = r < R ? left + r : batch.coefficients + q;
#pragma GCC unroll 2
        for (std::size_t v = 0; v < V; ++v)
          if (r < kHalf && v + 1 == V)
            half[r] = hn::MulAdd(hn::Set(h, *factor), half_of(y[v]), half[r]);
          else
            full[r][v] = hn::MulAdd(hn::Set(d, *factor), y[v], full[r][v]);
      }
      left += batch.left_stride;
      right += sums.stride;
    }
  }
#pragma GCC unroll 9
  for (std::size_t r = 0; r < kRows; ++r)
#pragma GCC unroll 2
    for (std::size_t v = 0; v < V; ++v)
      if (r < kHalf && v + 1 == V)
        hn::Store(half[r], h, place(r, v));
      else
        hn::Store(full[r][v], d, place(r, v));
}

/// Where the columns of the sums end that a tile of rows up to `end_row` needs: behind the diagonal.
HWY_INLINE std::size_t end_column(std::size_t end_row) {
  const std::size_t width = hn::Lanes(Tag());
  return (end_row + width - 1) / width * width;
}

/// R rows of the sums, columns up to the diagonal, or all for b. `row` is a multiple of the vectors' width.
template <std::size_t R, bool kRhs>
HWY_INLINE void add_rows(const NormalBatch& batch, const SumsView& sums, std::size_t row, RowsAhead& ahead) {
  const std::size_t width = hn::Lanes(Tag());
  const std::size_t end = std::min(sums.stride, end_column(row + R));
  std::size_t column = 0;
  for (; column + 2 * width < end; column += 2 * width)
    add_tile<R, 2, kRhs, false>(batch, sums, row, column, ahead);
  if (column + width < end)
    add_tile<R, 2, kRhs, true>(batch, sums, row, column, ahead);
  else
    add_tile<R, 1, kRhs, true>(batch, sums, row, column, ahead);
}

/// The last `left_over` rows, 1 … R of them, and b.
template <std::size_t R>
HWY_INLINE void add_last_rows(const NormalBatch& batch, const SumsView& sums, std::size_t left_over,
                              RowsAhead& ahead) {
  if constexpr (R > 1) {
    if (left_over < R) return add_last_rows<R - 1>(batch, sums, left_over, ahead);
  }
  if (batch.coefficients != nullptr)
    add_rows<R, true>(batch, sums, sums.rank - R, ahead);
  else
    add_rows<R, false>(batch, sums, sums.rank - R, ahead);
}

void add_batch(const NormalBatch& batch, std::size_t rank, std::size_t stride, double* values,
               RowsAhead& ahead) {
  const SumsView sums{values, rank, stride};
  std::size_t vectors = 0;  // of a right row, over all tiles
  for (std::size_t end = kTileLeft; end < rank + kTileLeft; end += kTileLeft)
    vectors += end_column(std::min(end, rank)) / hn::Lanes(Tag());
  ahead.spacing = std::max<std::size_t>(2, vectors * 7 / 8);
  std::size_t row = 0;
  for (; row + kTileLeft < rank; row += kTileLeft) add_rows<kTileLeft, false>(batch, sums, row, ahead);
  add_last_rows<kTileLeft>(batch, sums, rank - row, ahead);
  while (ahead.count > 0) bring_next(ahead, stride);
}

/// right[q] ← y_q of row which[q], left[q] ← w_q·y_q unless there are no weights.
void copy_batch(const double* factors, const std::int32_t* which, std::size_t count, const double* weights,
                std::size_t stride, double* left, std::size_t left_stride, double* right) {
  const Tag d;
  const std::size_t width = hn::Lanes(d);
  for (std::size_t q = 0; q < count; ++q) {
    const double* source = factors + static_cast<std::size_t>(which[q]) * stride;
    if (weights == nullptr) {
      for (std::size_t j = 0; j < stride; j += width)
        hn::Store(hn::Load(d, source + j), d, right + q * stride + j);
      continue;
    }
    const auto weight = hn::Set(d, weights[q]);
    for (std::size_t j = 0; j < stride; j += width) {
      const auto y = hn::Load(d, source + j);
      hn::Store(y, d, right + q * stride + j);
      hn::Store(hn::Mul(weight, y), d, left + q * left_stride + j);
    }
  }
}

/// a_i + a_{i + half}, in half as many lanes.
template <class D, class V>
HWY_INLINE auto fold(D, V a) {
  const hn::Half<D> half;
  return hn::Add(LowerHalf(half, a), UpperHalf(half, a));  // found by their arguments: SCALAR has no halves
}

/// y·x in 8 lanes over coordinates, folded ((0 + 4) + (2 + 6)) + ((1 + 5) + (3 + 7)) whatever the width is.
template <class D>
HWY_INLINE double lanes_product(D d, const double* y, const double* x, std::size_t stride) {
  constexpr std::size_t kWidth = hn::MaxLanes(D());
  const auto part = [&](std::size_t first) {
    auto lanes = hn::Zero(d);
    for (std::size_t j = first; j < stride; j += kVirtualLanes)
      lanes = hn::MulAdd(hn::Load(d, y + j), hn::Load(d, x + j), lanes);
    return lanes;
  };
  if constexpr (kWidth == 8) {
    const hn::Half<D> half;
    const hn::Half<decltype(half)> quarter;
    return hn::GetLane(fold(quarter, fold(half, fold(d, part(0)))));
  } else if constexpr (kWidth == 4) {
    const hn::Half<D> half;
    return hn::GetLane(fold(half, fold(d, hn::Add(part(0), part(4)))));
  } else {
    HWY_ALIGN double sum[kVirtualLanes];
    for (std::size_t first = 0; first < kVirtualLanes; first += kWidth)
      hn::Store(part(first), d, sum + first);
    return ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]));
  }
}

void products_kernel(const double* factors, std::size_t stride, std::span<const std::int32_t> which,
                     std::span<const std::int32_t> next, const double* x, double* products) {
  const std::size_t distance = std::max<std::size_t>(4, kBatchDoubles / 4 / stride);
  const std::size_t known = which.size() + next.size();
  for (std::size_t q = 0; q < which.size(); ++q) {
    if (const std::size_t later = q + distance; later < known) {
      const std::int32_t row = later < which.size() ? which[later] : next[later - which.size()];
      bring_nearer(factors + static_cast<std::size_t>(row) * stride, stride);
    }
    products[q] = lanes_product(Tag(), factors + static_cast<std::size_t>(which[q]) * stride, x, stride);
  }
}

}  // namespace firesteel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace firesteel {

namespace {
HWY_EXPORT(add_batch);
HWY_EXPORT(copy_batch);
HWY_EXPORT(products_kernel);

std::size_t at(Index i) { return static_cast<std::size_t>(i); }
}  // namespace

NormalEquations::NormalEquations(Index rank)
    : rank_(rank),
      left_(batch_rows(at(padded_rank(rank))) * (at(padded_rank(rank)) + kLineDoubles)),
      right_(batch_rows(at(padded_rank(rank))) * at(padded_rank(rank))) {
  select_simd();
}

void NormalEquations::add(const double* factors, std::span<const std::int32_t> which,
                          std::span<const double> weights, std::span<const double> coefficients, double* sums,
                          std::span<const std::int32_t> next) {
  const std::size_t width = at(stride());
  const std::size_t most = batch_rows(width);
  const bool weighted = !weights.empty();
  NormalBatch batch;
  batch.left = weighted ? left_.data() : right_.data();
  batch.left_stride = weighted ? width + kLineDoubles : width;  // not a power of two: sets of the cache
  batch.right = right_.data();
  const auto row_at = [&](std::size_t q) {
    return q < which.size() ? which.data() + q : next.data() + (q - which.size());
  };
  for (std::size_t done = 0; done < which.size(); done += batch.count) {
    batch.count = std::min(most, which.size() - done);
    batch.coefficients = coefficients.empty() ? nullptr : coefficients.data() + done;
    HWY_DYNAMIC_DISPATCH(copy_batch)
    (factors, which.data() + done, batch.count, weighted ? weights.data() + done : nullptr, width,
     left_.data(), width + kLineDoubles, right_.data());
    // What stands `most` rows ahead, beyond the end of `which` too.
    const std::size_t begin = std::min(done + most, which.size() + next.size());
    const std::size_t end = std::min(begin + batch.count, which.size() + next.size());
    RowsAhead ahead{factors, row_at(begin), which.data() + which.size(), next.data(), end - begin, 0};
    HWY_DYNAMIC_DISPATCH(add_batch)(batch, at(rank_), width, sums, ahead);
  }
}

void gathered_products(const double* factors, Index rank, std::span<const std::int32_t> which,
                       const double* x, double* products, std::span<const std::int32_t> next) {
  select_simd();
  HWY_DYNAMIC_DISPATCH(products_kernel)
  (factors, at(padded_rank(rank)), which, next, x, products);
}

}  // namespace firesteel
#endif
