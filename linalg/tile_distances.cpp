// SPDX-License-Identifier: Apache-2.0
// Distances summed directly, and products of a tile with vectors: what nearest_centres.hpp declares besides
// the scan.
#include <algorithm>

#include "firesteel/linalg/nearest_centres.hpp"
#include "firesteel/linalg/simd.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "firesteel/linalg/tile_distances.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace firesteel::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

void direct_distances_kernel(const double* row, Index columns, const double* columnwise, Index stride,
                             double scale, double* distances) {
  const hn::CappedTag<double, 8> d;
  const auto width = static_cast<Index>(hn::Lanes(d));
  const auto factor = hn::Set(d, scale);
  for (Index c = 0; c < stride; c += width) {
    auto sum = hn::Zero(d);
    for (Index j = 0; j < columns; ++j) {
      const auto difference = hn::Sub(hn::Set(d, row[j]), hn::LoadU(d, columnwise + j * stride + c));
      const auto scaled = hn::Mul(difference, factor);
      sum = hn::MulAdd(scaled, scaled, sum);
    }
    hn::StoreU(sum, d, distances + c);
  }
}

/// Values of a tile's rows as doubles.
template <class D>
hn::Vec<D> load_rows(D d, const double* at) {
  return hn::Load(d, at);
}
template <class D>
hn::Vec<D> load_rows(D d, const float* at) {
  return hn::PromoteTo(d, hn::Load(hn::Rebind<float, D>(), at));
}

/// Columns j … j + 3 of four centres: centre i becomes lane i of four rows of `out`, kTileRows apart.
HWY_INLINE void transpose4(const double* const* centre, Index j, double* out) {
#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3
  const hn::FixedTag<double, 4> d;
  const auto c0 = hn::LoadU(d, centre[0] + j);
  const auto c1 = hn::LoadU(d, centre[1] + j);
  const auto c2 = hn::LoadU(d, centre[2] + j);
  const auto c3 = hn::LoadU(d, centre[3] + j);
  const auto even01 = hn::InterleaveLower(d, c0, c1);
  const auto odd01 = hn::InterleaveUpper(d, c0, c1);
  const auto even23 = hn::InterleaveLower(d, c2, c3);
  const auto odd23 = hn::InterleaveUpper(d, c2, c3);
  hn::StoreU(hn::ConcatLowerLower(d, even23, even01), d, out);
  hn::StoreU(hn::ConcatLowerLower(d, odd23, odd01), d, out + kTileRows);
  hn::StoreU(hn::ConcatUpperUpper(d, even23, even01), d, out + 2 * kTileRows);
  hn::StoreU(hn::ConcatUpperUpper(d, odd23, odd01), d, out + 3 * kTileRows);
#else  // no registers of four doubles
  for (Index column = 0; column < 4; ++column)
    for (Index i = 0; i < 4; ++i) out[column * kTileRows + i] = centre[i][j + column];
#endif
}

template <class Scalar>
void labelled_distances_any(const Scalar* tile, Index columns, const double* centres,
                            const std::int32_t* labels, double scale, double* distances) {
  const hn::CappedTag<double, 8> d;
  const auto width = static_cast<Index>(hn::Lanes(d));
  const auto factor = hn::Set(d, scale);
  // A few columns of the rows' own centres at a time, turned to lie as the tile does: faster than gathers.
  constexpr Index kColumns = 8;
  HWY_ALIGN double own[kColumns * kTileRows];
  HWY_ALIGN double sums[kTileRows] = {};
  for (Index first = 0; first < columns; first += kColumns) {
    const Index count = std::min(kColumns, columns - first);
    for (Index r = 0; r < kTileRows; r += 4) {
      const double* centre[4];
      for (Index i = 0; i < 4; ++i) centre[i] = centres + labels[r + i] * columns + first;
      Index j = 0;
      for (; j + 4 <= count; j += 4) transpose4(centre, j, own + j * kTileRows + r);
      for (; j < count; ++j)
        for (Index i = 0; i < 4; ++i) own[j * kTileRows + r + i] = centre[i][j];
    }
    for (Index r = 0; r < kTileRows; r += width) {
      auto sum = hn::Load(d, sums + r);
      for (Index j = 0; j < count; ++j) {
        const auto x = load_rows(d, tile + (first + j) * kTileRows + r);
        const auto scaled = hn::Mul(hn::Sub(x, hn::Load(d, own + j * kTileRows + r)), factor);
        sum = hn::MulAdd(scaled, scaled, sum);
      }
      hn::Store(sum, d, sums + r);
    }
  }
  std::copy(sums, sums + kTileRows, distances);
}
void labelled_distances_float(const float* tile, Index columns, const double* centres,
                              const std::int32_t* labels, double scale, double* distances) {
  labelled_distances_any(tile, columns, centres, labels, scale, distances);
}
void labelled_distances_double(const double* tile, Index columns, const double* centres,
                               const std::int32_t* labels, double scale, double* distances) {
  labelled_distances_any(tile, columns, centres, labels, scale, distances);
}

