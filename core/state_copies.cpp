// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/state_copies.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>

namespace firesteel {

namespace {

constexpr double kShareOfTime = 0.05;

double now_s() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

Index count_of(const StatePart& part) { return static_cast<Index>(part.bytes.size()) / part.value_bytes; }

/// What a rank tells the next one of a part before its bytes.
struct SegmentHeader {
  Index part = 0;
  Index first = 0;
  Index bytes = 0;
};

std::vector<Index> only_to(int rank, int ranks, std::size_t count) {
  std::vector<Index> counts(static_cast<std::size_t>(ranks), 0);
  counts[static_cast<std::size_t>(rank)] = static_cast<Index>(count);
  return counts;
}

}  // namespace

bool StateCopies::due(const Communicator& comm) const {
  if (comm.rank() != 0) return false;
  return copies_.empty() || (now_s() - kept_s_) * kShareOfTime >= kept_took_s_;
}

void StateCopies::keep(Communicator& comm, const CheckpointIdentity& identity, Index iteration,
                       std::vector<StatePart> parts) {
  const double start_s = now_s();
  comm.collectively([&] {
    if (!identity_) identity_ = identity;
    while (copies_.size() > 1) copies_.pop_front();  // the last one is whole by now
  });
  add(comm, iteration, std::move(parts));
  kept_s_ = now_s();
  kept_took_s_ = kept_s_ - start_s;
}

void StateCopies::add(Communicator& comm, Index iteration, std::vector<StatePart> parts) {
  Copy copy;
  std::vector<SegmentHeader> headers;
  std::vector<std::byte> packed;
  comm.collectively([&] {
    copy.iteration = iteration;
    for (const auto& part : parts) copy.totals.push_back(part.partitioned ? count_of(part) : 0);
  });
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (!parts[i].partitioned) continue;
    const Index first = comm.exclusive_scan(copy.totals[i]);
    comm.collectively([&] {
      headers.push_back({static_cast<Index>(i), first, static_cast<Index>(parts[i].bytes.size())});
      packed.insert(packed.end(), parts[i].bytes.begin(), parts[i].bytes.end());
      copy.segments.push_back({i, first, std::move(parts[i].bytes)});
      parts[i].bytes.clear();
    });
  }
  copy.parts = std::move(parts);
  comm.allreduce_sum(copy.totals);
  if (comm.size() > 1 && !headers.empty()) {
    const int next = (comm.rank() + 1) % comm.size();
    const auto their_headers =
        comm.alltoallv(std::span<const SegmentHeader>(headers), only_to(next, comm.size(), headers.size()));
    const auto theirs =
        comm.alltoallv(std::span<const std::byte>(packed), only_to(next, comm.size(), packed.size()));
    comm.collectively([&] {
      auto begin = theirs.begin();
      for (const auto& header : their_headers) {
        const auto end = begin + header.bytes;
        copy.segments.push_back({static_cast<std::size_t>(header.part), header.first, {begin, end}});
        begin = end;
      }
    });
  }
  comm.collectively([&] { copies_.push_back(std::move(copy)); });
}

const StateCopies::Copy* StateCopies::copy_of(Index iteration) const {
  for (const auto& copy : copies_)
    if (copy.iteration == iteration) return &copy;
  return nullptr;
}

std::vector<const StateCopies::Segment*> StateCopies::segments_of(Index iteration, std::size_t part) const {
  std::vector<const Segment*> found;
  for (const auto& copy : copies_)
    for (const auto& segment : copy.segments)
      if (copy.iteration == iteration && segment.part == part) found.push_back(&segment);
  return found;
}

std::optional<std::vector<StateCopies::Source>> StateCopies::find_sources(Communicator& comm, Index iteration,
                                                                          std::size_t part,
                                                                          Index total) const {
  const auto mine = comm.collectively([&] {
    std::vector<Source> own;
    const Index value_bytes = copy_of(iteration)->parts[part].value_bytes;
    const auto segments = segments_of(iteration, part);
    for (std::size_t i = 0; i < segments.size(); ++i)
      own.push_back({segments[i]->first,
                     segments[i]->first + static_cast<Index>(segments[i]->bytes.size()) / value_bytes,
                     comm.rank(), static_cast<Index>(i)});
    return own;
  });
  const auto all = comm.allgatherv(std::span<const Source>(mine));
  return comm.collectively([&]() -> std::optional<std::vector<Source>> {
    std::vector<Source> chosen;
    for (Index position = 0; position < total;) {
      const Source* best = nullptr;  // the first of those that reach furthest
      for (const auto& source : all)
        if (source.first <= position && source.end > position && (best == nullptr || source.end > best->end))
          best = &source;
      if (best == nullptr) return std::nullopt;
      chosen.push_back({position, best->end, best->rank, best->segment});
      position = best->end;
    }
    return chosen;
  });
}

