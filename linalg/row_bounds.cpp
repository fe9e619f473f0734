// SPDX-License-Identifier: Apache-2.0
#include "firesteel/linalg/row_bounds.hpp"

#include <bit>
#include <cstring>
#include <limits>

#include "firesteel/linalg/simd.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "firesteel/linalg/row_bounds.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>

#include "firesteel/linalg/simd_masks-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace firesteel::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Labels = hn::CappedTag<std::int32_t, 16>;
using Floats = hn::CappedTag<float, 16>;

template <class D>
HWY_INLINE hn::Mask<D> mask_of(D d, std::uint32_t bits) {
  std::uint8_t bytes[8] = {};
  std::memcpy(bytes, &bits, sizeof bits);
  return hn::LoadMaskBits(d, bytes);
}

void compare_labels_kernel(const std::int32_t* found, const std::int32_t* before, Index tiles,
                           std::uint32_t* changed) {
  const Labels d;
  const auto width = static_cast<Index>(hn::Lanes(d));
  for (Index t = 0; t < tiles; ++t) {
    std::uint32_t bits = 0;
    for (Index r = 0; r < kTileRows; r += width) {
      const Index at = t * kTileRows + r;
      bits |= mask_bits(d, hn::Ne(hn::LoadU(d, found + at), hn::LoadU(d, before + at))) << r;
    }
    changed[t] = bits;
  }
}

/// The smallest lane of numbers and infinities.
template <class D>
HWY_INLINE float smallest_lane(D d, hn::Vec<D> lanes) {
  HWY_ALIGN float values[16];
  hn::Store(lanes, d, values);
  float least = values[0];
  for (std::size_t i = 1; i < hn::Lanes(d); ++i) least = values[i] < least ? values[i] : least;
  return least;
}

/// By less than half a unit in the last place more than a rounding, towards −∞ for what is positive.
constexpr float kDown = 1 - 0x1p-22F;

/// spent[label] of each lane; of few clusters it is looked up in a register, which is faster than to gather.
HWY_INLINE hn::Vec<Floats> spent_by(const float* spent, Index clusters, hn::Vec<Labels> labels) {
  const Floats d;
#if HWY_TARGET == HWY_AVX3
  const Labels di;
  if (clusters <= 16)
    return hn::TableLookupLanes(hn::LoadU(d, spent), hn::IndicesFromVec(d, hn::And(labels, hn::Set(di, 15))));
#else
  static_cast<void>(clusters);
#endif
  return hn::GatherIndex(d, spent, labels);
}

std::uint32_t stale_rows_kernel(const float* slack, const std::int32_t* labels, const float* spent,
                                Index clusters, float* least) {
  const Floats d;
  const Labels di;
  const auto width = static_cast<Index>(hn::Lanes(d));
  const auto infinity = hn::Set(d, std::numeric_limits<float>::infinity());
  auto smallest = infinity;
  std::uint32_t fresh = 0;
  for (Index r = 0; r < kTileRows; r += width) {
    const auto left = hn::Sub(hn::LoadU(d, slack + r), spent_by(spent, clusters, hn::LoadU(di, labels + r)));
    const auto enough = hn::Gt(left, hn::Zero(d));
    fresh |= mask_bits(d, enough) << r;
    smallest = hn::Min(smallest, hn::IfThenElse(enough, left, infinity));
  }
  *least = smallest_lane(d, smallest) * kDown;
  return ~fresh;
}

float renew_slack_kernel(const float* gaps, const std::int32_t* labels, const float* spent, Index clusters,
                         std::uint32_t rows, float least, float* slack) {
  const Floats d;
  const Labels di;
  const auto width = static_cast<Index>(hn::Lanes(d));
  const auto down = hn::Set(d, kDown);
  const auto none = hn::Set(d, -std::numeric_limits<float>::infinity());
  auto smallest = hn::Set(d, least);
  for (Index r = 0; r < kTileRows; r += width) {
    const auto wanted = mask_of(d, rows >> r);
    auto gap = hn::LoadU(d, gaps + r);
    gap = hn::IfThenElse(hn::Gt(gap, hn::Zero(d)), gap, none);
    const auto sum = hn::Add(gap, spent_by(spent, clusters, hn::LoadU(di, labels + r)));
    const auto before = hn::LoadU(d, slack + r);
    hn::StoreU(hn::IfThenElse(wanted, hn::Mul(sum, down), before), d, slack + r);
    smallest = hn::IfThenElse(wanted, hn::Min(smallest, gap), smallest);
  }
  return smallest_lane(d, smallest);
}

/// The lanes wanted, then the others.
template <class D>
HWY_INLINE auto wanted_first(D d, std::uint32_t bits) {
  const hn::RebindToSigned<D> di;
  return hn::IndicesFromVec(d, hn::Compress(hn::Iota(di, 0), hn::RebindMask(di, mask_of(d, bits))));
}

