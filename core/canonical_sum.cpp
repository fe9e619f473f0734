// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/canonical_sum.hpp"

#include <algorithm>

#include "firesteel/core/parallel.hpp"

namespace firesteel {

namespace {

constexpr int kPartialTag = 1;
constexpr double kSound = 0.0;
constexpr double kPoison = 1.0;

void add(double* __restrict left, const double* __restrict right, std::size_t length) {
  for (std::size_t i = 0; i < length; ++i) left[i] += right[i];
}

}  // namespace

CanonicalSum::CanonicalSum(const Communicator& comm, const BlockPartition& partition, Index length,
                           int threads)
    : comm_(comm),
      partition_(partition),
      length_(static_cast<std::size_t>(length)),
      stride_((length_ + 7) / 8 * 8),
      threads_(std::max(1, threads)) {
  comm_.collectively([&] {
    if (partition_.ranks() != comm_.size() || length < 0)
      throw internal_error("a canonical sum of " + std::to_string(length) + " values over " +
                           std::to_string(partition_.ranks()) + " ranks was asked of " +
                           std::to_string(comm_.size()));
    tree_ = CanonicalTree(partition_, comm_.rank(), threads_);
    slots_.resize(tree_.subtrees.size() * stride_);
    scratch_.resize(static_cast<std::size_t>(threads_));
    const auto depth = static_cast<std::size_t>(tree_.levels) + 2;
    for (auto& scratch : scratch_) scratch.resize(depth * stride_);
    received_.resize(stride_ + 8);
    total_.resize(stride_ + 8);
  });
}

void CanonicalSum::sum_subtree(std::size_t i, BlockStatistic statistic, AlignedVector<double>& scratch) {
  double* top = scratch.data();
  walk_subtree(
      tree_.subtrees[i],
      [&](Index block) {
        statistic(block, {top, length_});
        top += stride_;
      },
      [&] {
        top -= stride_;
        add(top - stride_, top, length_);
      });
  std::copy_n(scratch.data(), length_, slot(i));
}

void CanonicalSum::sum_own_blocks(BlockStatistic statistic) {
  failure_ = nullptr;
  try {
    parallel_for(threads_, static_cast<Index>(tree_.subtrees.size()), [&](Index task, int thread) {
      sum_subtree(static_cast<std::size_t>(task), statistic, scratch_[static_cast<std::size_t>(thread)]);
    });
  } catch (...) {
    failure_ = std::current_exception();
  }
  poisoned_ = failure_ != nullptr;
}

void CanonicalSum::combine() {
  const FloatEnvironment environment;
  for (const auto& step : tree_.steps) {
    switch (step.kind) {
      case CanonicalTree::Step::Kind::merge:
        if (!poisoned_) add(slot(step.into), slot(step.from), length_);
        break;
      case CanonicalTree::Step::Kind::send:
        send_partial(slot(step.from), step.peer);
        break;
      case CanonicalTree::Step::Kind::receive:
        if (receive_partial(step.peer)) add(slot(step.into), received_.data() + 8, length_);
        break;
    }
  }
}

void CanonicalSum::send_partial(const double* partial, int destination) {
  total_[0] = poisoned_ ? kPoison : kSound;
  std::size_t bytes = 8 * sizeof(double);
  if (!poisoned_) {
    std::copy_n(partial, length_, total_.data() + 8);
    bytes += length_ * sizeof(double);
  }
  comm_.send(std::as_bytes(std::span(total_)).first(bytes), destination, kPartialTag);
}

bool CanonicalSum::receive_partial(int source) {
  comm_.receive(std::as_writable_bytes(std::span(received_)), source, kPartialTag);
  if (received_[0] != kSound) poisoned_ = true;
  return !poisoned_;
}

void CanonicalSum::broadcast_total() {
  if (comm_.rank() == tree_.root) {
    total_[0] = poisoned_ ? kPoison : kSound;
    if (!poisoned_) std::copy_n(slot(0), length_, total_.data() + 8);
  }
  comm_.broadcast(std::span(total_.data(), length_ + 8), tree_.root);
  if (total_[0] != kSound) comm_.agree(failure_);
}

std::span<const double> CanonicalSum::operator()(
    FunctionRef<void(Index, std::span<double>)> block_statistic) {
  if (partition_.blocks() == 0) {
    std::fill(total_.begin(), total_.end(), 0.0);
  } else {
    sum_own_blocks(block_statistic);
    combine();
    broadcast_total();
  }
  return {total_.data() + 8, length_};
}

}  // namespace firesteel
