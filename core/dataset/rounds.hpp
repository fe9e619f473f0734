// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "firesteel/core/dataset/cache.hpp"
#include "firesteel/core/dataset/exchange.hpp"
#include "firesteel/core/dataset/keys.hpp"
#include "firesteel/core/dataset/range_spool.hpp"
#include "firesteel/core/dataset/sequence.hpp"
#include "firesteel/core/dataset/sorted_order.hpp"

/// Wide operations on more than fits into memory: elements are written to scratch by ranges of keys, several
/// for each rank, and worked on range by range, each as if it were all. Used where the context has a bound on
/// its memory; the result is that of one round.
namespace firesteel::detail {

/// Halves samples while there are too many of them: one stands for two. Local.
template <class K>
void thin_out(std::vector<KeySample<K>>& samples) {
  constexpr std::size_t kMostSamples = 8192;
  while (samples.size() > kMostSamples) {
    std::vector<KeySample<K>> half;
    for (std::size_t i = 0; i < samples.size(); i += 2) {
      half.push_back(std::move(samples[i]));
      if (i + 1 < samples.size()) half.back().weight += samples[i + 1].weight;
    }
    samples = std::move(half);
  }
}

/// Elements are held about so often while they travel and are sorted.
inline constexpr Index kRoundCopies = 4;
/// The least that a round may take: the account's margin gives it; rounds cost collectives.
inline constexpr Index kLeastRoundRoom = Index{1} << 20;

/// An element as it is put into a range: it alone, or with the block that it is of.
struct AsItIs {
  template <class T>
  T operator()(Index, T&& value) const {
    return std::forward<T>(value);
  }
};

/// A dataset whose elements are kept in scratch where they do not fit, with its size and samples of its keys.
/// They go into ranges as `Stored`.
template <class K, class Data, class KeyOf, class Stored = typename Data::value_type>
class SpooledData {
 public:
  using T = typename Data::value_type;

  /// Computes the elements once. Collective.
  SpooledData(const Data& data, KeyOf key_of)
      : kept_(data.persist(StorageLevel::memory_and_disk)), key_of_(std::move(key_of)) {
    const Context& context = data.context();
    context.comm().collectively([&] {
      const Index own = blocks();
      std::vector<OfBlock> found(at(own));
      parallel_for(context.threads(), own, [&](Index i, int) {
        kept_.run_block(first_block() + i, [&](auto&& value) {
          found[at(i)].add(key_of_, value, static_cast<Index>(sizeof(T)) + heap_bytes(value));
        });
      });
      first_.push_back(0);
      for (auto& block : found) {
        for (auto& sample : block.samples) {
          sample.rank = context.rank();
          sample.position += first_.back();
          samples_.push_back(std::move(sample));
        }
        first_.push_back(first_.back() + block.count);
        bytes_ += block.bytes;
        block.samples = {};
      }
      thin_out(samples_);
    });
  }

  Index bytes() const { return bytes_; }
  const std::vector<KeySample<K>>& samples() const { return samples_; }

  /// Writes the elements by ranges: those before splitters[0], those from it on, … Equal keys stay together,
  /// or are cut by rank and position. Collective.
  template <class Less, class Store = AsItIs>
  void cut(const std::vector<KeySample<K>>& splitters, Index ranges, const Less& less, bool together,
           const Store& store = {}) {
    const Context& context = kept_.context();
    context.comm().collectively([&] {
      const auto begin = cut_blocks(kept_.partition(), context.rank(), context.threads());
      const auto runs = static_cast<Index>(begin.size()) - 1;
      spool_ = std::make_unique<RangeSpool<Stored>>(context.scratch(), ranges, runs);
      parallel_for(context.threads(), runs, [&](Index run, int) {
        RangeBuffers<Stored> buffers(context, *spool_, ranges, run);
        for (Index block = begin[at(run)]; block < begin[at(run + 1)]; ++block) {
          Index position = first_[at(block - first_block())];
          kept_.run_block(block, [&](auto&& value) {
            const Index range =
                share_of<K>(splitters, key_of_(value), context.rank(), position++, less, together);
            const Index bytes = static_cast<Index>(sizeof(Stored)) + heap_bytes(value);
            buffers.put(range, store(block, std::forward<decltype(value)>(value)), bytes);
          });
        }
        buffers.flush();
      });
      kept_.unpersist();
    });
  }

  /// The ranges as they were written. Local.
  const RangeSpool<Stored>& spool() const { return *spool_; }

