// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/node_sum.hpp"

#include <algorithm>
#include <bit>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "firesteel/core/parallel.hpp"

namespace firesteel {

namespace {

constexpr std::size_t kHeader = 8;        // doubles before a rank's leaves: whether it is poisoned
constexpr std::size_t kPiece = 2 * 1024;  // doubles: the pieces under way stay in the nearest caches
constexpr std::size_t kLine = 8;          // doubles: no two ranks write to one line

/// Totals from here on do not stay in a cache until they are read: writing them without reading the lines
/// first saves a quarter of the traffic.
constexpr std::size_t kStreamFrom = std::size_t{1} << 20;

/// `out` may be `left`.
void add(double* out, const double* left, const double* right, std::size_t length) {
#pragma GCC ivdep
  for (std::size_t i = 0; i < length; ++i) out[i] = left[i] + right[i];
}

/// The same past the caches; `out` on a cache line.
void add_streaming(double* out, const double* left, const double* right, std::size_t length) {
#if defined(__SSE2__)
  const std::size_t pairs = length / 2 * 2;
  for (std::size_t i = 0; i < pairs; i += 2)
    _mm_stream_pd(out + i, _mm_add_pd(_mm_loadu_pd(left + i), _mm_loadu_pd(right + i)));
  add(out + pairs, left + pairs, right + pairs, length - pairs);
  _mm_sfence();
#else
  add(out, left, right, length);
#endif
}

Index node_end(const BlockPartition& partition, int level, Index index) {
  return std::min(partition.blocks(), (index + 1) << level);
}

/// The number of leaves of each rank: counted by the walk that NodeSum::plan does.
void count_leaves(const BlockPartition& partition, int level, Index index, std::vector<Index>& counts) {
  const Index first = index << level;
  const int owner = partition.owner(first);
  if (node_end(partition, level, index) <= partition.end_block(owner)) {
    ++counts[static_cast<std::size_t>(owner)];
    return;
  }
  count_leaves(partition, level - 1, 2 * index, counts);
  if ((2 * index + 1) << (level - 1) < partition.blocks())
    count_leaves(partition, level - 1, 2 * index + 1, counts);
}

int levels_of(const BlockPartition& partition) {
  return static_cast<int>(std::bit_width(static_cast<std::uint64_t>(partition.blocks() - 1)));
}

}  // namespace

std::unique_ptr<NodeSum> NodeSum::make(Communicator& comm, const BlockPartition& partition, Index length,
                                       int threads) {
  if (length < kLeastLength || partition.blocks() == 0 || comm.size() == 1 || comm.node_size() < comm.size())
    return nullptr;
  std::vector<Index> counts;
  comm.collectively([&] {
    counts.resize(static_cast<std::size_t>(comm.size()));
    count_leaves(partition, levels_of(partition), 0, counts);
  });
  const auto stride = static_cast<Index>((static_cast<std::size_t>(length) + kLine - 1) / kLine * kLine);
  const auto doubles = static_cast<Index>(kHeader) + counts[static_cast<std::size_t>(comm.rank())] * stride;
  auto memory = NodeMemory::make(comm, doubles * static_cast<Index>(sizeof(double)),
                                 stride * static_cast<Index>(sizeof(double)));
  if (!memory) return nullptr;
  std::unique_ptr<NodeSum> sum;
  comm.collectively([&] {
    sum.reset(new NodeSum(comm, std::move(memory), length, threads));
    std::fill(counts.begin(), counts.end(), Index{0});
    sum->plan(partition, levels_of(partition), 0, counts);
    for (auto& stack : sum->stacks_) stack.resize(sum->most_depth_ * kPiece);
    for (auto& places : sum->places_) places.resize(sum->most_depth_);
  });
  return sum;
}

NodeSum::NodeSum(Communicator& comm, std::unique_ptr<NodeMemory> memory, Index length, int threads)
    : comm_(comm),
      memory_(std::move(memory)),
      length_(static_cast<std::size_t>(length)),
      stride_((length_ + kLine - 1) / kLine * kLine),
      threads_(std::max(1, threads)),
      stacks_(static_cast<std::size_t>(threads_)),
      places_(static_cast<std::size_t>(threads_)) {}

double* NodeSum::leaf_of(int rank, Index number) const {
  return reinterpret_cast<double*>(memory_->of(rank)) + kHeader + static_cast<std::size_t>(number) * stride_;
}

void NodeSum::plan(const BlockPartition& partition, int level, Index index, std::vector<Index>& leaf_counts) {
  const Index first = index << level;
  const Index end = node_end(partition, level, index);
  const int owner = partition.owner(first);
  if (end <= partition.end_block(owner)) {
    double* const leaf = leaf_of(owner, leaf_counts[static_cast<std::size_t>(owner)]++);
    if (owner == comm_.rank()) leaves_.push_back({first, end, leaf});
    steps_.push_back({leaf});
    most_depth_ = std::max(most_depth_, ++depth_);
    return;
  }
  plan(partition, level - 1, 2 * index, leaf_counts);
  if ((2 * index + 1) << (level - 1) >= partition.blocks()) return;
  plan(partition, level - 1, 2 * index + 1, leaf_counts);
  steps_.push_back({nullptr});
  --depth_;
}

std::optional<std::span<const double>> NodeSum::combine(bool poisoned) {
  poison_of(comm_.rank()) = poisoned ? 1 : 0;
  comm_.barrier();  // all leaves are there, and nobody looks at the last total any more
  bool sound = true;
  for (int rank = 0; rank < comm_.size(); ++rank) sound = sound && poison_of(rank) == 0;
  if (sound) sum_slice();
  comm_.barrier();  // the total is there, and nobody looks at the leaves any more
  if (!sound) return std::nullopt;
  return std::span<const double>(reinterpret_cast<const double*>(memory_->common()), length_);
}

void NodeSum::sum_slice() {
  const auto ranks = static_cast<std::size_t>(comm_.size());
  const auto cut = [&](std::size_t rank) {
    return rank == ranks ? length_ : length_ / kLine * rank / ranks * kLine;
  };
  const auto rank = static_cast<std::size_t>(comm_.rank());
  const std::size_t begin = cut(rank);
  const std::size_t end = cut(rank + 1);
  // Long runs of pieces for each thread, so that pages are read in a row.
  const std::size_t runs = 4 * static_cast<std::size_t>(threads_);
  const std::size_t run = ((end - begin) / (runs * kPiece) + 1) * kPiece;
  parallel_for(threads_, static_cast<Index>((end - begin + run - 1) / run), [&](Index item, int thread) {
    const std::size_t first = begin + static_cast<std::size_t>(item) * run;
    const std::size_t last = std::min(end, first + run);
    for (std::size_t at = first; at < last; at += kPiece)
      sum_piece(at, std::min(last, at + kPiece), static_cast<std::size_t>(thread));
  });
  // What the others take out of this rank's leaves, and of its slice of the total.
  const std::size_t words = leaves_.size() * (length_ - (end - begin)) + (ranks - 1) * (end - begin);
  comm_.count_shared("node_sum", static_cast<Index>(words * sizeof(double)));
}

void NodeSum::sum_piece(std::size_t begin, std::size_t end, std::size_t thread) {
  const std::size_t length = end - begin;
  double* const total = reinterpret_cast<double*>(memory_->common()) + begin;
  auto& places = places_[thread];
  std::size_t depth = 0;
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    if (steps_[i].leaf != nullptr) {
      places[depth++] = steps_[i].leaf + begin;
      continue;
    }
    --depth;
    const bool last = i + 1 == steps_.size();
    double* const out = last ? total : stacks_[thread].data() + (depth - 1) * kPiece;
    (last && length_ >= kStreamFrom ? add_streaming : add)(out, places[depth - 1], places[depth], length);
    places[depth - 1] = out;
  }
  if (places[0] != total) std::copy_n(places[0], length, total);
}

}  // namespace firesteel
