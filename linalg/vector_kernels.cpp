// SPDX-License-Identifier: Apache-2.0
#include "firesteel/linalg/vector_kernels.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

#include "firesteel/linalg/simd.hpp"

// The pattern of every kernel file: this file is compiled once per instruction set (foreach_target includes
// it again), the code between HWY_BEFORE_NAMESPACE and HWY_AFTER_NAMESPACE each time under another namespace;
// HWY_EXPORT makes the table of them, and the wrappers at the end choose by HWY_DYNAMIC_DISPATCH.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "firesteel/linalg/vector_kernels.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace firesteel::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr std::size_t kLanes = 8;  // virtual: one AVX-512, two AVX2, four NEON registers

void add_scaled_kernel(double alpha, const double* x, double* y, std::size_t size) {
  const hn::CappedTag<double, kLanes> d;
  const std::size_t width = hn::Lanes(d);
  const auto factor = hn::Set(d, alpha);
  std::size_t i = 0;
  for (; i + width <= size; i += width)
    hn::StoreU(hn::MulAdd(factor, hn::LoadU(d, x + i), hn::LoadU(d, y + i)), d, y + i);
  for (; i < size; ++i) y[i] = std::fma(alpha, x[i], y[i]);
}

/// One chunk: lane l sums x_i·y_i over i = l (mod 8); then ((0 + 4) + (2 + 6)) + ((1 + 5) + (3 + 7)).
double dot_chunk(const double* x, const double* y, std::size_t size) {
  const hn::CappedTag<double, kLanes> d;
  const std::size_t width = hn::Lanes(d);
  HWY_ALIGN double sum[kLanes] = {};
  const std::size_t whole = size / kLanes * kLanes;
  for (std::size_t part = 0; part < kLanes; part += width) {
    auto lanes = hn::Zero(d);
    for (std::size_t i = part; i < whole; i += kLanes)
      lanes = hn::MulAdd(hn::LoadU(d, x + i), hn::LoadU(d, y + i), lanes);
    hn::Store(lanes, d, sum + part);
  }
  for (std::size_t i = whole; i < size; ++i) sum[i - whole] = std::fma(x[i], y[i], sum[i - whole]);
  return ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]));
}

double dot_kernel(const double* x, const double* y, std::size_t size) {
  double total = 0;
  for (std::size_t begin = 0; begin < size; begin += kDotChunk)
    total += dot_chunk(x + begin, y + begin, std::min(kDotChunk, size - begin));
  return total;
}

double largest_kernel(const double* x, std::size_t size) {
  const hn::CappedTag<double, kLanes> d;
  const std::size_t width = hn::Lanes(d);
  constexpr double kMost = std::numeric_limits<double>::max();
  const auto finite = [&](const double* from) {
    const auto magnitude = hn::Abs(hn::LoadU(d, from));
    return hn::IfThenElseZero(hn::Le(magnitude, hn::Set(d, kMost)), magnitude);
  };
  auto largest = hn::Zero(d), other = hn::Zero(d);
  std::size_t i = 0;
  for (; i + 2 * width <= size; i += 2 * width) {
    largest = hn::Max(largest, finite(x + i));
    other = hn::Max(other, finite(x + i + width));
  }
  for (; i + width <= size; i += width) largest = hn::Max(largest, finite(x + i));
  HWY_ALIGN double lanes[kLanes];
  hn::Store(hn::Max(largest, other), d, lanes);
  for (std::size_t half = width / 2; half > 0; half /= 2)
    for (std::size_t l = 0; l < half; ++l) lanes[l] = std::max(lanes[l], lanes[l + half]);
  double most = lanes[0];
  for (; i < size; ++i)
    if (std::fabs(x[i]) <= kMost) most = std::max(most, std::fabs(x[i]));
  return most;
}

void round_kernel(const double* x, std::size_t size, double scale, float* rounded) {
  const hn::CappedTag<double, kLanes> d;
  const hn::Rebind<float, decltype(d)> narrow;
  const std::size_t width = hn::Lanes(d);
  std::size_t i = 0;
  for (; i + width <= size; i += width)
    hn::StoreU(hn::DemoteTo(narrow, hn::Mul(hn::LoadU(d, x + i), hn::Set(d, scale))), narrow, rounded + i);
  for (; i < size; ++i) rounded[i] = static_cast<float>(x[i] * scale);
}

}  // namespace firesteel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace firesteel {

namespace {
HWY_EXPORT(add_scaled_kernel);
HWY_EXPORT(dot_kernel);
HWY_EXPORT(largest_kernel);
HWY_EXPORT(round_kernel);
}  // namespace

void add_scaled(double alpha, std::span<const double> x, std::span<double> y) {
  select_simd();
  HWY_DYNAMIC_DISPATCH(add_scaled_kernel)(alpha, x.data(), y.data(), y.size());
}

double dot(std::span<const double> x, std::span<const double> y) {
  select_simd();
  return HWY_DYNAMIC_DISPATCH(dot_kernel)(x.data(), y.data(), x.size());
}

double largest_finite(std::span<const double> x) {
  select_simd();
  return HWY_DYNAMIC_DISPATCH(largest_kernel)(x.data(), x.size());
}

void round_scaled(std::span<const double> x, double scale, float* rounded) {
  select_simd();
  HWY_DYNAMIC_DISPATCH(round_kernel)(x.data(), x.size(), scale, rounded);
}

double norm(std::span<const double> x) { return std::sqrt(dot(x, x)); }

}  // namespace firesteel
#endif
