// SPDX-License-Identifier: Apache-2.0
#include "firesteel/linalg/score_filter.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "firesteel/linalg/simd.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "firesteel/linalg/score_filter.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>

#ifndef FIRESTEEL_SCORE_FILTER_CONSTANTS
#define FIRESTEEL_SCORE_FILTER_CONSTANTS
namespace firesteel {
constexpr std::size_t kCandidates = static_cast<std::size_t>(kTileRows);
constexpr std::size_t kQueries = static_cast<std::size_t>(kFilterQueries);
constexpr std::size_t kChains = 8;  // exact scores side by side: they hide the latency of a sum
}  // namespace firesteel
#endif

HWY_BEFORE_NAMESPACE();
namespace firesteel::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using FilterTag = hn::CappedTag<float, 16>;
constexpr std::size_t kFilterLanes = hn::MaxLanes(FilterTag());
constexpr std::size_t kVectors = kCandidates / kFilterLanes;
#if HWY_TARGET == HWY_AVX3
constexpr std::size_t kTogether = 12;  // 12 x 2 of 32 registers hold sums
#else
constexpr std::size_t kTogether = 3;  // 3 x 4 of 16 registers
#endif
static_assert(kQueries % kTogether == 0);

/// Bit i: score i is above 0.
HWY_INLINE std::uint32_t bits_above(const hn::Vec<FilterTag>* scores) {
  const FilterTag d;
  std::uint32_t bits = 0;
  if constexpr (kFilterLanes >= 8) {
    std::uint8_t bytes[kCandidates / 8 + 8];  // Highway may write eight bytes
#pragma GCC unroll 4
    for (std::size_t v = 0; v < kVectors; ++v)
      hn::StoreMaskBits(d, hn::Gt(scores[v], hn::Zero(d)), bytes + v * kFilterLanes / 8);
    std::memcpy(&bits, bytes, sizeof bits);
  } else {
    HWY_ALIGN float values[kCandidates];
    for (std::size_t v = 0; v < kVectors; ++v) hn::Store(scores[v], d, values + v * kFilterLanes);
    for (std::size_t i = 0; i < kCandidates; ++i) bits |= static_cast<std::uint32_t>(values[i] > 0) << i;
  }
  return bits;
}

using Scores = hn::Vec<FilterTag>[kTogether][kVectors];

HWY_INLINE void add_scores(const float* queries, const float* tile, std::size_t rank, Scores& sum) {
  const FilterTag d;
  for (std::size_t j = 0; j < rank; ++j) {
    hn::Vec<FilterTag> items[kVectors];
#pragma GCC unroll 8
    for (std::size_t v = 0; v < kVectors; ++v)
      items[v] = hn::Load(d, tile + j * kCandidates + v * kFilterLanes);
#pragma GCC unroll 12
    for (std::size_t q = 0; q < kTogether; ++q) {
      const auto factor = hn::Set(d, queries[j * kQueries + q]);
#pragma GCC unroll 8
      for (std::size_t v = 0; v < kVectors; ++v) sum[q][v] = hn::MulAdd(factor, items[v], sum[q][v]);
    }
  }
}

HWY_INLINE void raise_together(const float* queries, const float* tile, std::size_t rank, float* most) {
  const FilterTag d;
  Scores sum;
#pragma GCC unroll 12
  for (std::size_t q = 0; q < kTogether; ++q)
#pragma GCC unroll 8
    for (std::size_t v = 0; v < kVectors; ++v) sum[q][v] = hn::Zero(d);
  add_scores(queries, tile, rank, sum);
#pragma GCC unroll 12
  for (std::size_t q = 0; q < kTogether; ++q)
#pragma GCC unroll 8
    for (std::size_t v = 0; v < kVectors; ++v) {
      float* const place = most + q * kCandidates + v * kFilterLanes;
      hn::Store(hn::Max(sum[q][v], hn::Load(d, place)), d, place);
    }
}

void raise_most_kernel(const float* queries, const float* tile, std::size_t rank, float* most) {
  for (std::size_t q = 0; q < kQueries; q += kTogether)
    raise_together(queries + q, tile, rank, most + q * kCandidates);
}

