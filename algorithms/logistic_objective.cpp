// SPDX-License-Identifier: Apache-2.0
#include "firesteel/algorithms/logistic_objective.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "firesteel/linalg/fixed_point.hpp"
#include "firesteel/linalg/moment_kernels.hpp"
#include "firesteel/linalg/vector_kernels.hpp"

namespace firesteel {

namespace {

std::size_t size_of(Index i) { return static_cast<std::size_t>(i); }

Index statistic_length(const RowBlocks& data, Index outputs, bool fixed_point) {
  return 1 + outputs + (fixed_point ? 0 : outputs * data.columns());
}

}  // namespace

LogisticObjective::LogisticObjective(const RowBlocks& data, const ColumnMoments& moments,
                                     LogisticTargets targets, Options options)
    : data_(data),
      moments_(moments),
      targets_(std::move(targets)),
      options_(std::move(options)),
      fixed_point_(needs_fixed_point(data, 1 + options_.outputs + coefficients())),
      sum_(data.context.comm(), data.partition, statistic_length(data, options_.outputs, fixed_point_),
           data.context.threads()),
      line_sum_(data.context.comm(), data.partition, 2, data.context.threads()) {
  data_.context.comm().collectively([&] {
    const auto d = size_of(data_.columns());
    inverse_deviation_.resize(d);
    centre_.assign(d, 0.0);
    for (std::size_t j = 0; j < d; ++j) {
      inverse_deviation_[j] = moments_.deviation[j] > 0 ? 1 / moments_.deviation[j] : 0.0;
      if (options_.fit_intercept) centre_[j] = moments_.mean[j];
    }
    margins_.resize(targets_.weight.size() * size_of(options_.outputs));
    trial_margins_.resize(margins_.size());
    statistic_.resize(size_of(1 + options_.outputs + coefficients()));
    if (!fixed_point_) return;
    residuals_.resize(margins_.size());
    std::vector<double> bound(d * size_of(options_.outputs));
    std::vector<std::int64_t> count(bound.size());
    for (std::size_t i = 0; i < bound.size(); ++i) {
      bound[i] = moments_.largest[i % d] * moments_.largest_weight;
      count[i] = moments_.count[i % d];
    }
    fixed_scales_ = fixed_point_scales(bound, count);
  });
}

Index LogisticObjective::size() const {
  return coefficients() + (options_.fit_intercept ? options_.outputs : 0);
}

LinearOutputs LogisticObjective::on_original_scale(std::span<const double> x,
                                                   std::vector<double>& coefficients,
                                                   std::vector<double>& offsets) const {
  const auto d = size_of(data_.columns());
  coefficients.assign(size_of(this->coefficients()), 0.0);
  offsets.assign(size_of(options_.outputs), 0.0);
  for (std::size_t k = 0; k < offsets.size(); ++k) {
    const auto own = std::span(coefficients).subspan(k * d, d);
    for (std::size_t j = 0; j < d; ++j) own[j] = x[k * d + j] * inverse_deviation_[j];
    if (options_.fit_intercept) offsets[k] = x[size_of(this->coefficients()) + k] - dot(own, centre_);
  }
  return {options_.outputs, coefficients, offsets};
}

double LogisticObjective::evaluate(std::span<const double> x, std::span<double> gradient) {
  std::vector<double> coefficients;
  std::vector<double> offsets;
  on_original_scale(x, coefficients, offsets);
  if (fixed_point_)
    sum_in_fixed_point(coefficients, offsets);
  else
    sum_by_tree(coefficients, offsets);
  trial_.assign(x.begin(), x.end());
  scale_gradient(x, gradient);
  double penalty = 0;
  for (std::size_t i = 0; i < options_.l2.size(); ++i) penalty += options_.l2[i] * (x[i] * x[i]);
  return statistic_[0] / moments_.weight_sum + 0.5 * penalty;
}

void LogisticObjective::sum_by_tree(std::span<const double> coefficients, std::span<const double> offsets) {
  const LinearOutputs model{options_.outputs, coefficients, offsets};
  const auto total = sum_([&](Index block, std::span<double> out) {
    static thread_local AlignedVector<double> scratch;
    const TileRange range = tiles_of_block(data_.partition, data_.context.rank(), block);
    std::visit(
        [&](const auto& features) {
          block_loss_and_gradient(features, targets_, model, range, trial_margins_.data(), out, scratch);
        },
        data_.features);
  });
  std::copy(total.begin(), total.end(), statistic_.begin());
}

void LogisticObjective::sum_in_fixed_point(std::span<const double> coefficients,
                                           std::span<const double> offsets) {
  const LinearOutputs model{options_.outputs, coefficients, offsets};
  const Index outputs = options_.outputs;
  const int rank = data_.context.rank();
  const auto total = sum_([&](Index block, std::span<double> out) {
    const TileRange range = tiles_of_block(data_.partition, rank, block);
    std::visit([&](const auto& f) { block_margins(f, model, range, trial_margins_.data()); }, data_.features);
    block_residuals(targets_, outputs, range, trial_margins_.data(), residuals_.data(), out);
  });
  std::copy(total.begin(), total.end(), statistic_.begin());
  const auto gradient = sum_fixed_point(
      data_.context, data_.partition, fixed_scales_, [&](Index block, std::span<std::int64_t> sums) {
        const TileRange range = tiles_of_block(data_.partition, rank, block);
        const auto add = [&](const auto& features) {
          block_fixed_point_gradient(features, outputs, range, residuals_.data(), fixed_scales_, sums);
        };
        if (const auto* single = std::get_if<SparseRows<float>>(&data_.features))
          add(*single);
        else
          add(std::get<SparseRows<double>>(data_.features));
      });
  std::copy(gradient.begin(), gradient.end(), statistic_.begin() + 1 + outputs);
}

/// ∂f/∂θ_kj = (Σ r x_j − μ_j Σ r)/(σ_j W) + l2 θ_kj,  ∂f/∂b_k = Σ r/W.
void LogisticObjective::scale_gradient(std::span<const double> x, std::span<double> gradient) const {
  const auto d = size_of(data_.columns());
  const auto outputs = size_of(options_.outputs);
  for (std::size_t k = 0; k < outputs; ++k) {
    const double residual = statistic_[1 + k];
    for (std::size_t j = 0; j < d; ++j) {
      const std::size_t i = k * d + j;
      const double centred = statistic_[1 + outputs + i] - centre_[j] * residual;
      gradient[i] = centred * inverse_deviation_[j] / moments_.weight_sum + options_.l2[i] * x[i];
    }
    if (options_.fit_intercept) gradient[outputs * d + k] = residual / moments_.weight_sum;
  }
}

void LogisticObjective::accept() {
  point_ = trial_;
  std::swap(margins_, trial_margins_);
}

void LogisticObjective::collectively(FunctionRef<void()> local) {
  data_.context.comm().collectively([&] { local(); });
}

LinePoint LogisticObjective::along(double t) {
  const auto total = line_sum_([&](Index block, std::span<double> out) {
    static thread_local AlignedVector<double> scratch;
    block_loss_on_line(targets_, options_.outputs,
                       tiles_of_block(data_.partition, data_.context.rank(), block), margins_.data(),
                       trial_margins_.data(), t, out, scratch);
  });
  LinePoint result{total[0] / moments_.weight_sum, total[1] / moments_.weight_sum};
  for (std::size_t i = 0; i < options_.l2.size(); ++i) {
    const double change = trial_[i] - point_[i];
    const double here = point_[i] + t * change;
    result.value += 0.5 * options_.l2[i] * (here * here);
    result.slope += options_.l2[i] * here * change;
  }
  return result;
}

double LogisticObjective::smallest_margin() const {
  double smallest =
      block_smallest_margin(targets_, options_.outputs,
                            {0, static_cast<Index>(targets_.weight.size()) / kTileRows}, margins_.data());
  data_.context.comm().allreduce_min(std::span(&smallest, 1));
  return smallest;
}

}  // namespace firesteel
