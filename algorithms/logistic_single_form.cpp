// SPDX-License-Identifier: Apache-2.0
#include "firesteel/algorithms/logistic_single_form.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace firesteel {

namespace {

constexpr double kLargestUnit = 0x1p60;
constexpr double kLargestMean = 0x1p100;
/// Of sparse columns, which are not centred: units that a mean may be.
constexpr double kLargestShift = 0x1p10;

/// Power of two whose square brings `largest` to at most 1.
double root_scale_of(double largest) {
  if (!(largest > 0)) return 1;
  int exponent = 0;
  std::frexp(largest, &exponent);
  return std::ldexp(1.0, -static_cast<int>(std::ceil(exponent / 2.0)));
}

bool single_can_hold(double mean, double unit) {
  return std::abs(mean) <= kLargestMean && (unit == 0 || (unit >= 1 / kLargestUnit && unit <= kLargestUnit));
}

/// Noise of values where columns are centred at `centre` (empty: 0); none where float cannot hold a column.
std::optional<double> noise_of(const RowBlocks& data, const ColumnMoments& moments,
                               std::span<const float> centre) {
  double shift = 0;  // largest distance of mean and centre, in units
  for (std::size_t j = 0; j < moments.mean.size(); ++j) {
    const double unit = moments.deviation[j];
    const double distance = moments.mean[j] - (centre.empty() ? 0.0 : static_cast<double>(centre[j]));
    if (!single_can_hold(moments.mean[j], unit))
      shift = std::numeric_limits<double>::infinity();
    else if (unit > 0)
      shift = std::max(shift, std::abs(distance) / unit);
  }
  data.context.comm().allreduce_max(std::span(&shift, 1));
  if (shift > kLargestShift) return std::nullopt;
  return kSingleNoise * (1 + shift);
}

}  // namespace

std::optional<LogisticSingleForm> LogisticSingleForm::make(const RowBlocks& data,
                                                           const ColumnMoments& moments,
                                                           std::span<const double> centre,
                                                           std::span<const double> weights) {
  if (!data.single_precision()) return std::nullopt;
  LogisticSingleForm form;
  data.context.comm().collectively([&] {
    for (std::size_t j = 0; j < moments.mean.size(); ++j) {
      form.centre_.push_back(data.sparse() ? 0.0F : static_cast<float>(moments.mean[j]));
      form.distance_.push_back(static_cast<double>(form.centre_.back()) - centre[j]);
      form.mean_.push_back(moments.mean[j]);
    }
  });
  const auto noise = noise_of(data, moments, form.centre_);
  if (!noise) return std::nullopt;
  form.noise_ = *noise;
  // A rank without rows does not know whether others have weights.
  double largest_weight = weights.empty() && data.local_rows() > 0 ? 1 : 0;
  for (const double weight : weights) largest_weight = std::max(largest_weight, weight);
  data.context.comm().allreduce_max(std::span(&largest_weight, 1));
  form.root_scale_ = root_scale_of(largest_weight);
  return form;
}

std::optional<double> sparse_single_noise(const RowBlocks& data, const ColumnMoments& moments) {
  if (!data.single_precision()) return std::nullopt;
  return noise_of(data, moments, {});
}

SingleOutputs LogisticSingleForm::round(std::span<const double> coefficients,
                                        std::span<const double> intercepts, Index outputs) {
  const std::size_t d = centre_.size();
  coefficients_.resize(coefficients.size());
  offsets_.assign(static_cast<std::size_t>(outputs), 0.0);
  for (std::size_t k = 0; k < offsets_.size(); ++k) {
    double offset = intercepts.empty() ? 0.0 : intercepts[k];
    for (std::size_t j = 0; j < d; ++j) {
      const double w = coefficients[k * d + j];
      const auto rounded = static_cast<float>(w);
      coefficients_[k * d + j] = rounded;
      offset += w * distance_[j] +
                (static_cast<double>(rounded) - w) * (static_cast<double>(centre_[j]) - mean_[j]);
    }
    offsets_[k] = offset;
  }
  return {outputs, coefficients_, offsets_, centre_, root_scale_ * root_scale_};
}

}  // namespace firesteel
