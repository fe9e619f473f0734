// SPDX-License-Identifier: Apache-2.0
#include "firesteel/linalg/nearest_centres.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>
#include <vector>

#include "firesteel/linalg/simd.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "firesteel/linalg/nearest_centres.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace firesteel::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class Scalar>
using TileTag = hn::CappedTag<Scalar, kTileRows>;
template <class Scalar>
using TileVector = hn::Vec<TileTag<Scalar>>;

/// Two registers of rows: the smallest f so far, the second smallest, the index of the smallest.
template <class Scalar>
struct Nearest {
  TileVector<Scalar> smallest[2];
  TileVector<Scalar> second[2];
  TileVector<Scalar> label[2];
};

/// f of kCentres centres for two registers of rows, held in registers; then the comparison, centre by centre.
template <class Scalar, int kCentres>
HWY_INLINE void scan_centres(const Scalar* rows, Index columns, const Scalar* values, Index group,
                             const Scalar* offsets, Index first, Nearest<Scalar>& nearest) {
  const TileTag<Scalar> d;
  const auto width = static_cast<Index>(hn::Lanes(d));
  TileVector<Scalar> f[kCentres][2];
#pragma GCC unroll 16
  for (int c = 0; c < kCentres; ++c) f[c][0] = f[c][1] = hn::Set(d, offsets[c]);
  for (Index j = 0; j < columns; ++j) {
    const auto x0 = hn::Load(d, rows + j * kTileRows);
    const auto x1 = hn::Load(d, rows + j * kTileRows + width);
    const Scalar* column = values + j * group;
#pragma GCC unroll 16
    for (int c = 0; c < kCentres; ++c) {
      const auto centre = hn::Set(d, column[c]);
      f[c][0] = hn::NegMulAdd(x0, centre, f[c][0]);
      f[c][1] = hn::NegMulAdd(x1, centre, f[c][1]);
    }
  }
#pragma GCC unroll 16
  for (int c = 0; c < kCentres; ++c) {
    const auto label = hn::Set(d, static_cast<Scalar>(first + c));
#pragma GCC unroll 2
    for (int part = 0; part < 2; ++part) {
      const auto closer = hn::Lt(f[c][part], nearest.smallest[part]);
      nearest.second[part] = hn::Min(nearest.second[part], hn::Max(nearest.smallest[part], f[c][part]));
      nearest.smallest[part] = hn::Min(nearest.smallest[part], f[c][part]);
      nearest.label[part] = hn::IfThenElse(closer, label, nearest.label[part]);
    }
  }
}

/// Labels as whole numbers; they are exact in either precision.
template <class Scalar>
HWY_INLINE void store_labels(TileVector<Scalar> label, std::int32_t* at) {
  const hn::Rebind<std::int32_t, TileTag<Scalar>> di;
  if constexpr (sizeof(Scalar) == sizeof(float))
    hn::StoreU(hn::ConvertTo(di, label), di, at);
  else
    hn::StoreU(hn::DemoteTo(di, label), di, at);
}

/// A bit a lane, from bit 0.
template <class D, class Mask>
HWY_INLINE std::uint32_t mask_bits(D d, Mask mask) {
  std::uint8_t bytes[8] = {};
  hn::StoreMaskBits(d, mask, bytes);
  std::uint32_t bits = 0;
  std::memcpy(&bits, bytes, sizeof bits);
  return bits & static_cast<std::uint32_t>((std::uint64_t{1} << hn::Lanes(d)) - 1);
}

/// Labels of a tile's rows; returns a bit for each row whose two smallest f are no farther apart than
/// `tolerance`.
template <class Scalar, int kCentres>
HWY_NOINLINE std::uint32_t scan_tile(const Scalar* tile, const PackedCentres<Scalar>& centres,
                                     Scalar tolerance, std::int32_t* labels) {
  const TileTag<Scalar> d;
  const auto width = static_cast<Index>(hn::Lanes(d));
  const auto least_gap = hn::Set(d, tolerance);
  // 32 registers hold kCentres x 2 sums; 16 hold half as many, so the group is scanned in two parts.
  constexpr int kPart = HWY_TARGET == HWY_AVX3 || kCentres <= 6 ? kCentres : kCentres / 2;
  std::uint32_t sure = 0;
  for (Index row = 0; row < kTileRows; row += 2 * width) {
    Nearest<Scalar> nearest;
    for (int part = 0; part < 2; ++part) {
      nearest.smallest[part] = nearest.second[part] = hn::Set(d, std::numeric_limits<Scalar>::infinity());
      nearest.label[part] = hn::Zero(d);
    }
    for (Index g = 0; g < centres.groups(); ++g)
      for (int c = 0; c < kCentres; c += kPart)
        scan_centres<Scalar, kPart>(tile + row, centres.columns(), centres.values(g) + c, kCentres,
                                    centres.offsets(g) + c, g * kCentres + c, nearest);
    for (int part = 0; part < 2; ++part) {
      const Index at = row + part * width;
      store_labels<Scalar>(nearest.label[part], labels + at);
      // Where both are infinite or not numbers the comparison is false: not sure.
      const auto gap = hn::Sub(nearest.second[part], nearest.smallest[part]);
      sure |= mask_bits(d, hn::Gt(gap, least_gap)) << at;
    }
  }
  return ~sure;
}

