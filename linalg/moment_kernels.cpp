// SPDX-License-Identifier: Apache-2.0
#include "firesteel/linalg/moment_kernels.hpp"

#include <algorithm>

#include "firesteel/linalg/simd.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "firesteel/linalg/moment_kernels.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>

#include "firesteel/linalg/logistic_loss-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace firesteel::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

HWY_INLINE Vector load_double(Tag d, const double* p) { return hn::Load(d, p); }
HWY_INLINE Vector load_double(Tag d, const float* p) {
  return hn::PromoteTo(d, hn::Load(hn::Rebind<float, Tag>(), p));
}

/// x: the first of the tiles. lanes: for each column eight of Σ wδ, of Σ wδ² and of max |δ|.
template <class Scalar>
HWY_INLINE void moments_of(const Scalar* x, std::size_t columns, TileWeights weights, const double* shift,
                           const double* scale, std::size_t first, std::size_t end, double* lanes) {
  const Tag d;
  for (std::size_t t = first; t < end; ++t) {
    const Scalar* tile = x + (t - first) * kTile * columns;
    const double* w = weights.of_tile(t);
    for (std::size_t j = 0; j < columns; ++j) {
      const auto a = hn::Set(d, shift[j]);
      const auto c = hn::Set(d, scale[j]);
      for (std::size_t part = 0; part < 8; part += kWidth) {
        double* own = lanes + 24 * j + part;
        auto sum = hn::Load(d, own);
        auto square = hn::Load(d, own + 8);
        auto largest = hn::Load(d, own + 16);
        for (std::size_t row = part; row < kTile; row += 8) {
          const auto weight = hn::Load(d, w + row);
          const auto delta = hn::Mul(hn::Sub(load_double(d, tile + j * kTile + row), a), c);
          const auto weighted = hn::Mul(weight, delta);
          sum = hn::Add(sum, weighted);
          square = hn::MulAdd(weighted, delta, square);
          const auto used = hn::Gt(weight, hn::Zero(d));
          largest = hn::Max(largest, hn::IfThenElseZero(used, hn::Abs(delta)));
        }
        hn::Store(sum, d, own);
        hn::Store(square, d, own + 8);
        hn::Store(largest, d, own + 16);
      }
    }
  }
}

void moments_float(const float* x, std::size_t columns, TileWeights weights, const double* shift,
                   const double* scale, std::size_t first, std::size_t end, double* lanes) {
  moments_of(x, columns, weights, shift, scale, first, end, lanes);
}
void moments_double(const double* x, std::size_t columns, TileWeights weights, const double* shift,
                    const double* scale, std::size_t first, std::size_t end, double* lanes) {
  moments_of(x, columns, weights, shift, scale, first, end, lanes);
}

/// All pairs of four columns with two: eight sums in registers.
HWY_INLINE void gram_corner(const double* rows, const double* others, std::size_t n, double (*sums)[2][8]) {
  const Tag d;
  for (std::size_t part = 0; part < 8; part += kWidth) {
    Vector sum[4][2];
    for (auto& pair : sum) pair[0] = pair[1] = hn::Zero(d);
    for (std::size_t i = part; i < n; i += 8) {
      const auto y0 = hn::Load(d, others + i);
      const auto y1 = hn::Load(d, others + n + i);
      for (std::size_t a = 0; a < 4; ++a) {
        const auto x = hn::Load(d, rows + a * n + i);
        sum[a][0] = hn::MulAdd(x, y0, sum[a][0]);
        sum[a][1] = hn::MulAdd(x, y1, sum[a][1]);
      }
    }
    for (std::size_t a = 0; a < 4; ++a)
      for (std::size_t b = 0; b < 2; ++b) hn::Store(sum[a][b], d, &sums[a][b][part]);
  }
}

void gram_kernel(const double* columns, std::size_t n, std::size_t count, double* gram) {
  HWY_ALIGN double sums[4][2][8];
  for (std::size_t j = 0; j < count; j += 4) {
    for (std::size_t k = 0; k < j + 4 && k < count; k += 2) {
      gram_corner(columns + j * n, columns + k * n, n, sums);
      for (std::size_t a = 0; a < 4 && j + a < count; ++a)
        for (std::size_t b = 0; b < 2 && k + b <= j + a; ++b)
          gram[(j + a) * (j + a + 1) / 2 + k + b] = fold(sums[a][b]);
    }
  }
}

}  // namespace firesteel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace firesteel {