  /// The elements of all ranks in this rank's range of the round, sorted by key, ties in order of rows. Range
  /// `round` of each rank's `rounds` is worked on. Collective.
  template <class Less>
  std::vector<T> gather(Index round, Index rounds, const Less& less) {
    const Context& context = kept_.context();
    check_room(round, rounds);
    std::vector<Index> begin{0};
    auto values = context.comm().collectively([&] {
      std::vector<T> own;
      for (Index rank = 0; rank < context.size(); ++rank) {
        spool_->read(rank * rounds + round, own);
        begin.push_back(static_cast<Index>(own.size()));
      }
      return own;
    });
    auto runs = exchange_runs(context.comm(), std::move(values), begin);
    context.comm().collectively([&] { sort_by_key(context.threads(), runs.values, key_of_, less); });
    return std::move(runs.values);
  }

 private:
  /// What is found of a block: one key for each run of about so many bytes, which it stands for. Any will do,
  /// as it only decides shares.
  struct OfBlock {
    static constexpr Index kSampleBytes = Index{128} << 10;
    Index count = 0;
    Index bytes = 0;
    std::vector<KeySample<K>> samples;

    void add(const KeyOf& key_of, const T& value, Index value_bytes) {
      if (samples.empty() || samples.back().weight >= kSampleBytes)
        samples.push_back({key_of(value), 0, count, 0});
      samples.back().weight += value_bytes;
      bytes += value_bytes;
      ++count;
    }
  };

  /// Ranges are about even, unless one key has more elements than that. Collective; throws 71.
  void check_room(Index round, Index rounds) const {
    Communicator& comm = kept_.context().comm();
    std::vector<Index> bytes;
    comm.collectively([&] {
      for (Index rank = 0; rank < comm.size(); ++rank) bytes.push_back(spool_->bytes(rank * rounds + round));
    });
    comm.allreduce_sum(bytes);
    comm.collectively([&] {
      const MemoryPool& pool = *kept_.context().memory();
      const Index room = std::max(kLeastRoundRoom, pool.available());
      const Index need = kRoundCopies * bytes[at(comm.rank())];
      if (need > 2 * room)
        throw Error(ErrorCode::out_of_memory,
                    "out of memory: the values of one key come together on a rank, and some need " +
                        std::to_string(need) + " bytes, but --memory " + std::to_string(pool.limit()) +
                        " leaves " + std::to_string(room) + ": give at least --memory " +
                        std::to_string(pool.limit() + need - room));
    });
  }

  Index first_block() const { return kept_.partition().first_block(kept_.context().rank()); }
  Index blocks() const { return kept_.partition().end_block(kept_.context().rank()) - first_block(); }

  decltype(std::declval<Data>().persist(StorageLevel::disk)) kept_;
  KeyOf key_of_;
  Index bytes_ = 0;
  std::vector<Index> first_;  ///< of each own block: elements of this rank before it
  std::vector<KeySample<K>> samples_;
  std::unique_ptr<RangeSpool<Stored>> spool_;
};

/// Rounds in which so many bytes a rank can be worked on: elements are held about four times while they
/// travel and are sorted. Collective.
inline Index rounds_for(const Context& context, Index bytes) {
  constexpr Index kMost = 1024;
  Index rounds = 0;
  context.comm().collectively([&] {
    const Index room = std::max(kLeastRoundRoom, context.memory()->available());
    rounds = std::clamp<Index>((kRoundCopies * bytes + room - 1) / room, 1, kMost);
  });
  context.comm().allreduce_max(std::span(&rounds, 1));
  return rounds;
}

/// What rounds leave: rows in order, this rank's one after another, then a dataset of all ranks' rows. Local
/// until finish().
template <Serializable Row>
class RoundsResult {
 public:
  explicit RoundsResult(const Context& context) : context_(context), file_(context.scratch()) {}

  void append(const std::vector<Row>& rows) {
    constexpr std::size_t kChunk = 4096;
    for (std::size_t begin = 0; begin < rows.size(); begin += kChunk) {
      const std::vector<Row> chunk(
          rows.begin() + static_cast<std::ptrdiff_t>(begin),
          rows.begin() + static_cast<std::ptrdiff_t>(std::min(rows.size(), begin + kChunk)));
      ByteWriter out;
      out.write(chunk);
      places_.push_back(file_.append(out.buffer()));
      count_ += static_cast<Index>(chunk.size());
    }
  }