template <class Scalar, int kCentres>
void scan_tiles(const Scalar* tiles, Index count, const PackedCentres<Scalar>& centres,
                const Scalar* tolerances, std::int32_t* labels, std::uint32_t* unsure) {
  for (Index t = 0; t < count; ++t)
    unsure[t] = scan_tile<Scalar, kCentres>(tiles + t * kTileRows * centres.columns(), centres, tolerances[t],
                                            labels + t * kTileRows);
}

template <class Scalar>
void find_nearest_any(const Scalar* tiles, Index count, const PackedCentres<Scalar>& centres,
                      const Scalar* tolerances, std::int32_t* labels, std::uint32_t* unsure) {
  switch (centres.group()) {
    case 2:
      return scan_tiles<Scalar, 2>(tiles, count, centres, tolerances, labels, unsure);
    case 4:
      return scan_tiles<Scalar, 4>(tiles, count, centres, tolerances, labels, unsure);
    case 6:
      return scan_tiles<Scalar, 6>(tiles, count, centres, tolerances, labels, unsure);
    case 8:
      return scan_tiles<Scalar, 8>(tiles, count, centres, tolerances, labels, unsure);
    case 10:
      return scan_tiles<Scalar, 10>(tiles, count, centres, tolerances, labels, unsure);
    default:
      return scan_tiles<Scalar, 12>(tiles, count, centres, tolerances, labels, unsure);
  }
}

void find_nearest_float(const float* tiles, Index count, const PackedCentres<float>& centres,
                        const float* tolerances, std::int32_t* labels, std::uint32_t* unsure) {
  find_nearest_any(tiles, count, centres, tolerances, labels, unsure);
}
void find_nearest_double(const double* tiles, Index count, const PackedCentres<double>& centres,
                         const double* tolerances, std::int32_t* labels, std::uint32_t* unsure) {
  find_nearest_any(tiles, count, centres, tolerances, labels, unsure);
}

void compare_labels_kernel(const std::int32_t* found, const std::int32_t* before, Index tiles,
                           std::uint32_t* changed) {
  const hn::CappedTag<std::int32_t, 16> d;
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

template <class Scalar, int kVectors>
HWY_INLINE void scores_part(const std::int32_t* indices, const Scalar* values, Index count,
                            const double* columnwise, Index stride, const double* offsets, double* scores) {
  const hn::CappedTag<double, 8> d;
  const auto width = static_cast<Index>(hn::Lanes(d));
  for (Index part = 0; part < 8; part += width) {
    hn::Vec<decltype(d)> sum[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) sum[v] = hn::LoadU(d, offsets + v * 8 + part);
    for (Index i = 0; i < count; ++i) {
      const auto x = hn::Set(d, static_cast<double>(values[i]));
      const double* column = columnwise + indices[i] * stride + part;
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) sum[v] = hn::NegMulAdd(x, hn::LoadU(d, column + v * 8), sum[v]);
    }
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) hn::StoreU(sum[v], d, scores + v * 8 + part);
  }
}

template <class Scalar>
void scores_any(const std::int32_t* indices, const Scalar* values, Index count, const double* columnwise,
                Index stride, const double* offsets, double* scores) {
  Index c = 0;
  for (; c + 32 <= stride; c += 32)
    scores_part<Scalar, 4>(indices, values, count, columnwise + c, stride, offsets + c, scores + c);
  for (; c < stride; c += 8)
    scores_part<Scalar, 1>(indices, values, count, columnwise + c, stride, offsets + c, scores + c);
}
void sparse_scores_float(const std::int32_t* indices, const float* values, Index count,
                         const double* columnwise, Index stride, const double* offsets, double* scores) {
  scores_any(indices, values, count, columnwise, stride, offsets, scores);
}
void sparse_scores_double(const std::int32_t* indices, const double* values, Index count,
                          const double* columnwise, Index stride, const double* offsets, double* scores) {
  scores_any(indices, values, count, columnwise, stride, offsets, scores);
}

}  // namespace firesteel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace firesteel {

namespace {
HWY_EXPORT(find_nearest_float);
HWY_EXPORT(find_nearest_double);
HWY_EXPORT(compare_labels_kernel);
HWY_EXPORT(sparse_scores_float);
HWY_EXPORT(sparse_scores_double);

/// The group width that wastes fewest padded centres; the widest of those, because it loads a row less often.
Index choose_group(Index count) {
  Index best = 2;
  for (const Index group : {4, 6, 8, 10, 12}) {
    const auto padded = [&](Index g) { return (count + g - 1) / g * g; };
    if (padded(group) <= padded(best)) best = group;
  }
  return best;
}

}  // namespace

