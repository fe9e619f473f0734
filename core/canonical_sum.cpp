// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/canonical_sum.hpp"

#include <algorithm>
#include <map>
#include <mutex>
#include <utility>

#include "firesteel/core/parallel.hpp"

namespace firesteel {

namespace {

constexpr int kPartialTag = 1;
constexpr double kSound = 0.0;
constexpr double kPoison = 1.0;

void add(double* __restrict left, const double* __restrict right, std::size_t length) {
  for (std::size_t i = 0; i < length; ++i) left[i] += right[i];
}

/// Sums of blocks that become known in any order, combined as walk_subtree combines them: a node is added up
/// by the thread that completes its second half. At most about log₂(blocks) + threads vectors are alive.
class PartialSums {
 public:
  using Done = FunctionRef<void(std::size_t subtree, const double* total)>;

  PartialSums(std::span<const CanonicalTree::Subtree> subtrees, std::size_t stride, Done done)
      : subtrees_(subtrees), stride_(stride), done_(done) {}

  /// A vector to write a block's statistic to.
  AlignedVector<double> vector() {
    {
      const std::lock_guard lock(mutex_);
      if (!free_.empty()) {
        auto own = std::move(free_.back());
        free_.pop_back();
        return own;
      }
    }
    return AlignedVector<double>(stride_);
  }

  void add(Index block, AlignedVector<double> own, std::size_t length) {
    const std::size_t subtree = subtree_of(block);
    Node node{subtree, 0, block - subtrees_[subtree].first_block};
    const Index blocks = subtrees_[subtree].end_block - subtrees_[subtree].first_block;
    while (!(node.index == 0 && Index{1} << node.level >= blocks)) {
      const Node left{subtree, node.level, node.index & ~Index{1}};
      if ((left.index + 1) << node.level < blocks) {  // else there is no right half
        AlignedVector<double> other = take_other(node, own);
        if (other.empty()) return;
        if (node.index != left.index) std::swap(own, other);
        ::firesteel::add(own.data(), other.data(), length);
        const std::lock_guard lock(mutex_);
        free_.push_back(std::move(other));
      }
      node = {subtree, node.level + 1, node.index / 2};
    }
    done_(subtree, own.data());
    const std::lock_guard lock(mutex_);
    free_.push_back(std::move(own));
  }

 private:
  struct Node {
    std::size_t subtree;
    int level;
    Index index;
    // NOLINTNEXTLINE(modernize-use-nullptr): a false report of clang-tidy 14 on defaulted comparisons
    friend auto operator<=>(const Node&, const Node&) = default;
  };

  std::size_t subtree_of(Index block) const {
    const auto after = std::upper_bound(
        subtrees_.begin(), subtrees_.end(), block,
        [](Index b, const CanonicalTree::Subtree& subtree) { return b < subtree.first_block; });
    return static_cast<std::size_t>(after - subtrees_.begin()) - 1;
  }

  /// The sum of the node's sibling, if it is there; otherwise `own` waits for it.
  AlignedVector<double> take_other(const Node& node, AlignedVector<double>& own) {
    const std::lock_guard lock(mutex_);
    const auto found = waiting_.find({node.subtree, node.level, node.index ^ 1});
    if (found == waiting_.end()) {
      waiting_.emplace(node, std::move(own));
      return {};
    }
    auto other = std::move(found->second);
    waiting_.erase(found);
    return other;
  }

  std::span<const CanonicalTree::Subtree> subtrees_;
  std::size_t stride_;
  Done done_;
  std::mutex mutex_;
  std::map<Node, AlignedVector<double>> waiting_;
  std::vector<AlignedVector<double>> free_;
};

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
  });
  node_sum_ = NodeSum::make(comm_, partition_, length, threads_);
  comm_.collectively([&] {
    place_slots();
    scratch_.resize(static_cast<std::size_t>(threads_));
    const auto depth = static_cast<std::size_t>(tree_.levels) + 1;
    for (auto& scratch : scratch_) scratch.resize(depth * stride_);
    if (node_sum_) return;
    received_.resize(kHeader + stride_);
    // The root sums where it broadcasts from.
    if (partition_.blocks() == 0 || comm_.rank() != tree_.root) total_.resize(kHeader + stride_);
  });
}

