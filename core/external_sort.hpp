// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "firesteel/core/context.hpp"
#include "firesteel/core/dataset/cache.hpp"
#include "firesteel/core/dataset/radix_sort.hpp"
#include "firesteel/core/parallel.hpp"

namespace firesteel {

namespace detail {
/// An order that gives the start of each element's place in it as a number: where a is before b, the number
/// of a is at most that of b.
template <class Less, class T>
concept HasPrefix = requires(const Less& less, const T& element) {
  { less.prefix(element) } -> std::same_as<std::uint64_t>;
};
}  // namespace detail

/// Sorts more elements than fit into memory: sorted runs go to scratch and are merged. Elements that are
/// equal by `less` are alike, or equal for all that they are used for: their order is not defined. Local.
///
/// Cost: each element is written and read once for every factor of kFanIn by which there are more than
/// `memory` holds. Where Less has a member std::uint64_t prefix(const T&) const, runs are sorted by it by
/// radix, and merged by it: three times as fast as by comparisons. Source: Knuth, The Art of Computer
/// Programming 3, §5.2.5, §5.4.
template <Flat T, class Less>
class ExternalSort {
 public:
  /// `memory`: bytes that are used, about; reserved from the context's account. Throws 71.
  ExternalSort(const Context& context, Index memory, Less less)
      : threads_(context.threads()),
        less_(std::move(less)),
        most_(static_cast<std::size_t>(std::max<Index>(memory / kElementBytes, 1024))),
        reserved_(context.memory(), memory + kFanIn * kPieceBytes, "values being sorted"),
        file_(std::make_unique<detail::RecordFile>(context.scratch(),
                                                   detail::RecordFile::Through::page_cache)) {}

  void add(std::span<const T> elements) {
    while (!elements.empty()) {
      buffer_.reserve(most_);
      const std::size_t count = std::min(elements.size(), most_ - buffer_.size());
      buffer_.insert(buffer_.end(), elements.begin(), elements.begin() + static_cast<std::ptrdiff_t>(count));
      elements = elements.subspan(count);
      if (buffer_.size() == most_) write_runs();
    }
  }

  /// Calls visit(element) for all, ascending; once. Throws what visit throws, 73, 74.
  template <class Visit>
  void merge(Visit&& visit) {
    if (runs_.empty()) {
      in_order(buffer_, visit);
      buffer_ = {};
      return;
    }
    write_runs();
    buffer_ = {};
    while (static_cast<Index>(runs_.size()) > kFanIn) {
      const std::vector<Run> first(runs_.begin(), runs_.begin() + kFanIn);
      runs_.erase(runs_.begin(), runs_.begin() + kFanIn);
      RunWriter out(*file_);
      merge_runs(first, [&](const T& element) { out.add(element); });
      runs_.push_back(out.finish());
    }
    merge_runs({runs_.begin(), runs_.end()}, visit);
  }

 private:
  static constexpr bool kByPrefix = detail::HasPrefix<Less, T>;
  static constexpr Index kElementBytes =
      static_cast<Index>(sizeof(T) + (kByPrefix ? 2 * sizeof(detail::SortEntry) : 0));
  static constexpr Index kFanIn = 64;
  static constexpr Index kPieceBytes = Index{128} << 10;

  using Run = std::vector<detail::RecordFile::Place>;

  /// Elements of a run, piece by piece.
  class RunWriter {
   public:
    explicit RunWriter(detail::RecordFile& file) : file_(file) {}
    void add(const T& element) {
      piece_.push_back(element);
      if (piece_.size() * sizeof(T) >= static_cast<std::size_t>(kPieceBytes)) flush();
    }
    Run finish() {
      flush();
      return std::move(run_);
    }

   private:
    void flush() {
      if (!piece_.empty()) run_.push_back(file_.append(std::as_bytes(std::span<const T>(piece_))));
      piece_.clear();
    }
    detail::RecordFile& file_;
    std::vector<T> piece_;
    Run run_;
  };

  class RunReader {
   public:
    RunReader(const detail::RecordFile& file, const Run& run) : file_(file), run_(run) { next_piece(); }
    bool at_end() const { return next_ == count_; }
    const T& front() const { return elements_[next_]; }
    void pop() {
      if (++next_ == count_) next_piece();
    }

   private:
    void next_piece() {
      next_ = count_ = 0;
      if (piece_ == run_.size()) return;
      pages_ = file_.read(run_[piece_]);
      elements_ = reinterpret_cast<const T*>(pages_.data());
      count_ = static_cast<std::size_t>(run_[piece_].bytes) / sizeof(T);
      ++piece_;
    }
    const detail::RecordFile& file_;
    const Run& run_;
    PageMemory pages_;
    const T* elements_ = nullptr;
    std::size_t piece_ = 0;
    std::size_t next_ = 0;
    std::size_t count_ = 0;
  };

  /// Each thread sorts and writes a part of the buffer.
  void write_runs() {
    if (buffer_.empty()) return;
    const auto count = static_cast<Index>(buffer_.size());
    const Index parts = std::min<Index>(threads_, std::max<Index>(1, count / 4096));
    std::vector<Run> written(static_cast<std::size_t>(parts));
    parallel_for(threads_, parts, [&](Index part, int) {
      const Index begin = count * part / parts;
      RunWriter out(*file_);
      in_order(std::span(buffer_).subspan(static_cast<std::size_t>(begin),
                                          static_cast<std::size_t>(count * (part + 1) / parts - begin)),
               [&](const T& element) { out.add(element); });
      written[static_cast<std::size_t>(part)] = out.finish();
    });
    for (auto& run : written) runs_.push_back(std::move(run));
    buffer_.clear();
  }

