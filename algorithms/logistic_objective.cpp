// SPDX-License-Identifier: Apache-2.0
#include "firesteel/algorithms/logistic_objective.hpp"

#include <algorithm>
#include <type_traits>
#include <utility>

#include "firesteel/linalg/vector_kernels.hpp"

namespace firesteel {

namespace {

std::size_t size_of(Index i) { return static_cast<std::size_t>(i); }

std::optional<LogisticClassMetric> make_metric(const LogisticObjective::Options& options, Index columns,
                                               double weight_sum) {
  if (!options.class_metric || !LogisticClassMetric::suits(options.outputs, columns)) return std::nullopt;
  return LogisticClassMetric(options.outputs, options.l2, weight_sum);
}

}  // namespace

LogisticObjective::LogisticObjective(const RowBlocks& data, const ColumnMoments& moments,
                                     LogisticTargets targets, Options options)
    : LogisticLoss(data, std::move(targets), options.outputs, moments.weight_sum),
      moments_(moments),
      options_(std::move(options)),
      space_(coefficients() + (options_.fit_intercept ? options_.outputs : 0)),
      metric_(make_metric(options_, data.columns(), moments.weight_sum)),
      sum_(data.context.comm(), data.partition, all_sums(), data.context.threads()) {
  data_.context.comm().collectively([&] {
    const auto d = size_of(data_.columns());
    inverse_deviation_.resize(d);
    centre_.assign(d, 0.0);
    for (std::size_t j = 0; j < d; ++j) {
      inverse_deviation_[j] = moments_.deviation[j] > 0 ? 1 / moments_.deviation[j] : 0.0;
      if (options_.fit_intercept) centre_[j] = moments_.mean[j];
    }
    statistic_.resize(size_of(all_sums()));
  });
  single_ = LogisticSingleForm::make(data_, moments_, centre_, targets_.weight);
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
  trial_margins_known_ = keep_ || keeps_margins();
  if (trial_margins_known_) make_room_for_margins();
  sum_rows(x, trial_margins_known_ ? trial_margins_.data() : nullptr);
  trial_.assign(x.begin(), x.end());
  scale_gradient(x, gradient);
  double penalty = 0;
  for (std::size_t i = 0; i < options_.l2.size(); ++i) penalty += options_.l2[i] * (x[i] * x[i]);
  return statistic_[0] / moments_.weight_sum + 0.5 * penalty;
}

/// Where margins cost little beside the features of a row, they are kept for lines that come unexpected.
bool LogisticObjective::keeps_margins() const {
  constexpr Index kColumnsOfMargin = 64;
  return metric_ || data_.sparse() || data_.columns() >= kColumnsOfMargin * options_.outputs;
}

/// Of the current point: by the pass that left them out.
void LogisticObjective::know_margins() {
  make_room_for_margins();
  if (!margins_known_) sum_rows(point_, margins_.data());
  margins_known_ = true;
}

LinePoint LogisticObjective::along(double t) {
  know_margins();
  if (!trial_margins_known_) sum_rows(trial_, trial_margins_.data());
  trial_margins_known_ = true;
  return LogisticLoss::along(t);
}

double LogisticObjective::smallest_margin() {
  know_margins();
  return LogisticLoss::smallest_margin();
}

/// statistic_ ← Σ loss, Σ residual, Σ residual·x at x; margins, unless null, too.
void LogisticObjective::sum_rows(std::span<const double> x, double* margins) {
  const LinearOutputs model = on_original_scale(x, coefficients_, offsets_);
  const auto known = std::exchange(known_, std::nullopt);
  if (known && margins == nullptr && known->coefficients == coefficients_ && known->offsets == offsets_)
    statistic_ = known->sums;
  else if (single_)
    sum_by_tree(single_->round(coefficients_, x.subspan(size_of(this->coefficients())), options_.outputs),
                margins);
  else
    sum_by_tree(model, margins);
}

template <class Model>
void LogisticObjective::sum_by_tree(const Model& model, double* margins) {
  const auto total = sum_(
      [&](Index block, std::span<double> out) {
        static thread_local AlignedVector<double> scratch;
        const TileRange range = tiles_of_block(data_.partition, data_.context.rank(), block);
        const auto gradient = out.first(size_of(gradient_sums()));
        std::visit(
            [&](const auto& features) {
              constexpr bool kFloats =
                  std::is_same_v<typename std::decay_t<decltype(features)>::value_type, float>;
              if constexpr (kFloats || !std::is_same_v<Model, SingleOutputs>)
                block_loss_and_gradient(features, targets_, model, range, margins, gradient, scratch);
            },
            data_.features);
        if (metric_)
          block_class_moments(targets_, options_.outputs, range, margins, out.subspan(gradient.size()),
                              scratch);
      },
      data_.store());
  std::copy(total.begin(), total.end(), statistic_.begin());
}

/// ∂f/∂θ_kj = (Σ r x_j − μ_j Σ r)/(σ_j W) + l2 θ_kj,  ∂f/∂b_k = Σ r/W. In single precision the kernels give
/// Σ r (x_j − c_j), and c_j − μ_j takes the place of −μ_j.
void LogisticObjective::scale_gradient(std::span<const double> x, std::span<double> gradient) const {
  const auto d = size_of(data_.columns());
  const auto outputs = size_of(options_.outputs);
  for (std::size_t k = 0; k < outputs; ++k) {
    const double residual = statistic_[1 + k];
    for (std::size_t j = 0; j < d; ++j) {
      const std::size_t i = k * d + j;
      const double centre = single_ ? -single_->distance()[j] : centre_[j];
      const double centred = statistic_[1 + outputs + i] - centre * residual;
      gradient[i] = centred * inverse_deviation_[j] / moments_.weight_sum + options_.l2[i] * x[i];
    }
    if (options_.fit_intercept) gradient[outputs * d + k] = residual / moments_.weight_sum;
  }
}

void LogisticObjective::accept() {
  if (metric_) metric_->set(std::span(statistic_).subspan(size_of(gradient_sums())));
  point_ = trial_;
  std::swap(margins_, trial_margins_);
  std::swap(margins_known_, trial_margins_known_);
}

LinePoint LogisticObjective::penalty_along(double t) {
  LinePoint result;
  for (std::size_t i = 0; i < options_.l2.size(); ++i) {
    const double change = trial_[i] - point_[i];
    const double here = point_[i] + t * change;
    result.value += 0.5 * options_.l2[i] * (here * here);
    result.slope += options_.l2[i] * here * change;
  }
  return result;
}

}  // namespace firesteel
