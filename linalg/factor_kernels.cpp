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
  const double* right;                  // y_q, stride apart
  const double* coefficients;           // c_q; null: b stays as it is
  const double* ahead[kMostBatchRows];  // rows of a later batch, brought nearer meanwhile
  std::size_t count;
  std::size_t ahead_count;
};
}  // namespace firesteel
#endif

HWY_BEFORE_NAMESPACE();
namespace firesteel::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Tag = hn::CappedTag<double, kVirtualLanes>;
#if HWY_TARGET == HWY_AVX3
constexpr std::size_t kTileLeft = 8;  // (8 + 1) x 2 of 32 registers hold sums
#else
constexpr std::size_t kTileLeft = 4;  // (4 + 1) x 2 of 16 registers
#endif

/// The sums that a tile adds to: (rank + 1) x stride, `rank` the row of b.
struct SumsView {
  double* values;
  std::size_t rank;
  std::size_t stride;
};

/// sums[row … row + R) x [column … column + V vectors) += Σ_q left_q[row + r]·right_q[column …]; with kRhs
/// also b[column …] += Σ_q c_q·right_q[column …]. `line`: the line of each row ahead that is brought nearer.
template <std::size_t R, std::size_t V, bool kRhs>
HWY_INLINE void add_tile(const NormalBatch& batch, const SumsView& sums, std::size_t row, std::size_t column,
                         std::size_t line) {
  const Tag d;
  const std::size_t width = hn::Lanes(d);
  constexpr std::size_t kRows = R + (kRhs ? 1 : 0);
  hn::Vec<Tag> sum[kRows][V];
  const auto place = [&](std::size_t r, std::size_t v) {
    return sums.values + (r < R ? row + r : sums.rank) * sums.stride + column + v * width;
  };
#pragma GCC unroll 9
  for (std::size_t r = 0; r < kRows; ++r)
#pragma GCC unroll 2
    for (std::size_t v = 0; v < V; ++v) sum[r][v] = hn::Load(d, place(r, v));
  const double* left = batch.left + row;
  const double* right = batch.right + column;
  const std::size_t ahead = line * kLineDoubles < sums.stride ? batch.ahead_count : 0;
  for (std::size_t q = 0; q < batch.count; ++q) {
    if (q < ahead) hwy::Prefetch(batch.ahead[q] + line * kLineDoubles);
    hn::Vec<Tag> y[V];
#pragma GCC unroll 2
    for (std::size_t v = 0; v < V; ++v) y[v] = hn::Load(d, right + v * width);
#pragma GCC unroll 9
    for (std::size_t r = 0; r < kRows; ++r) {
      const auto factor = hn::Set(d, r < R ? left[r] : batch.coefficients[q]);
#pragma GCC unroll 2
      for (std::size_t v = 0; v < V; ++v) sum[r][v] = hn::MulAdd(factor, y[v], sum[r][v]);
    }
    left += batch.left_stride;
    right += sums.stride;
  }
#pragma GCC unroll 9
  for (std::size_t r = 0; r < kRows; ++r)
#pragma GCC unroll 2
    for (std::size_t v = 0; v < V; ++v) hn::Store(sum[r][v], d, place(r, v));
}

/// R rows of the sums, columns up to the diagonal, or all for b. `line` counts tiles.
template <std::size_t R, bool kRhs>
HWY_INLINE void add_rows(const NormalBatch& batch, const SumsView& sums, std::size_t row, std::size_t& line) {
  const std::size_t width = hn::Lanes(Tag());
  const std::size_t end = std::min(sums.stride, (row + R + width - 1) / width * width);
  std::size_t column = 0;
  for (; column + 2 * width <= end; column += 2 * width)
    add_tile<R, 2, kRhs>(batch, sums, row, column, line++);
  if (column < end) add_tile<R, 1, kRhs>(batch, sums, row, column, line++);
}

/// The last `left_over` rows, 1 … R of them, and b.
template <std::size_t R>
HWY_INLINE void add_last_rows(const NormalBatch& batch, const SumsView& sums, std::size_t left_over,
                              std::size_t& line) {
  if constexpr (R > 1) {
    if (left_over < R) return add_last_rows<R - 1>(batch, sums, left_over, line);
  }
  if (batch.coefficients != nullptr)
    add_rows<R, true>(batch, sums, sums.rank - R, line);
  else
    add_rows<R, false>(batch, sums, sums.rank - R, line);
}

void add_batch(const NormalBatch& batch, std::size_t rank, std::size_t stride, double* values) {
  const SumsView sums{values, rank, stride};
  std::size_t line = 0;
  std::size_t row = 0;
  for (; row + kTileLeft < rank; row += kTileLeft) add_rows<kTileLeft, false>(batch, sums, row, line);
  add_last_rows<kTileLeft>(batch, sums, rank - row, line);
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
  for (std::size_t done = 0; done < which.size(); done += batch.count) {
    batch.count = std::min(most, which.size() - done);
    batch.coefficients = coefficients.empty() ? nullptr : coefficients.data() + done;
    HWY_DYNAMIC_DISPATCH(copy_batch)
    (factors, which.data() + done, batch.count, weighted ? weights.data() + done : nullptr, width,
     left_.data(), width + kLineDoubles, right_.data());
    // What stands `most` rows ahead, beyond the end of `which` too.
    batch.ahead_count = 0;
    for (std::size_t ahead = done + most; ahead < done + most + batch.count; ++ahead) {
      if (ahead >= which.size() + next.size()) break;
      const std::int32_t row = ahead < which.size() ? which[ahead] : next[ahead - which.size()];
      batch.ahead[batch.ahead_count++] = factors + static_cast<std::size_t>(row) * width;
    }
    HWY_DYNAMIC_DISPATCH(add_batch)(batch, at(rank_), width, sums);
  }
}

void gathered_products(const double* factors, Index rank, std::span<const std::int32_t> which,
                       const double* x, double* products) {
  select_simd();
  HWY_DYNAMIC_DISPATCH(products_kernel)
  (factors, at(padded_rank(rank)), which.data(), which.size(), x, products);
}

}  // namespace firesteel
#endif