template <class Scalar>
PackedCentres<Scalar>::PackedCentres(std::span<const double> centres, Index columns,
                                     std::span<const double> shift, int exponent)
    : count_(static_cast<Index>(centres.size()) / columns), columns_(columns), group_(choose_group(count_)) {
  values_.resize(static_cast<std::size_t>(groups() * group_ * columns_));
  offsets_.resize(static_cast<std::size_t>(groups() * group_), std::numeric_limits<Scalar>::infinity());
  const double scale = std::ldexp(1.0, exponent);
  for (Index c = 0; c < count_; ++c) {
    double offset = 0;
    double magnitude = 0;
    double norm = 0;
    for (Index j = 0; j < columns_; ++j) {
      const double centre = centres[static_cast<std::size_t>(c * columns_ + j)] * scale;
      const double middle = shift[static_cast<std::size_t>(j)] * scale;
      const double difference = centre - middle;
      const double half_sum = 0.5 * (centre + middle);
      offset += difference * half_sum;
      magnitude += std::abs(difference * half_sum);
      norm += difference * difference;
      const auto value = static_cast<Scalar>(difference * scale);
      values_[static_cast<std::size_t>((c / group_ * columns_ + j) * group_ + c % group_)] = value;
      // A centre out of reach of this precision makes every comparison unsure.
      if (!std::isfinite(value)) magnitude = std::numeric_limits<double>::infinity();
    }
    offsets_[static_cast<std::size_t>(c)] = static_cast<Scalar>(offset);
    if (!std::isfinite(static_cast<Scalar>(offset))) magnitude = std::numeric_limits<double>::infinity();
    largest_offset_ = std::max(largest_offset_, magnitude);
    largest_norm_ = std::max(largest_norm_, norm);
  }
  largest_norm_ = std::sqrt(largest_norm_);
}

template <class Scalar>
Scalar PackedCentres<Scalar>::tolerance(double row_norm, double centred_norm) const {
  // f is a chain of `columns` fused multiply-adds on rounded centres and a rounded offset: each step errs by
  // at most u times the sum of the magnitudes. The direct sum errs by columns·u of a distance of at most
  // 2(‖x − m‖² + ‖c − m‖²). Eight more steps cover the rounding of the inputs and of this bound itself.
  constexpr double kUnit = std::numeric_limits<Scalar>::epsilon() / 2;
  constexpr double kDirectUnit = std::numeric_limits<double>::epsilon() / 2;
  const auto steps = static_cast<double>(columns_ + 8);
  const double chain = steps * (kUnit + kDirectUnit) * (largest_offset_ + row_norm * largest_norm_);
  const double direct =
      steps * kDirectUnit * 2 * (centred_norm * centred_norm + largest_norm_ * largest_norm_);
  const double underflow = steps * static_cast<double>(std::numeric_limits<Scalar>::min());
  // One per cent for the rounding of this bound, of its conversion, and of the difference compared with it.
  return static_cast<Scalar>(1.01 * (2 * chain + direct + underflow));
}

template class PackedCentres<float>;
template class PackedCentres<double>;

template <>
void find_nearest(const float* tiles, Index count, const PackedCentres<float>& centres,
                  const float* tolerances, std::int32_t* labels, std::uint32_t* unsure) {
  select_simd();
  HWY_DYNAMIC_DISPATCH(find_nearest_float)(tiles, count, centres, tolerances, labels, unsure);
}
template <>
void find_nearest(const double* tiles, Index count, const PackedCentres<double>& centres,
                  const double* tolerances, std::int32_t* labels, std::uint32_t* unsure) {
  select_simd();
  HWY_DYNAMIC_DISPATCH(find_nearest_double)(tiles, count, centres, tolerances, labels, unsure);
}

void compare_labels(const std::int32_t* found, const std::int32_t* before, Index tiles,
                    std::uint32_t* changed) {
  select_simd();
  HWY_DYNAMIC_DISPATCH(compare_labels_kernel)(found, before, tiles, changed);
}

template <>
void sparse_scores(std::span<const std::int32_t> indices, std::span<const float> values,
                   const double* columnwise, Index stride, const double* offsets, double* scores) {
  select_simd();
  HWY_DYNAMIC_DISPATCH(sparse_scores_float)
  (indices.data(), values.data(), static_cast<Index>(values.size()), columnwise, stride, offsets, scores);
}
template <>
void sparse_scores(std::span<const std::int32_t> indices, std::span<const double> values,
                   const double* columnwise, Index stride, const double* offsets, double* scores) {
  select_simd();
  HWY_DYNAMIC_DISPATCH(sparse_scores_double)
  (indices.data(), values.data(), static_cast<Index>(values.size()), columnwise, stride, offsets, scores);
}

}  // namespace firesteel
#endif  // HWY_ONCE
