// SPDX-License-Identifier: Apache-2.0
#include "firesteel/linalg/two_limb_terms.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "firesteel/linalg/simd.hpp"

// Arguments of kernels: the same types for every instruction set, so defined in the first pass only.
#ifndef FIRESTEEL_LINALG_TWO_LIMB_TERMS_TYPES
#define FIRESTEEL_LINALG_TWO_LIMB_TERMS_TYPES
namespace firesteel {
namespace {
struct TermScales {
  const double* shift;
  const double* data_scale;
  const double* limb_scale;
  const double* whole_scale;
  const std::int64_t* whole_shift;
  double weight_scale;
  double low_limb;  ///< 2^limb_bits
  Index stride;
};

struct MagnitudeOutput {
  double* largest;
  double* smallest;
  double* row_norms;
  double* centred_norms;
};

}  // namespace
}  // namespace firesteel
#endif

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "firesteel/linalg/two_limb_terms.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace firesteel::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Lanes8 = hn::CappedTag<double, 8>;

/// Adding and subtracting 1.5·2⁵² rounds to a whole number, whose two's complement stands in the low bits.
constexpr double kRounder = 0x1.8p52;

using Signed8 = hn::RebindToSigned<Lanes8>;

HWY_INLINE void add_to(std::int64_t* at, hn::Vec<Signed8> term) {
  const Signed8 di;
  hn::StoreU(hn::Add(hn::LoadU(di, at), term), di, at);
}
HWY_INLINE void take_from(std::int64_t* at, hn::Vec<Signed8> term) {
  const Signed8 di;
  hn::StoreU(hn::Sub(hn::LoadU(di, at), term), di, at);
}

/// The limbs of a register of terms; `weight` is scaled.
HWY_INLINE void split_terms(hn::Vec<Lanes8> x, const TermScales& scales, Index j, hn::Vec<Lanes8> weight,
                            hn::Vec<Signed8>& high, hn::Vec<Signed8>& low) {
  const Lanes8 d;
  const Signed8 di;
  const auto rounder = hn::Set(d, kRounder);
  const auto rounder_bits = hn::BitCast(di, rounder);
  const auto shift = hn::Load(d, scales.shift + j);
  const auto data_scale = hn::Load(d, scales.data_scale + j);
  const auto limb_scale = hn::Load(d, scales.limb_scale + j);
  // x − shift and its product with the weight, both with their rounding errors.
  const auto difference = hn::Sub(x, shift);
  const auto borrowed = hn::Sub(difference, x);
  const auto lost = hn::Sub(hn::Sub(x, hn::Sub(difference, borrowed)), hn::Add(shift, borrowed));
  const auto scaled = hn::Mul(difference, data_scale);
  const auto product = hn::Mul(scaled, weight);
  const auto product_lost =
      hn::MulAdd(hn::Mul(lost, data_scale), weight, hn::MulSub(scaled, weight, product));
  // The nearest whole number, then the rest.
  const auto limb = hn::Mul(product, limb_scale);
  const auto rounded = hn::Add(limb, rounder);
  high = hn::Sub(hn::BitCast(di, rounded), rounder_bits);
  const auto rest = hn::Add(hn::Sub(limb, hn::Sub(rounded, rounder)), hn::Mul(product_lost, limb_scale));
  low = hn::Sub(hn::BitCast(di, hn::Add(hn::Mul(rest, hn::Set(d, scales.low_limb)), rounder)), rounder_bits);
}

void move_rows_kernel(const double* rows, const TermScales& scales, const TwoLimbTerms::Move* moves,
                      std::size_t count) {
  const Lanes8 d;
  const Signed8 di;
  const auto width = static_cast<Index>(hn::Lanes(d));
  const auto rounder = hn::Set(d, kRounder);
  const auto rounder_bits = hn::BitCast(di, rounder);
  const Index stride = scales.stride;
  for (std::size_t i = 0; i < count; ++i) {
    const TwoLimbTerms::Move& move = moves[i];
    const double* row = rows + static_cast<Index>(i) * stride;
    const auto weight = hn::Set(d, move.weight * scales.weight_scale);
    const bool unit = move.weight == 1;
    for (Index j = 0; j < stride; j += width) {
      const auto x = hn::LoadU(d, row + j);
      // Where x and the shift are whole numbers in units of the high limb, as most numbers of single
      // precision are, so is their difference, and nothing is left for the low limb.
      const auto whole = hn::Mul(x, hn::Load(d, scales.whole_scale + j));
      const auto rounded = hn::Add(whole, rounder);
      if (unit && hn::AllTrue(d, hn::Eq(hn::Sub(rounded, rounder), whole))) {
        const auto high =
            hn::Sub(hn::Sub(hn::BitCast(di, rounded), rounder_bits), hn::Load(di, scales.whole_shift + j));
        if (move.to != nullptr) add_to(move.to + j, high);
        if (move.from != nullptr) take_from(move.from + j, high);
        continue;
      }
      hn::Vec<Signed8> high;
      hn::Vec<Signed8> low;
      split_terms(x, scales, j, weight, high, low);
      if (move.to != nullptr) {
        add_to(move.to + j, high);
        add_to(move.to + stride + j, low);
      }
      if (move.from != nullptr) {
        take_from(move.from + j, high);
        take_from(move.from + stride + j, low);
      }
    }
  }
}

