// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "firesteel/core/context.hpp"
#include "firesteel/core/dataset/cache.hpp"
#include "firesteel/core/dataset/exchange.hpp"

namespace firesteel::detail {

/// Elements in scratch, one range after another, in order of rows within each. Local.
template <Serializable T>
class RangeSpool {
 public:
  /// `runs` of blocks, each written by one thread.
  RangeSpool(const std::string& scratch, Index ranges, Index runs)
      : file_(scratch), places_(at(ranges), std::vector<std::vector<RecordFile::Place>>(at(runs))) {}

  void append(Index range, Index run, const std::vector<T>& values) {
    if (!values.empty()) check_round_trip(values.front());
    ByteWriter out;
    out.write(values);
    const auto place = file_.append(out.buffer());
    const std::lock_guard lock(mutex_);
    places_[at(range)][at(run)].push_back(place);
  }
  /// Calls visit(std::vector<T> some elements) for those of a range, in order.
  template <class Visit>
  void for_each(Index range, Visit&& visit) const {
    for (std::size_t run = 0; run < places_[at(range)].size(); ++run)
      for_each_of_run(range, static_cast<Index>(run), visit);
  }
  template <class Visit>
  void for_each_of_run(Index range, Index run, Visit&& visit) const {
    for (const auto& place : places_[at(range)][at(run)]) {
      const PageMemory pages = file_.read(place);
      ByteReader in({pages.data(), at(place.bytes)});
      visit(in.template read<std::vector<T>>());
    }
  }
  void read(Index range, std::vector<T>& values) const {
    for_each(range, [&](std::vector<T> part) {
      values.insert(values.end(), std::make_move_iterator(part.begin()), std::make_move_iterator(part.end()));
    });
  }
  /// As written.
  Index bytes(Index range) const {
    Index bytes = 0;
    for (const auto& run : places_[at(range)])
      for (const auto& place : run) bytes += place.bytes;
    return bytes;
  }

 private:
  RecordFile file_;
  std::mutex mutex_;
  std::vector<std::vector<std::vector<RecordFile::Place>>> places_;  ///< [range][run]
};

/// What a thread has for each range until there is enough to be written. Local.
template <Serializable T>
class RangeBuffers {
 public:
  RangeBuffers(const Context& context, RangeSpool<T>& spool, Index ranges, Index run)
      : spool_(spool),
        run_(run),
        most_bytes_(std::clamp<Index>(context.memory()->available() / (4 * ranges * context.threads()), 4096,
                                      1 << 20)),
        values_(at(ranges)),
        bytes_(at(ranges), 0) {}

  /// `bytes`: what the element takes in memory.
  void put(Index range, T value, Index bytes) {
    bytes_[at(range)] += bytes;
    values_[at(range)].push_back(std::move(value));
    if (bytes_[at(range)] >= most_bytes_) flush(range);
  }
  void flush() {
    for (Index range = 0; range < static_cast<Index>(values_.size()); ++range) flush(range);
  }

 private:
  void flush(Index range) {
    auto& values = values_[at(range)];
    if (!values.empty()) spool_.append(range, run_, values);
    values.clear();
    bytes_[at(range)] = 0;
  }

  RangeSpool<T>& spool_;
  Index run_;
  Index most_bytes_;
  std::vector<std::vector<T>> values_;
  std::vector<Index> bytes_;
};

}  // namespace firesteel::detail