HWY_INLINE bool score_together(const float* queries, const float* tile, std::size_t rank,
                               const float* thresholds, std::uint32_t* above) {
  const FilterTag d;
  Scores sum;
#pragma GCC unroll 12
  for (std::size_t q = 0; q < kTogether; ++q)
#pragma GCC unroll 8
    for (std::size_t v = 0; v < kVectors; ++v) sum[q][v] = hn::Set(d, -thresholds[q]);
  add_scores(queries, tile, rank, sum);
  // As a rule none is above: one look for all.
  auto most = sum[0][0];
#pragma GCC unroll 12
  for (std::size_t q = 0; q < kTogether; ++q)
#pragma GCC unroll 8
    for (std::size_t v = 0; v < kVectors; ++v) most = hn::Max(sum[q][v], most);
  if (hn::AllFalse(d, hn::Gt(most, hn::Zero(d)))) {
    std::fill_n(above, kTogether, 0U);
    return false;
  }
#pragma GCC unroll 12
  for (std::size_t q = 0; q < kTogether; ++q) above[q] = bits_above(sum[q]);
  return true;
}

bool score_above_kernel(const float* queries, const float* tile, std::size_t rank, const float* thresholds,
                        std::uint32_t* above) {
  bool any = false;
  for (std::size_t q = 0; q < kQueries; q += kTogether)
    any = score_together(queries + q, tile, rank, thresholds + q, above + q) || any;
  return any;
}

/// kChains scores; positions may repeat.
HWY_INLINE void score_chains(const double* query, const double* const* rows, std::size_t rank,
                             double* scores) {
  const hn::CappedTag<double, 1> one;
  hn::Vec<hn::CappedTag<double, 1>> sum[kChains];
#pragma GCC unroll 8
  for (auto& chain : sum) chain = hn::Zero(one);
  for (std::size_t j = 0; j < rank; ++j) {
    const auto factor = hn::LoadU(one, query + j);
#pragma GCC unroll 8
    for (std::size_t c = 0; c < kChains; ++c)
      sum[c] = hn::MulAdd(factor, hn::LoadU(one, rows[c] + j), sum[c]);
  }
#pragma GCC unroll 8
  for (std::size_t c = 0; c < kChains; ++c) scores[c] = hn::GetLane(sum[c]);
}

void exact_scores_kernel(const double* query, const double* factors, std::size_t rank,
                         const std::int32_t* positions, std::size_t count, double* scores) {
  const double* rows[kChains];
  double some[kChains];
  for (std::size_t p = 0; p < count; p += kChains) {
    const std::size_t length = std::min(kChains, count - p);
    for (std::size_t c = 0; c < kChains; ++c)
      rows[c] = factors + static_cast<std::size_t>(positions[p + (c < length ? c : 0)]) * rank;
    score_chains(query, rows, rank, some);
    std::copy_n(some, length, scores + p);
  }
}

}  // namespace firesteel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace firesteel {

namespace {
HWY_EXPORT(raise_most_kernel);
HWY_EXPORT(score_above_kernel);
HWY_EXPORT(exact_scores_kernel);
}  // namespace

void raise_most(const float* queries, const float* tile, Index rank, float* most) {
  select_simd();
  HWY_DYNAMIC_DISPATCH(raise_most_kernel)(queries, tile, static_cast<std::size_t>(rank), most);
}

bool score_above(const float* queries, const float* tile, Index rank, const float* thresholds,
                 std::uint32_t* above) {
  select_simd();
  return HWY_DYNAMIC_DISPATCH(score_above_kernel)(queries, tile, static_cast<std::size_t>(rank), thresholds,
                                                  above);
}

double score_error(Index rank) { return 1.0625 * static_cast<double>(rank + 8) * 0x1p-24; }

void exact_scores(const double* query, const double* rows, Index rank,
                  std::span<const std::int32_t> positions, double* scores) {
  select_simd();
  HWY_DYNAMIC_DISPATCH(exact_scores_kernel)
  (query, rows, static_cast<std::size_t>(rank), positions.data(), positions.size(), scores);
}

}  // namespace firesteel
#endif
