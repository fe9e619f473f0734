// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/canonical_sum.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "firesteel/core/parallel.hpp"

namespace firesteel {

namespace {

constexpr int kPartialTag = 1;
constexpr Index kTasksPerThread = 8;
constexpr double kSound = 0.0;
constexpr double kPoison = 1.0;

void add(double* __restrict left, const double* __restrict right, std::size_t length) {
  for (std::size_t i = 0; i < length; ++i) left[i] += right[i];
}

int bit_width(Index value) { return static_cast<int>(std::bit_width(static_cast<std::uint64_t>(value))); }

int tree_levels(Index blocks) { return blocks <= 1 ? 0 : bit_width(blocks - 1); }

}  // namespace

CanonicalSum::CanonicalSum(const Communicator& comm, const BlockPartition& partition, Index length,
                           int threads)
    : comm_(comm),
      partition_(partition),
      length_(static_cast<std::size_t>(length)),
      stride_((length_ + 7) / 8 * 8),
      threads_(threads) {
  comm_.collectively([&] {
    if (partition_.ranks() != comm_.size())
      throw internal_error("the partition and the communicator differ in ranks");
    plan_tasks();
    slots_.resize(tasks_.size() * stride_);
    scratch_.resize(static_cast<std::size_t>(threads_));
    const auto depth = static_cast<std::size_t>(tree_levels(partition_.blocks())) + 1;
    for (auto& scratch : scratch_) scratch.resize(depth * stride_);
    received_.resize(stride_ + 8);
    total_.resize(stride_ + 8);
  });
}

Index CanonicalSum::end(Node node) const {
  return std::min(partition_.blocks(), (node.index + 1) << node.level);
}

/// Cuts the own range into aligned subtrees, none larger than its share of kTasksPerThread tasks a thread.
void CanonicalSum::plan_tasks() {
  const Index begin = partition_.first_block(comm_.rank());
  const Index end_block = partition_.end_block(comm_.rank());
  const Index share =
      std::max<Index>(1, (end_block - begin) / (threads_ > 1 ? kTasksPerThread * threads_ : 1));
  const int max_level = threads_ > 1 ? bit_width(share) - 1 : 62;
  for (Index block = begin; block < end_block;) {
    int level =
        block == 0 ? tree_levels(partition_.blocks()) : std::countr_zero(static_cast<std::uint64_t>(block));
    level = std::min(level, max_level);
    // Shrink until the node, cut at the last block, lies inside the own range.
    while (level > 0 && std::min(partition_.blocks(), block + (Index{1} << level)) > end_block) --level;
    tasks_.push_back({level, block >> level});
    block += Index{1} << level;
  }
}

/// In-order sum of a subtree with a binary counter: after block j, one partial is kept per set bit of j + 1.
void CanonicalSum::sum_subtree(Node node, BlockStatistic statistic, std::span<double> out,
                               AlignedVector<double>& scratch) const {
  const Index begin = first(node);
  const Index count = end(node) - begin;
  std::size_t depth = 0;
  const auto partial = [&](std::size_t i) { return scratch.data() + i * stride_; };
  for (Index j = 0; j < count; ++j) {
    statistic(begin + j, {partial(depth), length_});
    ++depth;
    for (int merges = std::countr_one(static_cast<std::uint64_t>(j)); merges > 0; --merges, --depth)
      add(partial(depth - 2), partial(depth - 1), length_);
  }
  for (; depth > 1; --depth) add(partial(depth - 2), partial(depth - 1), length_);
  std::memcpy(out.data(), partial(0), length_ * sizeof(double));
}

void CanonicalSum::sum_own_blocks(BlockStatistic statistic) {
  failure_ = nullptr;
  try {
    parallel_for(threads_, static_cast<Index>(tasks_.size()), [&](Index task, int thread) {
      const auto i = static_cast<std::size_t>(task);
      sum_subtree(tasks_[i], statistic, slot(i), scratch_[static_cast<std::size_t>(thread)]);
    });
  } catch (...) {
    failure_ = std::current_exception();
  }
  poisoned_ = failure_ != nullptr;
}

double* CanonicalSum::combine(Node node, std::size_t& next_task) {
  const Index begin = partition_.first_block(comm_.rank());
  const Index end_block = partition_.end_block(comm_.rank());
  if (end(node) <= begin || first(node) >= end_block) return nullptr;
  if (next_task < tasks_.size() && tasks_[next_task].level == node.level &&
      tasks_[next_task].index == node.index)
    return slot(next_task++).data();
  const Node left{node.level - 1, 2 * node.index};
  const Node right{node.level - 1, 2 * node.index + 1};
  if (first(right) >= partition_.blocks()) return combine(left, next_task);
  return combine_children(left, right, next_task);
}

double* CanonicalSum::combine_children(Node left, Node right, std::size_t& next_task) {
  double* left_sum = combine(left, next_task);
  double* right_sum = combine(right, next_task);
  const int left_owner = partition_.owner(first(left));
  const int right_owner = partition_.owner(first(right));
  if (comm_.rank() == left_owner) {
    if (left_owner != right_owner) {
      if (!receive_partial(right_owner)) return left_sum;
      right_sum = received_.data() + 8;
    }
    if (!poisoned_) add(left_sum, right_sum, length_);
    return left_sum;
  }
  if (comm_.rank() == right_owner) send_partial(right_sum, left_owner);
  return nullptr;
}

void CanonicalSum::send_partial(const double* partial, int destination) {
  total_[0] = poisoned_ ? kPoison : kSound;
  std::size_t bytes = 8 * sizeof(double);
  if (!poisoned_) {
    std::memcpy(total_.data() + 8, partial, length_ * sizeof(double));
    bytes += length_ * sizeof(double);
  }
  comm_.send(std::as_bytes(std::span(total_)).first(bytes), destination, kPartialTag);
}

bool CanonicalSum::receive_partial(int source) {
  comm_.receive(std::as_writable_bytes(std::span(received_)), source, kPartialTag);
  if (received_[0] != kSound) poisoned_ = true;
  return !poisoned_;
}

void CanonicalSum::broadcast_total(const double* total) {
  const int root = partition_.owner(0);
  if (comm_.rank() == root) {
    total_[0] = poisoned_ ? kPoison : kSound;
    if (!poisoned_) std::memcpy(total_.data() + 8, total, length_ * sizeof(double));
  }
  comm_.broadcast(std::span(total_.data(), length_ + 8), root);
  if (total_[0] != kSound) comm_.agree(failure_);
}

std::span<const double> CanonicalSum::operator()(
    FunctionRef<void(Index, std::span<double>)> block_statistic) {
  if (partition_.blocks() == 0) {
    std::fill(total_.begin(), total_.end(), 0.0);
  } else {
    sum_own_blocks(block_statistic);
    std::size_t next_task = 0;
    broadcast_total(combine({tree_levels(partition_.blocks()), 0}, next_task));
  }
  return {total_.data() + 8, length_};
}

}  // namespace firesteel
