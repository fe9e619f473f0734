// SPDX-License-Identifier: Apache-2.0
#include "firesteel/algorithms/wide_logistic_objective.hpp"

#include <algorithm>
#include <utility>

#include "firesteel/algorithms/logistic_single_form.hpp"

namespace firesteel {

namespace {
std::size_t size_of(Index i) { return static_cast<std::size_t>(i); }
}  // namespace

WideLogisticObjective::WideLogisticObjective(const RowBlocks& data, WideColumns& columns,
                                             const ColumnMoments& moments, LogisticTargets targets,
                                             Index outputs, Options options)
    : LogisticLoss(data, std::move(targets), outputs, moments.weight_sum),
      columns_(columns),
      options_(std::move(options)),
      space_(data.context, columns.slices(), outputs),
      slice_columns_(size_of(columns.slice_columns())),
      slice_sum_(data.context.comm(), columns.slices(), outputs + 1, data.context.threads()),
      row_sum_(data.context.comm(), data.partition, outputs + 1, data.context.threads()) {
  if (const auto noise = sparse_single_noise(data, moments)) {
    single_ = true;
    noise_ = *noise;
    columns_.use_single_products();
  }
  make_room_for_margins();
  data_.context.comm().collectively([&] {
    inverse_deviation_.resize(slice_columns_);
    centre_.assign(slice_columns_, 0.0);
    if (single_) mean_ = moments.mean;
    for (std::size_t j = 0; j < slice_columns_; ++j) {
      inverse_deviation_[j] = moments.deviation[j] > 0 ? 1 / moments.deviation[j] : 0.0;
      if (options_.fit_intercept) centre_[j] = moments.mean[j];
    }
    residuals_.resize(margins_.size());
    coefficients_.resize(space_.local_size());
    trial_.resize(space_.local_size());
    point_.resize(space_.local_size());
  });
  columns_.set_scales(moments, moments.largest_weight);
}

std::span<const double> WideLogisticObjective::to_original_scale(std::span<const double> x,
                                                                 std::vector<double>& coefficients,
                                                                 bool rounded) const {
  const auto outputs = size_of(outputs_);
  const BlockPartition& slices = columns_.slices();
  const auto first = size_of(slices.first_row(data_.context.rank()));
  return slice_sum_([&](Index block, std::span<double> out) {
    std::fill(out.begin(), out.end(), 0.0);
    const std::size_t begin = size_of(slices.row_of_block(block)) - first;
    const std::size_t end = size_of(slices.row_of_block(block + 1)) - first;
    for (std::size_t j = begin; j < std::min(end, slice_columns_); ++j) {
      for (std::size_t k = 0; k < outputs; ++k) {
        const std::size_t i = j * outputs + k;
        coefficients[i] = x[i] * inverse_deviation_[j];
        out[k] -= coefficients[i] * centre_[j];
        if (rounded) {
          // What the rounding moves in the mean is put right.
          const auto single = static_cast<double>(static_cast<float>(coefficients[i]));
          out[k] -= (single - coefficients[i]) * mean_[j];
          coefficients[i] = single;
        }
        out[outputs] += options_.l2[i] * (x[i] * x[i]);
      }
    }
    for (std::size_t i = std::max(begin, slice_columns_) * outputs; i < end * outputs; ++i) {
      coefficients[i] = 0;
      out[i % outputs] += x[i];
    }
  });
}

/// Margins, residuals, and Σ loss, Σ residual.
std::span<const double> WideLogisticObjective::sum_rows(std::span<const double> offsets) {
  data_.context.comm().collectively([&] { columns_.begin_collecting(); });
  return row_sum_(
      [&](Index block, std::span<double> out) {
        const TileRange range = tiles_of_block(data_.partition, data_.context.rank(), block);
        columns_.margins(offsets, range, trial_margins_.data());
        block_residuals(targets_, outputs_, range, trial_margins_.data(), residuals_.data(), out);
        columns_.collect(range, residuals_.data());
      },
      data_.store());
}

/// ∂f/∂θ_kj = (Σ r x_j − μ_j Σ r)/(σ_j W) + l2 θ_kj,  ∂f/∂b_k = Σ r/W.
double WideLogisticObjective::evaluate(std::span<const double> x, std::span<double> gradient) {
  const auto outputs = size_of(outputs_);
  const auto linear = to_original_scale(x, coefficients_, single_);
  const double penalty = linear[outputs];
  columns_.receive_coefficients(coefficients_);
  const auto rows = sum_rows(linear.first(outputs));
  const auto products = columns_.weighted_sums(residuals_.data());
  for (std::size_t j = 0; j < slice_columns_; ++j) {
    for (std::size_t k = 0; k < outputs; ++k) {
      const std::size_t i = j * outputs + k;
      const double centred = products[i] - centre_[j] * rows[1 + k];
      gradient[i] = centred * inverse_deviation_[j] / weight_sum_ + options_.l2[i] * x[i];
    }
  }
  for (std::size_t i = slice_columns_ * outputs; i < gradient.size(); ++i)
    gradient[i] = rows[1 + i % outputs] / weight_sum_;
  std::copy(x.begin(), x.end(), trial_.begin());
  penalty_terms_.reset();
  return rows[0] / weight_sum_ + 0.5 * penalty;
}

void WideLogisticObjective::accept() {
  point_ = trial_;
  std::swap(margins_, trial_margins_);
}

LinePoint WideLogisticObjective::penalty_along(double t) {
  if (!penalty_terms_) {
    const auto sum = [&](auto&& term) {
      return space_.sum([&](std::size_t begin, std::size_t end) {
        double total = 0;
        for (std::size_t i = begin; i < std::min(end, options_.l2.size()); ++i)
          total += options_.l2[i] * term(point_[i], trial_[i] - point_[i]);
        return total;
      });
    };
    penalty_terms_ = {sum([](double p, double) { return p * p; }),
                      sum([](double p, double change) { return p * change; }),
                      sum([](double, double change) { return change * change; })};
  }
  const auto& [here, mixed, change] = *penalty_terms_;
  return {0.5 * (here + t * (2 * mixed + t * change)), mixed + t * change};
}

void WideLogisticObjective::hessian(std::span<double>) {
  throw internal_error("a Hessian was asked of sliced parameters");
}

LinearOutputs WideLogisticObjective::on_original_scale(std::span<const double> x,
                                                       std::vector<double>& coefficients,
                                                       std::vector<double>& offsets) const {
  const auto outputs = size_of(outputs_);
  std::vector<double> own;
  data_.context.comm().collectively([&] { own.resize(space_.local_size()); });
  const auto linear = to_original_scale(x, own, false);
  offsets.assign(linear.begin(), linear.begin() + outputs_);
  own.resize(slice_columns_ * outputs);
  auto all = data_.context.comm().allgatherv(std::span<const double>(own));
  if (outputs == 1) {
    coefficients = std::move(all);
    return {outputs_, coefficients, offsets};
  }
  data_.context.comm().collectively([&] { coefficients.resize(all.size()); });
  const auto d = size_of(data_.columns());
  for (std::size_t i = 0; i < all.size(); ++i) coefficients[i % outputs * d + i / outputs] = all[i];
  return {outputs_, coefficients, offsets};
}

}  // namespace firesteel