template <class Scalar, int kVectors>
HWY_INLINE void products_part(const Scalar* tile, Index columns, const double* shift, const double* vectors,
                              double* out) {
  const hn::CappedTag<double, 8> d;
  const auto width = static_cast<Index>(hn::Lanes(d));
  for (Index r = 0; r < kTileRows; r += width) {
    hn::Vec<decltype(d)> sum[kVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) sum[v] = hn::Zero(d);
    for (Index j = 0; j < columns; ++j) {
      const auto x = hn::Sub(load_rows(d, tile + j * kTileRows + r), hn::Set(d, shift[j]));
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) sum[v] = hn::MulAdd(x, hn::Set(d, vectors[v * columns + j]), sum[v]);
    }
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) hn::StoreU(sum[v], d, out + v * kTileRows + r);
  }
}

template <class Scalar>
void tile_products_any(const Scalar* tile, Index columns, const double* shift, const double* vectors,
                       Index count, double* out) {
  Index v = 0;
  for (; v + 8 <= count; v += 8)
    products_part<Scalar, 8>(tile, columns, shift, vectors + v * columns, out + v * kTileRows);
  for (; v < count; ++v)
    products_part<Scalar, 1>(tile, columns, shift, vectors + v * columns, out + v * kTileRows);
}
void tile_products_float(const float* tile, Index columns, const double* shift, const double* vectors,
                         Index count, double* out) {
  tile_products_any(tile, columns, shift, vectors, count, out);
}
void tile_products_double(const double* tile, Index columns, const double* shift, const double* vectors,
                          Index count, double* out) {
  tile_products_any(tile, columns, shift, vectors, count, out);
}

}  // namespace firesteel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace firesteel {

namespace {
HWY_EXPORT(direct_distances_kernel);
HWY_EXPORT(labelled_distances_float);
HWY_EXPORT(labelled_distances_double);
HWY_EXPORT(tile_products_float);
HWY_EXPORT(tile_products_double);
}  // namespace

void direct_distances(std::span<const double> row, const double* columnwise, Index stride, double scale,
                      double* distances) {
  select_simd();
  HWY_DYNAMIC_DISPATCH(direct_distances_kernel)
  (row.data(), static_cast<Index>(row.size()), columnwise, stride, scale, distances);
}

template <>
void labelled_distances(const float* tile, Index columns, const double* centres, const std::int32_t* labels,
                        double scale, double* distances) {
  select_simd();
  HWY_DYNAMIC_DISPATCH(labelled_distances_float)(tile, columns, centres, labels, scale, distances);
}
template <>
void labelled_distances(const double* tile, Index columns, const double* centres, const std::int32_t* labels,
                        double scale, double* distances) {
  select_simd();
  HWY_DYNAMIC_DISPATCH(labelled_distances_double)(tile, columns, centres, labels, scale, distances);
}

template <>
void tile_products(const float* tile, Index columns, const double* shift, const double* vectors, Index count,
                   double* out) {
  select_simd();
  HWY_DYNAMIC_DISPATCH(tile_products_float)(tile, columns, shift, vectors, count, out);
}
template <>
void tile_products(const double* tile, Index columns, const double* shift, const double* vectors, Index count,
                   double* out) {
  select_simd();
  HWY_DYNAMIC_DISPATCH(tile_products_double)(tile, columns, shift, vectors, count, out);
}

}  // namespace firesteel
#endif  // HWY_ONCE