  /// Rows are numbered over the ranks; a block that begins on one rank is completed there. Collective.
  Dataset<Row, VectorPipeline<Row>> finish() {
    Communicator& comm = context_.comm();
    const Index first = comm.exclusive_scan(count_);
    const Index total = comm.sum(count_);
    const auto firsts = comm.allgather(first);
    const Index block_rows = partition_rows(context_, total)->block_rows();
    auto partition = comm.collectively([&] {
      const Index all = (total + block_rows - 1) / block_rows;
      std::vector<Index> cuts;
      for (const Index f : firsts) cuts.push_back(std::min(all, (f + block_rows - 1) / block_rows));
      cuts.push_back(all);
      return std::make_shared<const BlockPartition>(total, block_rows, std::move(cuts));
    });
    const Index head = std::min(count_, partition->first_row(context_.rank()) - first);
    auto begin = comm.collectively([&] { return rows_before(head); });
    auto received = send_to_owners(comm, *partition, first, std::move(begin));
    auto blocks = comm.collectively([&] { return fill(*partition, head, std::move(received)); });
    VectorPipeline<Row> pipeline{std::make_shared<const std::vector<Row>>(), 0, partition->block_rows(),
                                 std::move(blocks), partition->first_block(context_.rank())};
    return {context_, std::move(partition), std::move(pipeline)};
  }

 private:
  std::vector<Row> chunk(std::size_t i) const {
    const PageMemory pages = file_.read(places_[i]);
    ByteReader in({pages.data(), at(places_[i].bytes)});
    return in.template read<std::vector<Row>>();
  }

  std::vector<Row> rows_before(Index count) const {
    std::vector<Row> rows;
    for (std::size_t i = 0; i < places_.size() && static_cast<Index>(rows.size()) < count; ++i)
      for (auto& row : chunk(i))
        if (static_cast<Index>(rows.size()) < count) rows.push_back(std::move(row));
    return rows;
  }

  /// This rank's blocks: its rows from `skip` on, then what others sent.
  std::shared_ptr<BlockCache<Row>> fill(const BlockPartition& partition, Index skip,
                                        std::vector<PlacedRun<Row>> received) const {
    const int rank = context_.rank();
    auto blocks = std::make_shared<BlockCache<Row>>(StorageLevel::memory_and_disk, context_.memory(),
                                                    context_.scratch(),
                                                    partition.end_block(rank) - partition.first_block(rank));
    Index block = partition.first_block(rank);
    BlockRows<Row> rows{.first_row = partition.row_of_block(block)};
    const auto add = [&](Row&& row) {
      rows.values.push_back(std::move(row));
      if (rows.first_row + static_cast<Index>(rows.values.size()) < partition.row_of_block(block + 1)) return;
      blocks->put(block - partition.first_block(rank), std::move(rows));
      ++block;
      rows = {.first_row = partition.row_of_block(block)};
    };
    for (std::size_t i = 0; i < places_.size(); ++i)
      for (auto& row : chunk(i))
        if (skip-- <= 0) add(std::move(row));
    std::sort(received.begin(), received.end(),
              [](const auto& a, const auto& b) { return a.first < b.first; });
    for (auto& run : received)
      for (auto& row : run.values) add(std::move(row));
    return blocks;
  }

  Context context_;
  RecordFile file_;
  std::vector<RecordFile::Place> places_;
  Index count_ = 0;
};

/// Takes rows of a result one by one, and appends them by and by. Local.
template <Serializable Row>
class RowSink {
 public:
  explicit RowSink(RoundsResult<Row>& result) : result_(result) {}
  template <class... Args>
  void emplace_back(Args&&... args) {
    // What lies outside of rows, such as the values of a group, is added to the last one afterwards.
    if (!rows_.empty()) {
      bytes_ += static_cast<Index>(sizeof(Row)) + heap_bytes(rows_.back());
      if (bytes_ >= kBytes) flush();
    }
    rows_.emplace_back(std::forward<Args>(args)...);
  }
  void push_back(Row row) { emplace_back(std::move(row)); }
  Row& back() { return rows_.back(); }
  void flush() {
    result_.append(rows_);
    rows_.clear();
    bytes_ = 0;
  }

 private:
  static constexpr Index kBytes = Index{1} << 18;
  RoundsResult<Row>& result_;
  std::vector<Row> rows_;
  Index bytes_ = 0;
};

/// All of an operation on one dataset: finish(elements of a range, sorted by key) gives the rows of the
/// result. Collective.
template <class K, class Row, class Data, class KeyOf, class Less, class Finish>
auto by_rounds(const Data& data, const KeyOf& key_of, const Less& less, bool together, const Finish& finish) {
  const Context& context = data.context();
  SpooledData<K, Data, KeyOf> spooled(data, key_of);
  const Index rounds = rounds_for(context, spooled.bytes());
  const Index ranges = rounds * context.size();
  spooled.cut(choose_splitters(context.comm(), spooled.samples(), less, ranges), ranges, less, together);
  RoundsResult<Row> result(context);
  for (Index round = 0; round < rounds; ++round) {
    auto values = spooled.gather(round, rounds, less);
    context.comm().collectively([&] { result.append(finish(std::move(values))); });
  }
  return result.finish();
}

}  // namespace firesteel::detail