  /// Calls visit(element) for elements in memory, ascending. May sort them.
  template <class Visit>
  void in_order(std::span<T> elements, Visit&& visit) const {
    if constexpr (kByPrefix) {
      std::vector<detail::SortEntry> entries(elements.size());
      std::vector<detail::SortEntry> spare(elements.size());
      for (std::size_t i = 0; i < elements.size(); ++i)
        entries[i] = {less_.prefix(elements[i]), static_cast<Index>(i)};
      detail::radix_sort(entries, spare);
      const auto element = [&](const detail::SortEntry& e) -> const T& {
        return elements[static_cast<std::size_t>(e.place)];
      };
      for (auto run = entries.begin(); run != entries.end();) {
        auto end = run + 1;
        while (end != entries.end() && end->prefix == run->prefix) ++end;
        if (end - run > 1)
          std::sort(run, end, [&](const auto& a, const auto& b) { return less_(element(a), element(b)); });
        for (; run != end; ++run) visit(element(*run));
      }
    } else {
      std::sort(elements.begin(), elements.end(), less_);
      for (const T& element : elements) visit(element);
    }
  }

  /// The first element of a run that is being read.
  struct Head {
    std::uint64_t prefix = 0;
    RunReader* reader = nullptr;
  };
  Head head_of(RunReader& reader) const {
    if constexpr (kByPrefix)
      return {less_.prefix(reader.front()), &reader};
    else
      return {0, &reader};
  }
  bool before(const Head& a, const Head& b) const {
    return a.prefix != b.prefix ? a.prefix < b.prefix : less_(a.reader->front(), b.reader->front());
  }
  /// heap[0] has changed: moves it to where it belongs in a heap whose first comes first.
  void sift_down(std::vector<Head>& heap) const {
    const Head moved = heap.front();
    std::size_t place = 0;
    for (std::size_t child = 1; child < heap.size(); child = 2 * place + 1) {
      if (child + 1 < heap.size() && before(heap[child + 1], heap[child])) ++child;
      if (!before(heap[child], moved)) break;
      heap[place] = heap[child];
      place = child;
    }
    heap[place] = moved;
  }

  template <class Visit>
  void merge_runs(const std::vector<Run>& runs, Visit&& visit) {
    std::deque<RunReader> readers;
    std::vector<Head> heap;
    for (const Run& run : runs) {
      readers.emplace_back(*file_, run);
      if (!readers.back().at_end()) heap.push_back(head_of(readers.back()));
    }
    // A sorted sequence is a heap.
    std::sort(heap.begin(), heap.end(), [&](const Head& a, const Head& b) { return before(a, b); });
    while (!heap.empty()) {
      RunReader& first = *heap.front().reader;
      visit(first.front());
      first.pop();
      if (first.at_end()) {
        heap.front() = heap.back();
        heap.pop_back();
        if (heap.empty()) break;
      } else {
        heap.front() = head_of(first);
      }
      sift_down(heap);
    }
  }

  int threads_;
  Less less_;
  std::size_t most_;
  MemoryReservation reserved_;
  std::unique_ptr<detail::RecordFile> file_;
  std::vector<T> buffer_;
  std::deque<Run> runs_;
};

/// Elements that are kept in order of their appending, in scratch. Local.
template <Flat T>
class Spool {
 public:
  explicit Spool(const std::string& scratch) : file_(scratch, detail::RecordFile::Through::page_cache) {}

  /// By any thread; the order of calls is that of chunks.
  void append(std::span<const T> elements) {
    if (elements.empty()) return;
    const auto place = file_.append(std::as_bytes(elements));
    const std::lock_guard lock(mutex_);
    places_.push_back(place);
  }
  Index chunks() const { return static_cast<Index>(places_.size()); }
  std::vector<T> chunk(Index i) const {
    const auto& place = places_[static_cast<std::size_t>(i)];
    const PageMemory pages = file_.read(place);
    const auto* const elements = reinterpret_cast<const T*>(pages.data());
    return {elements, elements + static_cast<std::size_t>(place.bytes) / sizeof(T)};
  }

 private:
  detail::RecordFile file_;
  std::mutex mutex_;
  std::vector<detail::RecordFile::Place> places_;
};

/// Sends this rank's chunks 0 … chunks − 1, chunk(i), by and by to the ranks that owner(element) says, and
/// calls take(elements) for what arrives, in rounds, so that little more than a chunk of each rank is held.
/// `take` must not call the communicator. Collective.
template <Flat T, class ChunkOf, class OwnerOf, class Take>
void exchange_chunks(Communicator& comm, Index chunks, ChunkOf&& chunk_of, OwnerOf&& owner_of, Take&& take) {
  Index rounds = chunks;
  comm.allreduce_max(std::span(&rounds, 1));
  for (Index round = 0; round < rounds; ++round) {
    std::vector<Index> counts;
    const auto sorted = comm.collectively([&] {
      counts.assign(static_cast<std::size_t>(comm.size()), 0);
      const std::vector<T> elements = round < chunks ? chunk_of(round) : std::vector<T>();
      std::vector<int> owners;
      owners.reserve(elements.size());
      for (const T& element : elements) {
        owners.push_back(owner_of(element));
        ++counts[static_cast<std::size_t>(owners.back())];
      }
      std::vector<Index> next(counts.size(), 0);
      for (std::size_t i = 1; i < next.size(); ++i) next[i] = next[i - 1] + counts[i - 1];
      std::vector<T> out(elements.size());
      for (std::size_t i = 0; i < elements.size(); ++i)
        out[static_cast<std::size_t>(next[static_cast<std::size_t>(owners[i])]++)] = elements[i];
      return out;
    });
    const auto received = comm.alltoallv(std::span<const T>(sorted), std::span<const Index>(counts));
    comm.collectively([&] { take(std::span<const T>(received)); });
  }
}

}  // namespace firesteel
