// SPDX-License-Identifier: Apache-2.0
#include "firesteel/algorithms/logistic_loss.hpp"

#include <utility>

#include "firesteel/linalg/column_moments.hpp"

namespace firesteel {

LogisticLoss::LogisticLoss(const RowBlocks& data, LogisticTargets targets, Index outputs, double weight_sum)
    : data_(data),
      targets_(std::move(targets)),
      outputs_(outputs),
      weight_sum_(weight_sum),
      line_sum_(data.context.comm(), data.partition, 2, data.context.threads()) {}

void LogisticLoss::make_room_for_margins() {
  if (margins_made_) return;
  margins_made_ = true;
  data_.context.comm().collectively([&] {
    margins_.resize(targets_.target.size() * static_cast<std::size_t>(outputs_));
    trial_margins_.resize(margins_.size());
  });
}

void LogisticLoss::collectively(FunctionRef<void()> local) {
  data_.context.comm().collectively([&] { local(); });
}

LinePoint LogisticLoss::along(double t) {
  const auto total = line_sum_([&](Index block, std::span<double> out) {
    static thread_local AlignedVector<double> scratch;
    block_loss_on_line(targets_, outputs_, tiles_of_block(data_.partition, data_.context.rank(), block),
                       margins_.data(), trial_margins_.data(), t, out, scratch);
  });
  const LinePoint penalty = penalty_along(t);
  return {total[0] / weight_sum_ + penalty.value, total[1] / weight_sum_ + penalty.slope};
}

double LogisticLoss::smallest_margin() {
  double smallest = block_smallest_margin(targets_, outputs_, {0, targets_.tiles()}, margins_.data());
  data_.context.comm().allreduce_min(std::span(&smallest, 1));
  return smallest;
}

}  // namespace firesteel