HWY_INLINE hn::Vec<Lanes8> load_rows(Lanes8 d, const double* at) { return hn::Load(d, at); }
HWY_INLINE hn::Vec<Lanes8> load_rows(Lanes8 d, const float* at) {
  return hn::PromoteTo(d, hn::Load(hn::Rebind<float, Lanes8>(), at));
}

template <class Scalar>
HWY_INLINE void tile_range(const Scalar* tile, Index columns, const double* weights, double* sums,
                           double* lowest, double* highest) {
  const Lanes8 d;
  const auto width = static_cast<Index>(hn::Lanes(d));
  const auto infinity = hn::Set(d, std::numeric_limits<double>::infinity());
  const auto zero = hn::Zero(d);
  for (Index j = 0; j < columns; ++j) {
    for (Index lane = 0; lane < 8; lane += width) {
      double* at[] = {sums + j * 8 + lane, lowest + j * 8 + lane, highest + j * 8 + lane};
      auto sum = hn::Load(d, at[0]);
      auto low = hn::Load(d, at[1]);
      auto high = hn::Load(d, at[2]);
      for (Index r = lane; r < kTileRows; r += 8) {
        const auto x = load_rows(d, tile + j * kTileRows + r);
        const auto counts = hn::Gt(hn::LoadU(d, weights + r), zero);
        // Scaled down: a sum of the largest doubles must not overflow.
        sum = hn::Add(sum, hn::IfThenElseZero(counts, hn::Mul(x, hn::Set(d, 0x1p-64))));
        low = hn::Min(low, hn::IfThenElse(counts, x, infinity));
        high = hn::Max(high, hn::IfThenElse(counts, x, hn::Neg(infinity)));
      }
      hn::Store(sum, d, at[0]);
      hn::Store(low, d, at[1]);
      hn::Store(high, d, at[2]);
    }
  }
}
void tile_range_float(const float* tile, Index columns, const double* weights, double* sums, double* lowest,
                      double* highest) {
  tile_range(tile, columns, weights, sums, lowest, highest);
}
void tile_range_double(const double* tile, Index columns, const double* weights, double* sums, double* lowest,
                       double* highest) {
  tile_range(tile, columns, weights, sums, lowest, highest);
}

template <class Scalar>
HWY_INLINE void tile_magnitudes(const Scalar* tile, const TwoLimbTerms& terms, const double* weights,
                                double scale, const MagnitudeOutput& out) {
  const Lanes8 d;
  const auto width = static_cast<Index>(hn::Lanes(d));
  const auto infinity = hn::Set(d, std::numeric_limits<double>::infinity());
  const auto zero = hn::Zero(d);
  const auto factor = hn::Set(d, scale);
  const auto weight_scale = hn::Set(d, terms.weight_scale());
  for (Index r = 0; r < kTileRows; r += width) {
    const auto weight = hn::Mul(hn::LoadU(d, weights + r), weight_scale);
    auto row_norm = zero;
    auto centred_norm = zero;
    for (Index j = 0; j < terms.columns(); ++j) {
      double* largest = out.largest + j * 8 + r % 8;
      double* smallest = out.smallest + j * 8 + r % 8;
      const auto x = load_rows(d, tile + j * kTileRows + r);
      const auto difference = hn::Sub(x, hn::Set(d, terms.shift()[static_cast<std::size_t>(j)]));
      const auto term = hn::Abs(hn::Mul(hn::Mul(difference, hn::Set(d, terms.data_scale()[j])), weight));
      hn::Store(hn::Max(hn::Load(d, largest), term), d, largest);
      hn::Store(hn::Min(hn::Load(d, smallest), hn::IfThenElse(hn::Gt(term, zero), term, infinity)), d,
                smallest);
      const auto scaled = hn::Mul(x, factor);
      const auto centred = hn::Mul(difference, factor);
      row_norm = hn::MulAdd(scaled, scaled, row_norm);
      centred_norm = hn::MulAdd(centred, centred, centred_norm);
    }
    hn::StoreU(row_norm, d, out.row_norms + r);
    hn::StoreU(centred_norm, d, out.centred_norms + r);
  }
}
void tile_magnitudes_float(const float* tile, const TwoLimbTerms& terms, const double* weights, double scale,
                           const MagnitudeOutput& out) {
  tile_magnitudes(tile, terms, weights, scale, out);
}
void tile_magnitudes_double(const double* tile, const TwoLimbTerms& terms, const double* weights,
                            double scale, const MagnitudeOutput& out) {
  tile_magnitudes(tile, terms, weights, scale, out);
}

}  // namespace firesteel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace firesteel {