template <class Scalar>
HWY_INLINE Index pack_any(const Scalar* tile, Index columns, std::uint32_t rows, Scalar* packed,
                          Index stride) {
  const hn::CappedTag<Scalar, 16> d;
  const auto width = static_cast<Index>(hn::Lanes(d));
  const auto part = static_cast<std::uint32_t>((std::uint64_t{1} << hn::Lanes(d)) - 1);
  Index place = 0;
  // Two registers of rows at once: a column's lines are read one after the other.
  for (Index r = 0; r < kTileRows; r += 2 * width) {
    const std::uint32_t first = (rows >> r) & part;
    const std::uint32_t second = (rows >> (r + width)) & part;
    if ((first | second) == 0) continue;
    const auto first_lanes = wanted_first(d, first);
    const auto second_lanes = wanted_first(d, second);
    const Index middle = place + std::popcount(first);
    for (Index j = 0; j < columns; ++j) {
      const Scalar* from = tile + j * kTileRows + r;
      Scalar* to = packed + j * stride;
      hn::StoreU(hn::TableLookupLanes(hn::Load(d, from), first_lanes), d, to + place);
      hn::StoreU(hn::TableLookupLanes(hn::Load(d, from + width), second_lanes), d, to + middle);
    }
    place = middle + std::popcount(second);
  }
  return place;
}
Index pack_float(const float* tile, Index columns, std::uint32_t rows, float* packed, Index stride) {
  return pack_any(tile, columns, rows, packed, stride);
}
Index pack_double(const double* tile, Index columns, std::uint32_t rows, double* packed, Index stride) {
  return pack_any(tile, columns, rows, packed, stride);
}

#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3
HWY_INLINE hn::Vec<hn::FixedTag<double, 4>> four_rows(const double* at) {
  return hn::Load(hn::FixedTag<double, 4>(), at);
}
HWY_INLINE hn::Vec<hn::FixedTag<double, 4>> four_rows(const float* at) {
  return hn::PromoteTo(hn::FixedTag<double, 4>(), hn::Load(hn::FixedTag<float, 4>(), at));
}

/// Columns j … j + 3 of four rows of a tile.
template <class Scalar>
HWY_INLINE void turn_four(const Scalar* at, double* rows, Index stride) {
  const hn::FixedTag<double, 4> d;
  const auto c0 = four_rows(at);
  const auto c1 = four_rows(at + kTileRows);
  const auto c2 = four_rows(at + 2 * kTileRows);
  const auto c3 = four_rows(at + 3 * kTileRows);
  const auto even01 = hn::InterleaveLower(d, c0, c1);
  const auto odd01 = hn::InterleaveUpper(d, c0, c1);
  const auto even23 = hn::InterleaveLower(d, c2, c3);
  const auto odd23 = hn::InterleaveUpper(d, c2, c3);
  hn::StoreU(hn::ConcatLowerLower(d, even23, even01), d, rows);
  hn::StoreU(hn::ConcatLowerLower(d, odd23, odd01), d, rows + stride);
  hn::StoreU(hn::ConcatUpperUpper(d, even23, even01), d, rows + 2 * stride);
  hn::StoreU(hn::ConcatUpperUpper(d, odd23, odd01), d, rows + 3 * stride);
}
#endif

template <class Scalar>
HWY_INLINE void copy_eight(const Scalar* tile, Index columns, Index first, double* rows, Index stride) {
  Index j = 0;
#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3
  for (; j + 4 <= columns; j += 4)
    for (Index half = 0; half < 8; half += 4)
      turn_four(tile + j * kTileRows + first + half, rows + half * stride + j, stride);
#endif
  for (; j < columns; ++j)
    for (Index i = 0; i < 8; ++i) rows[i * stride + j] = static_cast<double>(tile[j * kTileRows + first + i]);
}
void copy_eight_float(const float* tile, Index columns, Index first, double* rows, Index stride) {
  copy_eight(tile, columns, first, rows, stride);
}
void copy_eight_double(const double* tile, Index columns, Index first, double* rows, Index stride) {
  copy_eight(tile, columns, first, rows, stride);
}

}  // namespace firesteel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace firesteel {

namespace {
HWY_EXPORT(compare_labels_kernel);
HWY_EXPORT(stale_rows_kernel);
HWY_EXPORT(renew_slack_kernel);
HWY_EXPORT(pack_float);
HWY_EXPORT(pack_double);
HWY_EXPORT(copy_eight_float);
HWY_EXPORT(copy_eight_double);
}  // namespace

void compare_labels(const std::int32_t* found, const std::int32_t* before, Index tiles,
                    std::uint32_t* changed) {
  select_simd();
  HWY_DYNAMIC_DISPATCH(compare_labels_kernel)(found, before, tiles, changed);
}

std::uint32_t stale_rows(const float* slack, const std::int32_t* labels, const float* spent, Index clusters,
                         float* least) {
  select_simd();
  return HWY_DYNAMIC_DISPATCH(stale_rows_kernel)(slack, labels, spent, clusters, least);
}

float renew_slack(const float* gaps, const std::int32_t* labels, const float* spent, Index clusters,
                  std::uint32_t rows, float least, float* slack) {
  select_simd();
  return HWY_DYNAMIC_DISPATCH(renew_slack_kernel)(gaps, labels, spent, clusters, rows, least, slack);
}

template <>
Index pack_rows(const float* tile, Index columns, std::uint32_t rows, float* packed, Index stride) {
  select_simd();
  return HWY_DYNAMIC_DISPATCH(pack_float)(tile, columns, rows, packed, stride);
}
template <>
Index pack_rows(const double* tile, Index columns, std::uint32_t rows, double* packed, Index stride) {
  select_simd();
  return HWY_DYNAMIC_DISPATCH(pack_double)(tile, columns, rows, packed, stride);
}

template <>
void copy_eight_rows(const float* tile, Index columns, Index first, double* rows, Index stride) {
  select_simd();
  HWY_DYNAMIC_DISPATCH(copy_eight_float)(tile, columns, first, rows, stride);
}
template <>
void copy_eight_rows(const double* tile, Index columns, Index first, double* rows, Index stride) {
  select_simd();
  HWY_DYNAMIC_DISPATCH(copy_eight_double)(tile, columns, first, rows, stride);
}

}  // namespace firesteel
#endif  // HWY_ONCE
