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

#include "firesteel/linalg/simd_masks-inl.hpp"

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
  HWY_ATTR Nearest() {}  // one of the compiler's own would not be compiled for this target on AArch64
};

/// f of kCentres centres for two registers of rows, held in registers; then the comparison, centre by centre.
template <class Scalar, int kCentres>
HWY_INLINE void scan_centres(const Scalar* rows, Index stride, Index columns, const Scalar* values,
                             Index group, const Scalar* offsets, Index first, Nearest<Scalar>& nearest) {
  const TileTag<Scalar> d;
  const auto width = static_cast<Index>(hn::Lanes(d));
  TileVector<Scalar> f[kCentres][2];
#pragma GCC unroll 16
  for (int c = 0; c < kCentres; ++c) f[c][0] = f[c][1] = hn::Set(d, offsets[c]);
  for (Index j = 0; j < columns; ++j) {
    const auto x0 = hn::Load(d, rows + j * stride);
    const auto x1 = hn::Load(d, rows + j * stride + width);
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

/// Gaps of two registers of rows, see find_nearest(): with d = ‖x − c‖ and G ≤ ½(d'² − d²),
/// d' − d ≥ 2G/(√(d² + 2G) + d), which falls with d.
template <class Scalar>
HWY_INLINE void store_gaps(const Scalar* rows, Index stride, const PackedCentres<Scalar>& centres,
                           const Nearest<Scalar>& nearest, const SearchBounds<Scalar>& bounds, float* gaps) {
  const TileTag<Scalar> d;
  const hn::Rebind<float, TileTag<Scalar>> df;
  const auto width = static_cast<Index>(hn::Lanes(d));
  TileVector<Scalar> square[2] = {hn::Zero(d), hn::Zero(d)};
  for (Index j = 0; j < centres.columns(); ++j) {
    const auto shift = hn::Set(d, centres.shift()[j]);
    const auto x0 = hn::Sub(hn::Load(d, rows + j * stride), shift);
    const auto x1 = hn::Sub(hn::Load(d, rows + j * stride + width), shift);
    square[0] = hn::MulAdd(x0, x0, square[0]);
    square[1] = hn::MulAdd(x1, x1, square[1]);
  }
  // Less than all roundings from here on, that to single precision included.
  const auto down = hn::Set(d, static_cast<Scalar>(1 - 0x1p-19));
  for (int part = 0; part < 2; ++part) {
    const auto half =
        hn::Sub(hn::Sub(nearest.second[part], nearest.smallest[part]), hn::Set(d, bounds.chain));
    const auto twice = hn::Add(half, half);
    const auto own = hn::Max(hn::Zero(d), hn::Add(hn::Add(square[part], hn::Set(d, bounds.excess)),
                                                  hn::Add(nearest.smallest[part], nearest.smallest[part])));
    const auto sum = hn::Add(hn::Sqrt(hn::Add(own, twice)), hn::Sqrt(own));
    const auto gap = hn::Sub(hn::Mul(hn::Div(twice, sum), down), hn::Set(d, bounds.margin));
    if constexpr (sizeof(Scalar) == sizeof(float))
      hn::StoreU(gap, df, gaps + part * width);
    else
      hn::StoreU(hn::DemoteTo(df, gap), df, gaps + part * width);
  }
}

/// Labels of a tile's rows; returns a bit for each row whose two smallest f are no farther apart than
/// the tolerance.
template <class Scalar, int kCentres>
HWY_NOINLINE std::uint32_t scan_tile(const Scalar* tile, Index stride, const PackedCentres<Scalar>& centres,
                                     const SearchBounds<Scalar>& bounds, std::int32_t* labels, float* gaps) {
  const TileTag<Scalar> d;
  const auto width = static_cast<Index>(hn::Lanes(d));
  const auto least_gap = hn::Set(d, bounds.tolerance);
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
        scan_centres<Scalar, kPart>(tile + row, stride, centres.columns(), centres.values(g) + c, kCentres,
                                    centres.offsets(g) + c, g * kCentres + c, nearest);
    for (int part = 0; part < 2; ++part) {
      const Index at = row + part * width;
      store_labels<Scalar>(nearest.label[part], labels + at);
      // Where both are infinite or not numbers the comparison is false: not sure.
      const auto gap = hn::Sub(nearest.second[part], nearest.smallest[part]);
      sure |= mask_bits(d, hn::Gt(gap, least_gap)) << at;
    }
    if (gaps != nullptr) store_gaps<Scalar>(tile + row, stride, centres, nearest, bounds, gaps + row);
  }
  return ~sure;
}

/// While tile t of `count` is computed on: memory fetches few lines at a time.
template <class Scalar>
HWY_INLINE void ask_for_share(const Coming<Scalar>& coming, Index t, Index count) {
  for (Index i = coming.count * t / count; i < coming.count * (t + 1) / count; ++i)
    for (Index at = 0; at < coming.values; at += static_cast<Index>(64 / sizeof(Scalar)))
      __builtin_prefetch(coming.tiles[i] + at, 0, 2);
}

template <class Scalar, int kCentres>
void scan_tiles(const TileRun<Scalar>& run, const PackedCentres<Scalar>& centres,
                const SearchBounds<Scalar>* bounds, std::int32_t* labels, std::uint32_t* unsure,
                float* gaps) {
  for (Index t = 0; t < run.count; ++t) {
    ask_for_share(run.coming, t, run.count);
    unsure[t] =
        scan_tile<Scalar, kCentres>(run.rows + t * run.step, run.stride, centres, bounds[t],
                                    labels + t * kTileRows, gaps == nullptr ? nullptr : gaps + t * kTileRows);
  }
}

template <class Scalar>
void find_nearest_any(const TileRun<Scalar>& run, const PackedCentres<Scalar>& centres,
                      const SearchBounds<Scalar>* bounds, std::int32_t* labels, std::uint32_t* unsure,
                      float* gaps) {
  switch (centres.group()) {
    case 2:
      return scan_tiles<Scalar, 2>(run, centres, bounds, labels, unsure, gaps);
    case 4:
      return scan_tiles<Scalar, 4>(run, centres, bounds, labels, unsure, gaps);
    case 6:
      return scan_tiles<Scalar, 6>(run, centres, bounds, labels, unsure, gaps);
    case 8:
      return scan_tiles<Scalar, 8>(run, centres, bounds, labels, unsure, gaps);
    case 10:
      return scan_tiles<Scalar, 10>(run, centres, bounds, labels, unsure, gaps);
    default:
      return scan_tiles<Scalar, 12>(run, centres, bounds, labels, unsure, gaps);
  }
}

void find_nearest_float(const TileRun<float>& run, const PackedCentres<float>& centres,
                        const SearchBounds<float>* bounds, std::int32_t* labels, std::uint32_t* unsure,
                        float* gaps) {
  find_nearest_any(run, centres, bounds, labels, unsure, gaps);
}
void find_nearest_double(const TileRun<double>& run, const PackedCentres<double>& centres,
                         const SearchBounds<double>* bounds, std::int32_t* labels, std::uint32_t* unsure,
                         float* gaps) {
  find_nearest_any(run, centres, bounds, labels, unsure, gaps);
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
    : count_(static_cast<Index>(centres.size()) / columns),
      columns_(columns),
      group_(choose_group(count_)),
      exponent_(exponent),
      values_(static_cast<std::size_t>(groups() * group_ * columns_)),
      offsets_(static_cast<std::size_t>(groups() * group_), std::numeric_limits<Scalar>::infinity()),
      shift_(shift.begin(), shift.end()) {
  double square = 0;
  for (const double middle : shift) square += middle * middle;
  shift_norm_ = std::sqrt(square);
  assign(centres, shift);
}

template <class Scalar>
void PackedCentres<Scalar>::assign(std::span<const double> centres, std::span<const double> shift) {
  largest_offset_ = largest_norm_ = 0;
  const double scale = std::ldexp(1.0, exponent_);
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
double PackedCentres<Scalar>::chain(double row_norm) const {
  // f is a chain of `columns` fused multiply-adds on rounded centres and a rounded offset: each step errs by
  // at most u times the sum of the magnitudes. Eight more steps cover the rounding of the inputs and of this
  // bound itself.
  constexpr double kUnit = std::numeric_limits<Scalar>::epsilon() / 2;
  constexpr double kDirectUnit = std::numeric_limits<double>::epsilon() / 2;
  const auto steps = static_cast<double>(columns_ + 8);
  return steps * (kUnit + kDirectUnit) * (largest_offset_ + row_norm * largest_norm_);
}

template <class Scalar>
Scalar PackedCentres<Scalar>::tolerance(double row_norm, double centred_norm) const {
  // The direct sum errs by columns·u of a distance of at most 2(‖x − m‖² + ‖c − m‖²).
  constexpr double kDirectUnit = std::numeric_limits<double>::epsilon() / 2;
  const auto steps = static_cast<double>(columns_ + 8);
  const double direct =
      steps * kDirectUnit * 2 * (centred_norm * centred_norm + largest_norm_ * largest_norm_);
  const double underflow = steps * static_cast<double>(std::numeric_limits<Scalar>::min());
  // One per cent for the rounding of this bound, of its conversion, and of the difference compared with it.
  return static_cast<Scalar>(1.01 * (2 * chain(row_norm) + direct + underflow));
}

template <class Scalar>
SearchBounds<Scalar> PackedCentres<Scalar>::bounds(double row_norm, double centred_norm) const {
  constexpr double kUnit = std::numeric_limits<Scalar>::epsilon() / 2;
  constexpr double kDirectUnit = std::numeric_limits<double>::epsilon() / 2;
  const auto steps = static_cast<double>(columns_ + 8);
  const double underflow = steps * static_cast<double>(std::numeric_limits<Scalar>::min());
  const double twice_chain = 1.01 * (2 * chain(row_norm) + underflow);
  // ‖x − m‖² is summed of differences from a shift that is rounded to Scalar; then 2f is added. All
  // magnitudes are at most (‖x − m‖ + ‖c − m‖ + the rounding of m)².
  const double off = kUnit * shift_norm_;
  const double reach = centred_norm + largest_norm_ + off;
  const double excess =
      1.01 * (twice_chain + (steps + 16) * kUnit * reach * reach + 2 * centred_norm * off + off * off);
  // Distances that differ by more than their own rounding are summed in their order: Σ errs by steps·u of
  // itself.
  const double margin = 4 * steps * kDirectUnit * reach + underflow;
  return {tolerance(row_norm, centred_norm), static_cast<Scalar>(twice_chain), static_cast<Scalar>(excess),
          static_cast<Scalar>(1.01 * margin)};
}

template class PackedCentres<float>;
template class PackedCentres<double>;

template <>
void find_nearest(const TileRun<float>& run, const PackedCentres<float>& centres,
                  const SearchBounds<float>* bounds, std::int32_t* labels, std::uint32_t* unsure,
                  float* gaps) {
  select_simd();
  HWY_DYNAMIC_DISPATCH(find_nearest_float)(run, centres, bounds, labels, unsure, gaps);
}
template <>
void find_nearest(const TileRun<double>& run, const PackedCentres<double>& centres,
                  const SearchBounds<double>* bounds, std::int32_t* labels, std::uint32_t* unsure,
                  float* gaps) {
  select_simd();
  HWY_DYNAMIC_DISPATCH(find_nearest_double)(run, centres, bounds, labels, unsure, gaps);
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
