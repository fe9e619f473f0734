// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/shared_upload.hpp"

#include <algorithm>
#include <exception>

#include "firesteel/core/error.hpp"
#include "firesteel/io/store.hpp"

namespace firesteel {

namespace {

constexpr Index kMessageBytes = Index{4} << 20;
constexpr int kRunTag = 0x2002;

}  // namespace

SharedUpload::SharedUpload(Communicator& comm, const OutputFile& own, const std::vector<Run>& runs)
    : comm_(comm), own_(own) {
  find_owners(runs);
}

void SharedUpload::find_owners(const std::vector<Run>& runs) {
  const auto numbers = comm_.collectively([&] {
    std::vector<Index> all;
    for (const auto& [begin, end] : runs) {
      all.push_back(begin);
      all.push_back(end);
    }
    return all;
  });
  const auto counts = comm_.allgather(static_cast<Index>(numbers.size()));
  const auto all = comm_.allgatherv(std::span<const Index>(numbers));
  const Index length = comm_.collectively(
      [&] { return comm_.rank() == 0 ? open_input(own_.temporary_path())->bytes() : Index{0}; });
  bytes_ = comm_.broadcast_value(length, 0);
  comm_.collectively([&] {
    std::size_t next = static_cast<std::size_t>(counts[0]);
    for (int rank = 1; rank < comm_.size(); ++rank)
      for (auto left = counts[static_cast<std::size_t>(rank)]; left > 0; left -= 2, next += 2)
        owned_.push_back({all[next], all[next + 1], rank});
    const auto by_place = [](const Range& a, const Range& b) { return a.begin < b.begin; };
    std::sort(owned_.begin(), owned_.end(), by_place);
    for (const Range& range : owned_) bytes_ = std::max(bytes_, range.end);
    if (comm_.rank() == 0 && length < bytes_) own_.resize(bytes_);
    // Rank 0 has what is left, also what nobody wrote.
    std::vector<Range> rest;
    Index at = 0;
    for (const Range& range : owned_) {
      if (range.begin > at) rest.push_back({at, range.begin, 0});
      at = std::max(at, range.end);
    }
    if (at < bytes_) rest.push_back({at, bytes_, 0});
    owned_.insert(owned_.end(), rest.begin(), rest.end());
    std::sort(owned_.begin(), owned_.end(), by_place);
  });
}

/// Each piece is sent by the rank that has most of it.
std::vector<SharedUpload::Piece> SharedUpload::cut(Index piece_bytes) const {
  std::vector<Piece> pieces;
  std::vector<Index> has(static_cast<std::size_t>(comm_.size()));
  std::size_t next = 0;
  for (Index begin = 0; begin < bytes_; begin += piece_bytes) {
    const Index end = std::min(bytes_, begin + piece_bytes);
    std::fill(has.begin(), has.end(), 0);
    while (next < owned_.size() && owned_[next].end <= begin) ++next;
    for (std::size_t i = next; i < owned_.size() && owned_[i].begin < end; ++i)
      has[static_cast<std::size_t>(owned_[i].rank)] +=
          std::min(end, owned_[i].end) - std::max(begin, owned_[i].begin);
    const auto most = std::max_element(has.begin(), has.end());
    pieces.push_back({begin, end, static_cast<int>(most - has.begin())});
  }
  return pieces;
}

/// What others have of a piece goes into the file of the rank that sends it, piece after piece, so that all
/// meet in the same order. After a failure it still travels, so that nobody waits.
void SharedUpload::bring(const std::vector<Piece>& pieces) {
  auto buffer =
      comm_.collectively([&] { return std::vector<char>(static_cast<std::size_t>(kMessageBytes)); });
  const auto file = comm_.collectively([&] { return open_input(own_.temporary_path()); });
  std::exception_ptr failure;
  const auto guarded = [&](auto&& body) {
    try {
      if (!failure) body();
    } catch (...) {
      failure = std::current_exception();
    }
  };
  const auto send = [&](Index at, std::span<char> bytes, int to) {
    guarded([&] {
      if (file->read_at(at, bytes) < bytes.size())
        throw Error(ErrorCode::io_failed, file->path() + ": what was written is not there");
    });
    comm_.send(std::as_bytes(bytes), to, kRunTag);
  };
  const auto receive = [&](Index at, std::span<char> bytes, int from) {
    comm_.receive(std::as_writable_bytes(bytes), from, kRunTag);
    guarded([&] { own_.write_at(at, std::as_bytes(bytes)); });
  };
  std::size_t next = 0;
  for (const Piece& piece : pieces) {
    while (next < owned_.size() && owned_[next].end <= piece.begin) ++next;
    for (std::size_t i = next; i < owned_.size() && owned_[i].begin < piece.end; ++i) {
      const Range& range = owned_[i];
      if (range.rank == piece.rank || (comm_.rank() != range.rank && comm_.rank() != piece.rank)) continue;
      const Index end = std::min(range.end, piece.end);
      for (Index at = std::max(range.begin, piece.begin); at < end; at += kMessageBytes) {
        const auto bytes =
            std::span(buffer).first(static_cast<std::size_t>(std::min(kMessageBytes, end - at)));
        if (comm_.rank() == range.rank)
          send(at, bytes, piece.rank);
        else
          receive(at, bytes, range.rank);
      }
    }
  }
  comm_.agree(failure);
}

/// Every rank sends its pieces; what the store told of each, in the order of pieces.
std::vector<std::string> SharedUpload::put(const std::vector<Piece>& pieces, const std::string& id) {
  const auto own = comm_.collectively([&] {
    std::vector<std::string> told;
    Store& store = store_of(own_.url());
    for (std::size_t i = 0; i < pieces.size(); ++i)
      if (pieces[i].rank == comm_.rank())
        told.push_back(store.put_piece(own_.url(), id, static_cast<Index>(i), own_.temporary_path(),
                                       pieces[i].begin, pieces[i].end));
    return told;
  });
  const auto by_rank = comm_.allgather_texts(own);
  return comm_.collectively([&] {
    std::vector<std::size_t> next(static_cast<std::size_t>(comm_.size()) + 1, 0);
    for (const Piece& piece : pieces) ++next[static_cast<std::size_t>(piece.rank) + 1];
    for (std::size_t rank = 1; rank < next.size(); ++rank) next[rank] += next[rank - 1];
    std::vector<std::string> told;
    for (const Piece& piece : pieces) told.push_back(by_rank[next[static_cast<std::size_t>(piece.rank)]++]);
    return told;
  });
}

/// False where the store does not put the pieces together.
bool SharedUpload::send_in_pieces(const std::string& id, Index piece_bytes) {
  const auto pieces = comm_.collectively([&] { return cut(piece_bytes); });
  bool joined = false;
  const auto give_up = [&] {
    if (comm_.rank() == 0)
      store_of(own_.url()).give_up_pieces(own_.url(), id, static_cast<Index>(pieces.size()));
  };
  try {
    bring(pieces);
    const auto told = put(pieces, id);
    joined = comm_.collectively(
        [&] { return comm_.rank() == 0 && store_of(own_.url()).join_pieces(own_.url(), id, told); });
  } catch (const Error& error) {
    if (error.agreed()) give_up();
    throw;
  }
  joined = comm_.broadcast_value(joined, 0);
  if (!joined) give_up();
  return joined;
}

void SharedUpload::send() {
  PiecesBegun begun;
  comm_.collectively([&] {
    if (comm_.rank() == 0) begun = store_of(own_.url()).begin_pieces(own_.url(), bytes_, comm_.size());
  });
  const std::string id = comm_.broadcast_text(begun.id, 0);
  const Index piece_bytes = comm_.broadcast_value(begun.piece_bytes, 0);
  if (piece_bytes > 0 && send_in_pieces(id, piece_bytes)) return;
  bring({{0, bytes_, 0}});
  comm_.collectively([&] {
    if (comm_.rank() == 0) store_of(own_.url()).put(own_.url(), own_.temporary_path());
  });
}

}  // namespace firesteel
