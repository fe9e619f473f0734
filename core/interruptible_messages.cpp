// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/interruptible_messages.hpp"

#include <algorithm>
#include <chrono>
#include <mutex>
#include <new>
#include <thread>
#include <vector>

#include "firesteel/core/error.hpp"
#include "firesteel/core/long_messages.hpp"
#include "firesteel/core/ulfm.hpp"

namespace firesteel::detail {

namespace {

constexpr int kTag = 0x4002;
constexpr int kTurnsBetweenLooks = 32;
// A rank that waits for longer leaves the CPU to those that work; on a busy machine giving it away (yielding)
// costs a round of all others each time.
constexpr auto kEagerTime = std::chrono::microseconds(200);
constexpr auto kNap = std::chrono::microseconds(50);

template <class Byte>
std::span<Byte> piece_of(std::span<Byte> bytes, std::size_t piece, std::size_t piece_bytes) {
  const std::size_t offset = piece * piece_bytes;
  return bytes.subspan(offset, std::min(piece_bytes, bytes.size() - offset));
}

std::size_t piece_count(std::size_t bytes, std::size_t piece_bytes) {
  return (bytes + piece_bytes - 1) / piece_bytes;
}

}  // namespace

InterruptibleMessages::InterruptibleMessages(MPI_Comm comm) : comm_(comm), slots_(std::make_unique<Slots>()) {
  check_mpi(MPI_Comm_rank(comm_, &rank_), "MPI_Comm_rank");
  check_mpi(MPI_Comm_size(comm_, &size_), "MPI_Comm_size");
}

bool InterruptibleMessages::sent(Slots& slots) {
  return std::all_of(slots.sends.begin(), slots.sends.end(), [](Slot& slot) {
    int done = 1;
    if (slot.request != MPI_REQUEST_NULL) MPI_Request_get_status(slot.request, &done, MPI_STATUS_IGNORE);
    if (done != 0 && slot.request != MPI_REQUEST_NULL) MPI_Wait(&slot.request, MPI_STATUS_IGNORE);
    return done != 0;
  });
}

InterruptibleMessages::~InterruptibleMessages() {
  int finalized = 0;
  MPI_Finalized(&finalized);
  if (!slots_ || finalized != 0) return;
  // Those of others that ended while the transport still read from their buffers; for the life of the
  // process.
  static auto& mutex = *new std::mutex;
  static auto& waiting = *new std::vector<std::unique_ptr<Slots>>;
  const std::lock_guard lock(mutex);
  std::erase_if(waiting, [](const std::unique_ptr<Slots>& slots) { return sent(*slots); });
  if (sent(*slots_)) return;
  try {
    waiting.reserve(waiting.size() + 1);
    waiting.push_back(std::move(slots_));
  } catch (const std::bad_alloc&) {
    (void)slots_.release();
  }
}

void InterruptibleMessages::give_up(const std::string& why) {
  (void)slots_.release();  // never freed: what is under way may still be written
  if (mpi_outlives_ranks()) ulfm().revoke(comm_);
  throw MpiError(why);
}

void InterruptibleMessages::check(int code, const char* call) {
  if (code == MPI_SUCCESS) return;
  try {
    check_mpi(code, call);
  } catch (const MpiError& error) {
    give_up(error.what());
  }
}

bool InterruptibleMessages::rank_is_gone() const {
  if (!mpi_outlives_ranks()) return false;
  int revoked = 0;
  if (ulfm().is_revoked(comm_, &revoked) != MPI_SUCCESS || revoked != 0) return true;
  MPI_Group failed = MPI_GROUP_NULL;
  if (ulfm().get_failed(comm_, &failed) != MPI_SUCCESS) return true;
  int count = 0;
  MPI_Group_size(failed, &count);
  MPI_Group_free(&failed);
  return count > 0;
}

/// Not by MPI_Wait alone: it frees a request that has failed while the transport still holds it, and Open MPI
/// ends the job when it comes back.
MPI_Status InterruptibleMessages::wait(MPI_Request& request) {
  using Clock = std::chrono::steady_clock;
  MPI_Status status{};
  int turn = 0;
  const auto start = Clock::now();
  for (int done = 0; request != MPI_REQUEST_NULL;) {
    check(MPI_Request_get_status(request, &done, MPI_STATUS_IGNORE), "MPI_Request_get_status");
    if (done != 0) {
      check(MPI_Wait(&request, &status), "MPI_Wait");
      break;
    }
    if (++turn % kTurnsBetweenLooks == 0 && rank_is_gone()) give_up("a rank of the job is gone");
    if (Clock::now() - start > kEagerTime) std::this_thread::sleep_for(kNap);
  }
  return status;
}

void InterruptibleMessages::send_piece(std::span<const std::byte> piece, int destination, int tag) {
  if (!slots_) throw MpiError("a rank of the job is gone");
  Slot& slot = slots_->sends[next_send_];
  next_send_ = (next_send_ + 1) % kSlots;
  wait(slot.request);
  std::copy(piece.begin(), piece.end(), slot.bytes.begin());
  check(MPI_Isend(slot.bytes.data(), static_cast<int>(piece.size()), MPI_BYTE, destination, tag, comm_,
                  &slot.request),
        "MPI_Isend");
}

void InterruptibleMessages::post(std::size_t slot, std::size_t length, int source, int tag) {
  if (!slots_) throw MpiError("a rank of the job is gone");
  Slot& into = slots_->receives[slot % kSlots];
  check(MPI_Irecv(into.bytes.data(), static_cast<int>(length), MPI_BYTE, source, tag, comm_, &into.request),
        "MPI_Irecv");
}

std::span<const std::byte> InterruptibleMessages::take(std::size_t slot) {
  Slot& from = slots_->receives[slot % kSlots];
  const MPI_Status status = wait(from.request);
  int bytes = 0;
  check(MPI_Get_count(&status, MPI_BYTE, &bytes), "MPI_Get_count");
  return std::span<const std::byte>(from.bytes).first(static_cast<std::size_t>(bytes));
}

// A message is pieces of the greatest length and then one shorter piece, which may be empty.
void InterruptibleMessages::send(std::span<const std::byte> bytes, int destination, int tag) {
  for (std::size_t offset = 0; offset <= bytes.size(); offset += kPieceBytes)
    send_piece(bytes.subspan(offset, std::min(kPieceBytes, bytes.size() - offset)), destination, tag);
}

std::size_t InterruptibleMessages::receive(std::span<std::byte> bytes, int source, int tag) {
  for (std::size_t received = 0;;) {
    post(0, kPieceBytes, source, tag);
    const auto piece = take(0);
    if (piece.size() > bytes.size() - received)
      throw internal_error("a message is longer than the room for it, " + std::to_string(bytes.size()) +
                           " bytes");
    std::copy(piece.begin(), piece.end(), bytes.begin() + static_cast<std::ptrdiff_t>(received));
    received += piece.size();
    if (piece.size() < kPieceBytes) return received;
  }
}

/// Piece i of `out` leaves before piece i of `in` is waited for, which its sender can send by then: nobody
/// waits in a circle.
void InterruptibleMessages::send_receive(std::span<const std::byte> out, int destination,
                                         std::span<std::byte> in, int source) {
  const std::size_t sends = piece_count(out.size(), kPieceBytes);
  const std::size_t receives = piece_count(in.size(), kPieceBytes);
  const auto post_piece = [&](std::size_t i) { post(i, piece_of(in, i, kPieceBytes).size(), source, kTag); };
  for (std::size_t i = 0; i < std::min(kSlots, receives); ++i) post_piece(i);
  for (std::size_t i = 0; i < std::max(sends, receives); ++i) {
    if (i < sends) send_piece(piece_of(out, i, kPieceBytes), destination, kTag);
    if (i >= receives) continue;
    const auto piece = take(i);
    std::copy(piece.begin(), piece.end(), piece_of(in, i, kPieceBytes).begin());
    if (i + kSlots < receives) post_piece(i + kSlots);
  }
}

void InterruptibleMessages::receive_exactly(std::span<std::byte> bytes, int source) {
  send_receive({}, source, bytes, source);
}

void InterruptibleMessages::barrier() {
  constexpr std::array<std::byte, 1> kOut{};
  std::array<std::byte, 1> in{};
  for (int distance = 1; distance < size_; distance *= 2)
    send_receive(kOut, relative(distance), in, relative(-distance));
}

void InterruptibleMessages::broadcast(std::span<std::byte> bytes, int root, bool chain) {
  const int place = (rank_ - root + size_) % size_;
  int lowest = 1;  // a power of two: the lowest set bit of `place`, or beyond all ranks on the root
  while (lowest < size_ && (place & lowest) == 0) lowest *= 2;
  for (std::size_t i = 0; i < piece_count(bytes.size(), kPieceBytes); ++i) {
    const auto piece = piece_of(bytes, i, kPieceBytes);
    if (place > 0) receive_exactly(piece, relative(chain ? -1 : -lowest));
    if (chain && place + 1 < size_) send_piece(piece, relative(1), kTag);
    for (int distance = lowest / 2; !chain && distance > 0; distance /= 2)
      if (place + distance < size_) send_piece(piece, relative(distance), kTag);
  }
}

void InterruptibleMessages::allreduce(std::span<std::byte> values, std::size_t value_bytes, MPI_Datatype type,
                                      MPI_Op operation) {
  const std::size_t piece_bytes = kPieceBytes / value_bytes * value_bytes;
  for (std::size_t i = 0; i < piece_count(values.size(), piece_bytes); ++i) {
    const auto piece = piece_of(values, i, piece_bytes);
    for (int distance = 1; distance < size_; distance *= 2) {
      if ((rank_ & distance) != 0) {
        send_piece(piece, rank_ - distance, kTag);
        break;
      }
      if (rank_ + distance >= size_) continue;
      post(0, piece.size(), rank_ + distance, kTag);
      const auto other = take(0);
      check(MPI_Reduce_local(other.data(), piece.data(), static_cast<int>(piece.size() / value_bytes), type,
                             operation),
            "MPI_Reduce_local");
    }
    broadcast(piece, 0, false);
  }
}

void InterruptibleMessages::allgather(std::span<const std::byte> mine, std::span<std::byte> all) {
  const auto block = [&](int rank) {
    return all.subspan(static_cast<std::size_t>(rank) * mine.size(), mine.size());
  };
  std::copy(mine.begin(), mine.end(), block(rank_).begin());
  for (int step = 0; step < size_ - 1; ++step)
    send_receive(block(relative(-step)), relative(1), block(relative(-step - 1)), relative(-1));
}

void InterruptibleMessages::alltoall(std::span<const std::byte> send, std::span<std::byte> receive,
                                     std::size_t unit) {
  const auto me = static_cast<std::size_t>(rank_) * unit;
  for (std::size_t i = me; i < me + unit; ++i) receive[i] = send[i];
  for (int step = 1; step < size_; ++step) {
    const auto to = static_cast<std::size_t>(relative(step));
    const auto from = static_cast<std::size_t>(relative(-step));
    send_receive(send.subspan(to * unit, unit), relative(step), receive.subspan(from * unit, unit),
                 relative(-step));
  }
}

}  // namespace firesteel::detail