namespace {

HWY_EXPORT(moments_float);
HWY_EXPORT(moments_double);
HWY_EXPORT(gram_kernel);

auto moments_for(const float*) { return HWY_DYNAMIC_DISPATCH(moments_float); }
auto moments_for(const double*) { return HWY_DYNAMIC_DISPATCH(moments_double); }

std::size_t count_of(Index i) { return static_cast<std::size_t>(i); }

double fold_lanes(const double* lane) {
  return ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

/// Room for d (+ 1) columns of n values; the last ones set to root and to zero. Returns the columns in use.
Index prepare_columns(Index d, std::span<const double> root, bool intercept, TileRange range,
                      AlignedVector<double>& columns) {
  const Index n = (range.end - range.first) * kTileRows;
  const Index used = d + (intercept ? 1 : 0);
  columns.resize(count_of((used + 3) / 4 * 4 * n));
  double* end = columns.data() + d * n;
  if (intercept) end = std::copy_n(root.data() + range.first * kTileRows, n, end);
  std::fill(end, columns.data() + columns.size(), 0.0);
  return used;
}

}  // namespace

template <class Scalar>
void block_moments(const DenseTiles<Scalar>& features, TileWeights weights, std::span<const double> shift,
                   std::span<const double> scale, TileRange range, std::span<double> sums,
                   std::span<double> largest, AlignedVector<double>& scratch) {
  select_simd();
  const std::size_t columns = count_of(features.columns());
  scratch.assign(24 * columns, 0.0);
  const Scalar* x = features.tile(range.first);
  moments_for(x)(x, columns, weights, shift.data(), scale.data(), count_of(range.first), count_of(range.end),
                 scratch.data());
  for (std::size_t j = 0; j < columns; ++j) {
    const double* lanes = scratch.data() + 24 * j;
    sums[j] = fold_lanes(lanes);
    sums[columns + j] = fold_lanes(lanes + 8);
    largest[j] = std::max(largest[j], *std::max_element(lanes + 16, lanes + 24));
  }
}

template <class Scalar>
Index fill_columns(const DenseTiles<Scalar>& features, std::span<const double> root,
                   std::span<const double> centre, std::span<const double> scale, bool intercept,
                   TileRange range, AlignedVector<double>& columns) {
  const Index d = features.columns();
  const Index n = (range.end - range.first) * kTileRows;
  const Index used = prepare_columns(d, root, intercept, range, columns);
  for (Index t = range.first; t < range.end; ++t) {
    const double* roots = root.data() + t * kTileRows;
    for (Index j = 0; j < d; ++j) {
      const Scalar* x = features.tile(t) + j * kTileRows;
      double* column = columns.data() + j * n + (t - range.first) * kTileRows;
      const double a = centre[count_of(j)];
      const double c = scale[count_of(j)];
      for (Index row = 0; row < kTileRows; ++row)
        column[row] = roots[row] * ((static_cast<double>(x[row]) - a) * c);
    }
  }
  return used;
}

template <class Scalar>
Index fill_columns(const SparseRows<Scalar>& features, std::span<const double> root,
                   std::span<const double> centre, std::span<const double> scale, bool intercept,
                   TileRange range, AlignedVector<double>& columns) {
  const Index d = features.columns();
  const Index n = (range.end - range.first) * kTileRows;
  const Index used = prepare_columns(d, root, intercept, range, columns);
  const double* roots = root.data() + range.first * kTileRows;
  for (Index j = 0; j < d; ++j) {
    const double zero = (0.0 - centre[count_of(j)]) * scale[count_of(j)];
    for (Index i = 0; i < n; ++i) columns[count_of(j * n + i)] = roots[i] * zero;
  }
  const Index end = std::min(range.end * kTileRows, features.local_rows());
  for (Index row = range.first * kTileRows; row < end; ++row) {
    const Index i = row - range.first * kTileRows;
    const auto indices = features.row_indices(row);
    const auto values = features.row_values(row);
    for (std::size_t p = 0; p < indices.size(); ++p) {
      const auto j = count_of(indices[p]);
      columns[j * count_of(n) + count_of(i)] =
          roots[i] * ((static_cast<double>(values[p]) - centre[j]) * scale[j]);
    }
  }
  return used;
}

void gram_of_columns(const double* columns, Index n, Index count, std::span<double> gram) {
  select_simd();
  HWY_DYNAMIC_DISPATCH(gram_kernel)(columns, count_of(n), count_of(count), gram.data());
}

#define FIRESTEEL_INSTANTIATE(Scalar)                                                                      \
  template void block_moments(const DenseTiles<Scalar>&, TileWeights, std::span<const double>,             \
                              std::span<const double>, TileRange, std::span<double>, std::span<double>,    \
                              AlignedVector<double>&);                                                     \
  template Index fill_columns(const DenseTiles<Scalar>&, std::span<const double>, std::span<const double>, \
                              std::span<const double>, bool, TileRange, AlignedVector<double>&);           \
  template Index fill_columns(const SparseRows<Scalar>&, std::span<const double>, std::span<const double>, \
                              std::span<const double>, bool, TileRange, AlignedVector<double>&);
FIRESTEEL_INSTANTIATE(float)
FIRESTEEL_INSTANTIATE(double)
#undef FIRESTEEL_INSTANTIATE

}  // namespace firesteel
#endif