namespace {

HWY_EXPORT(move_rows_kernel);
HWY_EXPORT(tile_range_float);
HWY_EXPORT(tile_range_double);
HWY_EXPORT(tile_magnitudes_float);
HWY_EXPORT(tile_magnitudes_double);

__extension__ using Int128 = __int128;

constexpr double kRounder = 0x1.8p52;
constexpr int kMostLimbBits = 40;  // with the low limb 80 bits: a low limb must stay below 2⁵¹
constexpr double kWidestSpan = 0x1p60;

/// e with |x| < 2^e, kept where powers of two can be multiplied with; 0 for 0.
int exponent_above(double x) {
  int exponent = 0;
  if (x > 0) std::frexp(x, &exponent);
  return std::clamp(exponent, -1000, 1000);
}

}  // namespace

TwoLimbTerms::TwoLimbTerms(Index rows, std::vector<double> shift, std::span<const double> largest,
                           double largest_weight)
    : columns_(static_cast<Index>(shift.size())), stride_((columns_ + 8) / 8 * 8) {
  const int row_bits = static_cast<int>(std::bit_width(static_cast<std::uint64_t>(rows)));
  limb_bits_ = std::min(kMostLimbBits, 62 - row_bits);
  low_limb_ = std::ldexp(1.0, limb_bits_);
  const auto length = static_cast<std::size_t>(stride_);
  shift_.assign(shift.begin(), shift.end());
  shift_.resize(length, 0.0);
  data_exponent_.resize(length, 0);
  data_scale_.resize(length, 0.0);
  for (std::size_t j = 0; j < largest.size(); ++j) {
    data_exponent_[j] = exponent_above(largest[j]);
    data_scale_[j] = std::ldexp(1.0, -data_exponent_[j]);
  }
  data_scale_[static_cast<std::size_t>(columns_)] = 1.0;
  weight_exponent_ = exponent_above(largest_weight);
  weight_scale_ = std::ldexp(1.0, -weight_exponent_);
  limb_exponent_.resize(length, 0);
  limb_scale_.resize(length, 0.0);
  set_whole_scales();
}

void TwoLimbTerms::set_magnitudes(std::span<const double> largest, std::span<const double> smallest) {
  wide_.clear();
  for (std::size_t j = 0; j <= static_cast<std::size_t>(columns_); ++j) {
    limb_exponent_[j] = limb_bits_ - exponent_above(largest[j]);
    limb_scale_[j] = std::ldexp(1.0, limb_exponent_[j]);
    if (!(largest[j] > 0 && largest[j] / smallest[j] > kWidestSpan)) continue;
    wide_.push_back(static_cast<Index>(j));
    shift_[j] = 0;
  }
  set_whole_scales();
}

void TwoLimbTerms::set_whole_scales() {
  constexpr double kLargestShift = 0x1p50;  // then x in the same units stays below 2⁵¹
  whole_scale_.assign(limb_scale_.size(), 0.0);
  whole_shift_.assign(limb_scale_.size(), 0);
  for (std::size_t j = 0; j <= static_cast<std::size_t>(columns_); ++j) {
    const double scale = data_scale_[j] * weight_scale_ * limb_scale_[j];
    const double shift = shift_[j] * scale;
    const bool whole = std::isnormal(scale) && std::abs(shift) < kLargestShift &&
                       shift == std::nearbyint(shift) && shift / scale == shift_[j];
    // Not a number is never whole: such columns take the long way.
    whole_scale_[j] = whole ? scale : std::numeric_limits<double>::quiet_NaN();
    whole_shift_[j] = whole ? static_cast<std::int64_t>(shift) : 0;
  }
}