/// The first slot of a leaf of node_sum_ is the leaf: its subtrees are merged into it.
void CanonicalSum::place_slots() {
  const auto leaves = node_sum_ ? node_sum_->leaves() : std::span<const NodeSum::Leaf>();
  slot_memory_.resize((tree_.subtrees.size() - leaves.size()) * (kHeader + stride_));
  double* next = slot_memory_.data();
  auto leaf = leaves.begin();
  for (const auto& subtree : tree_.subtrees) {
    if (leaf != leaves.end() && leaf->first_block == subtree.first_block) {
      slots_.push_back((leaf++)->sum);
      continue;
    }
    slots_.push_back(next + kHeader);
    next += kHeader + stride_;
  }
}

void CanonicalSum::sum_subtree(std::size_t i, BlockStatistic statistic, AlignedVector<double>& scratch) {
  // The lowest vector of the stack is the slot itself.
  std::size_t depth = 0;
  const auto place = [&](std::size_t entry) {
    return entry == 0 ? slot(i) : scratch.data() + (entry - 1) * stride_;
  };
  walk_subtree(
      tree_.subtrees[i],
      [&](Index block) {
        statistic(block, {place(depth++), length_});
      },
      [&] {
        --depth;
        add(place(depth - 1), place(depth), length_);
      });
}

void CanonicalSum::sum_as_read(BlockStatistic statistic, BlockStore& store) {
  if (tree_.subtrees.empty()) return;
  const Index first = tree_.subtrees.front().first_block;
  const auto keep = [&](std::size_t subtree, const double* total) {
    std::copy_n(total, length_, slot(subtree));
  };
  PartialSums partials(tree_.subtrees, stride_, keep);
  BlockPass pass(&store);
  parallel_for(threads_, tree_.subtrees.back().end_block - first, [&](Index i, int) {
    auto own = partials.vector();
    {
      const BlockPass::Hold hold(pass, i);
      statistic(first + i, {own.data(), length_});
    }
    partials.add(first + i, std::move(own), length_);
  });
}

void CanonicalSum::sum_own_blocks(BlockStatistic statistic, BlockStore* store) {
  failure_ = nullptr;
  try {
    if (store != nullptr)
      sum_as_read(statistic, *store);
    else
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
        send_partial(step.from, step.peer);
        break;
      case CanonicalTree::Step::Kind::receive:
        if (receive_partial(step.peer)) add(slot(step.into), received_.data() + kHeader, length_);
        break;
    }
  }
}

/// What combine() does with slots of nodes that lie inside this rank; a slice of the vectors a thread.
void CanonicalSum::merge_own() {
  if (poisoned_) return;
  const std::size_t share = (length_ / static_cast<std::size_t>(threads_) + 8) / 8 * 8;
  parallel_for(threads_, threads_, [&](Index item, int) {
    const std::size_t begin = std::min(length_, static_cast<std::size_t>(item) * share);
    const std::size_t count = std::min(share, length_ - begin);
    for (const auto& step : tree_.steps)
      if (step.inside) add(slot(step.into) + begin, slot(step.from) + begin, count);
  });
}

/// With a header in front of it, in the slot.
void CanonicalSum::send_partial(std::size_t slot_number, int destination) {
  double* const header = slot(slot_number) - kHeader;
  header[0] = poisoned_ ? kPoison : kSound;
  const std::size_t words = kHeader + (poisoned_ ? 0 : length_);
  comm_.send(std::as_bytes(std::span(header, words)), destination, kPartialTag);
}

bool CanonicalSum::receive_partial(int source) {
  comm_.receive(std::as_writable_bytes(std::span(received_)), source, kPartialTag);
  if (received_[0] != kSound) poisoned_ = true;
  return !poisoned_;
}

std::span<const double> CanonicalSum::broadcast_total() {
  double* message = total_.data();
  if (comm_.rank() == tree_.root) {
    message = slot(0) - kHeader;
    message[0] = poisoned_ ? kPoison : kSound;
  }
  comm_.broadcast(std::span(message, kHeader + length_), tree_.root);
  if (message[0] != kSound) comm_.agree(failure_);
  return {message + kHeader, length_};
}

std::span<const double> CanonicalSum::operator()(FunctionRef<void(Index, std::span<double>)> block_statistic,
                                                 BlockStore* store) {
  if (partition_.blocks() == 0) {
    std::fill(total_.begin(), total_.end(), 0.0);
    return {total_.data() + kHeader, length_};
  }
  sum_own_blocks(block_statistic, store);
  if (node_sum_) {
    merge_own();
    const auto total = node_sum_->combine(poisoned_);
    if (!total) comm_.agree(failure_);
    return *total;
  }
  combine();
  return broadcast_total();
}

}  // namespace firesteel
