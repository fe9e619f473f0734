// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mpi.h>

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string>

namespace firesteel::detail {

/// The operations of a Communicator whose ranks may die, by messages that can be given up.
///
/// When a rank dies, MPI's own collectives, and waits for sends under way, leave memory of ours in the hands
/// of the transport or end the whole job (docs/decisions/0026-going-on-without-a-rank.md). So here every byte
/// travels through buffers of this object, in pieces of at most 64 KiB, waits look at each turn whether a
/// rank is gone, and then everybody lets go: the communicator is revoked, which gets all others out too, and
/// the buffers that may still be written to are left alone for ever. Every function then throws MpiError.
///
/// Members are collective unless marked; none takes memory.
class InterruptibleMessages {
 public:
  /// Local. `comm` must outlive it.
  explicit InterruptibleMessages(MPI_Comm comm);
  InterruptibleMessages(const InterruptibleMessages&) = delete;
  InterruptibleMessages& operator=(const InterruptibleMessages&) = delete;
  /// Does not wait for what is under way: its buffers go when they are sent, once another one ends.
  ~InterruptibleMessages();

  /// Not collective. Returns when the bytes are copied, before they have arrived.
  void send(std::span<const std::byte> bytes, int destination, int tag);
  /// Not collective. Takes a message of at most bytes.size(); returns how many bytes came.
  std::size_t receive(std::span<std::byte> bytes, int source, int tag);
  /// Not collective: `out` to one rank and, at the same time, exactly in.size() bytes from another.
  void send_receive(std::span<const std::byte> out, int destination, std::span<std::byte> in, int source);

  void barrier();
  /// P − 1 steps along a chain where `chain`, else along a binomial tree.
  void broadcast(std::span<std::byte> bytes, int root, bool chain);
  /// Up a binomial tree and down again. For operations that do not care for order.
  void allreduce(std::span<std::byte> values, std::size_t value_bytes, MPI_Datatype type, MPI_Op operation);
  /// `all` has room for mine.size() bytes of each rank.
  void allgather(std::span<const std::byte> mine, std::span<std::byte> all);
  /// `unit` bytes to and from each rank.
  void alltoall(std::span<const std::byte> send, std::span<std::byte> receive, std::size_t unit);

  /// False once given up. Local.
  bool whole() const { return slots_ != nullptr; }
  /// Throws MpiError unless `code` is success; everybody lets go before. Local.
  void check(int code, const char* call);

 private:
  static constexpr std::size_t kPieceBytes = std::size_t{64} << 10;
  static constexpr std::size_t kSlots = 8;
  struct Slot {
    MPI_Request request = MPI_REQUEST_NULL;
    std::array<std::byte, kPieceBytes> bytes;
  };
  /// What the transport may read and write.
  struct Slots {
    std::array<Slot, kSlots> sends;
    std::array<Slot, kSlots> receives;
  };

  /// Whether the transport is done with all that was sent. Local.
  static bool sent(Slots& slots);
  int relative(int distance) const { return (rank_ + distance + size_) % size_; }
  void send_piece(std::span<const std::byte> piece, int destination, int tag);
  void post(std::size_t slot, std::size_t length, int source, int tag);
  /// What came into a slot.
  std::span<const std::byte> take(std::size_t slot);
  void receive_exactly(std::span<std::byte> bytes, int source);
  MPI_Status wait(MPI_Request& request);
  bool rank_is_gone() const;
  [[noreturn]] void give_up(const std::string& why);

  MPI_Comm comm_;
  int rank_ = 0;
  int size_ = 1;
  std::unique_ptr<Slots> slots_;  ///< null once given up
  std::size_t next_send_ = 0;
};

}  // namespace firesteel::detail