bool StateCopies::is_whole(Communicator& comm, Index iteration) const {
  const Copy* copy = copy_of(iteration);
  if (comm.any(copy == nullptr)) return false;
  for (std::size_t part = 0; part < copy->parts.size(); ++part)
    if (copy->parts[part].partitioned && !find_sources(comm, iteration, part, copy->totals[part]))
      return false;
  return true;
}

RecoveryPoint StateCopies::settle(Communicator& comm) {
  point_ = {};
  const auto mine = comm.collectively([&] {
    std::vector<Index> iterations;
    for (const auto& copy : copies_) iterations.push_back(copy.iteration);
    return iterations;
  });
  auto candidates = comm.allgatherv(std::span<const Index>(mine));
  std::sort(candidates.begin(), candidates.end(), std::greater<>());
  candidates.erase(std::unique(candidates.begin(), candidates.end()), candidates.end());
  RecoveryPoint point;
  for (const Index iteration : candidates) {
    if (!is_whole(comm, iteration)) continue;
    point.in_memory = iteration;
    break;
  }
  std::int64_t saved = on_disk_.value_or(-1);
  comm.allreduce_max(std::span(&saved, 1));
  if (saved >= 0) on_disk_ = point.on_disk = saved;
  if (!point.in_memory) copies_.clear();
  return point_ = point;
}

/// This rank's `count` values of a part, from whoever has them.
std::vector<std::byte> StateCopies::gather_part(Communicator& comm, const Copy& copy, std::size_t part,
                                                Index count) const {
  struct Run {
    Index first = 0;
    Index end = 0;
  };
  const Index first = comm.exclusive_scan(count);
  const auto wanted = comm.allgather(Run{first, first + count});
  const auto sources = find_sources(comm, copy.iteration, part, copy.totals[part]);
  if (wanted.back().end != copy.totals[part] || !sources)
    throw Error(ErrorCode::bad_input,
                "the copy of '" + copy.parts[part].name + "' has " + std::to_string(copy.totals[part]) +
                    " values, expected " + std::to_string(wanted.back().end) +
                    ": the data have changed while the job ran",
                {}, true);
  const Index value_bytes = copy.parts[part].value_bytes;
  // A run as far as it goes to one rank.
  const auto meet = [](const Source& source, const Run& range) {
    return Run{std::max(source.first, range.first), std::min(source.end, range.end)};
  };
  std::vector<Index> counts;
  const auto outgoing = comm.collectively([&] {
    const auto segments = segments_of(copy.iteration, part);
    std::vector<std::byte> bytes;
    for (const auto& range : wanted) {
      const std::size_t before = bytes.size();
      for (const auto& source : *sources) {
        const Run run = meet(source, range);
        if (source.rank != comm.rank() || run.first >= run.end) continue;
        const Segment& segment = *segments[static_cast<std::size_t>(source.segment)];
        const auto begin = segment.bytes.begin() + (run.first - segment.first) * value_bytes;
        bytes.insert(bytes.end(), begin, begin + (run.end - run.first) * value_bytes);
      }
      counts.push_back(static_cast<Index>(bytes.size() - before));
    }
    return bytes;
  });
  const auto arrived = comm.alltoallv(std::span<const std::byte>(outgoing), counts);
  return comm.collectively([&] {
    std::vector<std::byte> bytes(static_cast<std::size_t>(count * value_bytes));
    auto next = arrived.begin();
    for (int rank = 0; rank < comm.size(); ++rank)
      for (const auto& source : *sources) {
        const Run run = meet(source, {first, first + count});
        if (source.rank != rank || run.first >= run.end) continue;
        const auto length = (run.end - run.first) * value_bytes;
        std::copy(next, next + length, bytes.begin() + (run.first - first) * value_bytes);
        next += length;
      }
    return bytes;
  });
}

Checkpoint StateCopies::restore(Communicator& comm, const CheckpointIdentity& identity,
                                const std::vector<StatePart>& present) {
  const Copy* copy = nullptr;
  Checkpoint checkpoint;
  comm.collectively([&] {
    if (!point_.in_memory) throw internal_error("no copies of a state are whole");
    copy = copy_of(*point_.in_memory);
    if (!identity_ || identity_->learner != identity.learner ||
        identity_->parameters != identity.parameters || copy->parts.size() != present.size())
      throw internal_error("the copies of the state are of another fit");
    if (identity_->data != identity.data) throw bad_input("the data have changed while the job ran");
    checkpoint.iteration = copy->iteration;
    checkpoint.parts = copy->parts;
  });
  for (std::size_t part = 0; part < present.size(); ++part)
    if (copy->parts[part].partitioned)
      checkpoint.parts[part].bytes = gather_part(comm, *copy, part, count_of(present[part]));
  // Cut anew, for the next loss; the ones before stay until it is whole everywhere.
  add(comm, checkpoint.iteration, comm.collectively([&] { return checkpoint.parts; }));
  point_ = {};
  return checkpoint;
}

}  // namespace firesteel