void TwoLimbTerms::move(const double* rows, std::span<const Move> moves) const {
  select_simd();
  HWY_DYNAMIC_DISPATCH(move_rows_kernel)
  (rows,
   {shift_.data(), data_scale_.data(), limb_scale_.data(), whole_scale_.data(), whole_shift_.data(),
    weight_scale_, low_limb_, stride_},
   moves.data(), moves.size());
}

void TwoLimbTerms::move(Index j, double x, double weight, std::int64_t* to, std::int64_t* from) const {
  const auto i = static_cast<std::size_t>(j);
  const double scaled_weight = weight * weight_scale_;
  const double difference = x - shift_[i];
  const double borrowed = difference - x;
  const double lost = (x - (difference - borrowed)) - (shift_[i] + borrowed);
  const double scaled = difference * data_scale_[i];
  const double product = scaled * scaled_weight;
  const double product_lost =
      std::fma(lost * data_scale_[i], scaled_weight, std::fma(scaled, scaled_weight, -product));
  const double limb = product * limb_scale_[i];
  const double whole = (limb + kRounder) - kRounder;
  const double rest = ((limb - whole) + product_lost * limb_scale_[i]) * low_limb_;
  const auto high = static_cast<std::int64_t>(whole);
  const auto low = static_cast<std::int64_t>((rest + kRounder) - kRounder);
  if (to != nullptr) {
    to[j] += high;
    to[stride_ + j] += low;
  }
  if (from != nullptr) {
    from[j] -= high;
    from[stride_ + j] -= low;
  }
}

WideSum TwoLimbTerms::sum(const std::int64_t* limbs, Index j) const {
  const Int128 total = (static_cast<Int128>(limbs[j]) << limb_bits_) + limbs[stride_ + j];
  const auto high = static_cast<double>(total);
  const auto low = static_cast<double>(total - static_cast<Int128>(high));
  const int exponent = -limb_bits_ - limb_exponent_[static_cast<std::size_t>(j)];
  return {std::ldexp(high, exponent), std::ldexp(low, exponent)};
}

double TwoLimbTerms::mean(Index j, WideSum sum, WideSum weight) const {
  const auto i = static_cast<std::size_t>(j);
  // Quotient and the quotient of its remainder; then shift + both, exactly until the last rounding.
  const double quotient = sum.high / weight.high;
  const double remainder = std::fma(-quotient, weight.high, sum.high) + (sum.low - quotient * weight.low);
  const double step = std::ldexp(quotient, data_exponent_[i]);
  const double step_low = std::ldexp(remainder / weight.high, data_exponent_[i]);
  const double total = shift_[i] + step;
  const double carried = total - shift_[i];
  const double lost = (shift_[i] - (total - carried)) + (step - carried);
  return total + (lost + step_low);
}

double TwoLimbTerms::value(Index j, WideSum sum) const {
  return std::ldexp(sum.high, data_exponent_[static_cast<std::size_t>(j)] + weight_exponent_);
}

template <>
void add_tile_range(const float* tile, Index columns, const double* weights, double* sums, double* lowest,
                    double* highest) {
  select_simd();
  HWY_DYNAMIC_DISPATCH(tile_range_float)(tile, columns, weights, sums, lowest, highest);
}
template <>
void add_tile_range(const double* tile, Index columns, const double* weights, double* sums, double* lowest,
                    double* highest) {
  select_simd();
  HWY_DYNAMIC_DISPATCH(tile_range_double)(tile, columns, weights, sums, lowest, highest);
}
template <>
void add_tile_magnitudes(const float* tile, const TwoLimbTerms& terms, const double* weights, double scale,
                         double* largest, double* smallest, double* row_norms, double* centred_norms) {
  select_simd();
  HWY_DYNAMIC_DISPATCH(tile_magnitudes_float)
  (tile, terms, weights, scale, {largest, smallest, row_norms, centred_norms});
}
template <>
void add_tile_magnitudes(const double* tile, const TwoLimbTerms& terms, const double* weights, double scale,
                         double* largest, double* smallest, double* row_norms, double* centred_norms) {
  select_simd();
  HWY_DYNAMIC_DISPATCH(tile_magnitudes_double)
  (tile, terms, weights, scale, {largest, smallest, row_norms, centred_norms});
}

}  // namespace firesteel
#endif  // HWY_ONCE
