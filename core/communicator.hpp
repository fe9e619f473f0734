// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mpi.h>

#include <cstddef>
#include <exception>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "firesteel/core/activity.hpp"
#include "firesteel/core/error.hpp"
#include "firesteel/core/index.hpp"

namespace firesteel {

/// What one kind of operation has cost this rank so far.
struct Traffic {
  Index calls = 0;
  Index messages = 0;    ///< sent by this rank
  Index bytes_sent = 0;  ///< payload bytes that left this rank, to ranks of its own host too
};

/// Texts of these lengths that stand one after another: texts travel between ranks as lengths and characters.
/// Local.
std::vector<std::string> cut_texts(std::span<const Index> lengths, std::span<const char> joined);

/// A group of ranks that work on one job, over a private duplicate of an MPI communicator, so that a caller's
/// own MPI traffic is untouched. Errors of MPI are returned on it alone and thrown as Error. Copies share the
/// duplicate.
///
/// Every member is collective (all ranks call it, in the same order) unless marked local. None takes a
/// floating-point sum: its order would change with the number of ranks (see CanonicalSum). Counts are 64-bit;
/// buffers above 1 GiB are sent in pieces.
///
/// Failure: code that can throw runs inside collectively(), so that one rank's error becomes the same error
/// on all.
class Communicator {
 public:
  /// What becomes of the others when a rank dies.
  enum class RankLoss {
    ends_the_job,  ///< as MPI has it; nothing is lost in speed
    interrupts     ///< each gets an MpiError, from the operation it is in or a later one: see Survivors
  };

  /// Duplicates `parent`. MPI must be initialised. Throws bad_parameter for MPI_COMM_NULL (a rank that a
  /// split left out) and for an inter-communicator. `max_message_bytes` is for tests: longer buffers go in
  /// pieces of that size.
  explicit Communicator(MPI_Comm parent, Index max_message_bytes = Index{1} << 30,
                        RankLoss loss = RankLoss::ends_the_job);

  int rank() const;         ///< local
  int size() const;         ///< local
  MPI_Comm native() const;  ///< local; our duplicate, for parallel HDF5 only
  /// Ranks of this communicator that share this rank's memory (its node). Local: settled when duplicated.
  int node_size() const;

  /// Runs `local` on every rank, then agrees: if any rank threw, all throw the error of the smallest place
  /// (file, offset). `local` must not call the communicator. Cost: one allreduce of 8 bytes where nothing
  /// fails.
  template <class F>
  std::invoke_result_t<F&> collectively(F&& local) {
    std::exception_ptr failure;
    if constexpr (std::is_void_v<std::invoke_result_t<F&>>) {
      try {
        local();
      } catch (...) {
        failure = std::current_exception();
      }
      agree(failure);
    } else {
      std::optional<std::invoke_result_t<F&>> result;
      try {
        result.emplace(local());
      } catch (...) {
        failure = std::current_exception();
      }
      agree(failure);
      return std::move(*result);
    }
  }

  /// All ranks throw the smallest error if any rank passes one; otherwise returns. Allocates nothing before
  /// the ranks have met, so that a rank out of memory can still say so. Texts above 4,000 bytes are cut.
  void agree(const std::exception_ptr& failure);

  void barrier();

  /// Ends every rank of the whole MPI job with this exit code. Local.
  [[noreturn]] void abort(int code) const;

  /// Across hosts, from 32 KiB a rank, the bytes go along the chain root, root + 1, …: each rank but the last
  /// sends them once. Others are the MPI's to spread, and counted as sent by the root to each.
  template <class T>
  void broadcast(std::span<T> values, int root) {
    static_assert(std::is_trivially_copyable_v<T>);
    broadcast_bytes(std::as_writable_bytes(values), root);
  }
  /// Every rank leaves with the root's value.
  template <class T>
  T broadcast_value(T value, int root) {
    broadcast(std::span<T>(&value, 1), root);
    return value;
  }
  std::string broadcast_text(std::string text, int root);

  // Order-free reductions, in place. From 32 KiB a rank across hosts, 8 MiB on one, they go around a ring:
  // each rank sends 2 (P − 1) / P of the bytes. Others are the MPI's to combine, and counted as one message
  // of all bytes.
  void allreduce_sum(std::span<std::int64_t> values);
  void allreduce_min(std::span<std::int64_t> values);
  void allreduce_max(std::span<std::int64_t> values);
  void allreduce_min(std::span<double> values);  ///< NaN is not allowed
  void allreduce_max(std::span<double> values);  ///< NaN is not allowed
  std::int64_t sum(std::int64_t value) {
    allreduce_sum(std::span(&value, 1));
    return value;
  }
  bool any(bool value);

  /// Sum of `value` over the ranks before this one.
  std::int64_t exclusive_scan(std::int64_t value);

  /// One value a rank, in rank order.
  template <class T>
  std::vector<T> allgather(const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    std::vector<T> all(static_cast<std::size_t>(size()));
    allgather_bytes(std::as_bytes(std::span(&value, 1)), std::as_writable_bytes(std::span(all)));
    return all;
  }
  /// The ranks' vectors one after another, in rank order.
  template <class T>
  std::vector<T> allgatherv(std::span<const T> values) {
    static_assert(std::is_trivially_copyable_v<T>);
    return exchanged<T>(values, plan_allgather(static_cast<Index>(values.size_bytes())));
  }
  /// As allgatherv, for texts.
  std::vector<std::string> allgather_texts(std::span<const std::string> texts);
  /// The ranks' vectors in rank order on `root`; empty elsewhere.
  template <class T>
  std::vector<T> gatherv(std::span<const T> values, int root) {
    static_assert(std::is_trivially_copyable_v<T>);
    return exchanged<T>(values, plan_gather(static_cast<Index>(values.size_bytes()), root));
  }

  /// send_counts[r] values, in rank order, go to rank r; what arrives is ordered by sender. receive_counts
  /// (optional) gets the number from each.
  template <class T>
  std::vector<T> alltoallv(std::span<const T> values, std::span<const Index> send_counts,
                           std::vector<Index>* receive_counts = nullptr) {
    static_assert(std::is_trivially_copyable_v<T>);
    return exchanged<T>(values, plan_alltoall(static_cast<Index>(values.size_bytes()), send_counts, sizeof(T),
                                              receive_counts));
  }

  /// Who sends how much to whom, in bytes; offsets have one more, the total.
  struct ExchangePlan {
    const char* name = nullptr;
    std::vector<Index> send_counts;
    std::vector<Index> send_offsets;
    std::vector<Index> receive_counts;
    std::vector<Index> receive_offsets;
  };

  /// The plan of an alltoallv that is repeated: always send_counts[r] of these `values` of T go to rank r.
  template <class T>
  ExchangePlan plan_alltoallv(Index values, std::span<const Index> send_counts) {
    return plan_alltoall(values * static_cast<Index>(sizeof(T)), send_counts, sizeof(T), nullptr);
  }
  /// An alltoallv by such a plan into `received`, as long as the plan says. After the first it takes no
  /// memory.
  template <class T>
  void alltoallv(std::span<const T> values, const ExchangePlan& plan, std::span<T> received) {
    static_assert(std::is_trivially_copyable_v<T>);
    exchange(std::as_bytes(values), plan, std::as_writable_bytes(received));
  }

  // Point to point, for CanonicalSum and neighbour exchange. Tags below 2^15. Not collective.
  void send(std::span<const std::byte> buffer, int destination, int tag);
  /// Receives at most buffer.size() bytes; returns how many arrived. The message may be shorter, not longer.
  std::size_t receive(std::span<std::byte> buffer, int source, int tag);

  /// Cost by operation name since construction. Local.
  const std::map<std::string, Traffic, std::less<>>& traffic() const;
  /// Adds a call of `name` that sent no message: others took `bytes` out of this rank's memory (NodeMemory).
  /// Local.
  void count_shared(std::string_view name, Index bytes) { count(name, 0, bytes); }
  /// Payload bytes this rank has sent, all operations. Local.
  Index bytes_sent() const;

  /// What this rank is doing, for a watchdog to look at. Local.
  Activity& activity() const;

 private:
  struct Handle;

  /// All ranks have the memory for what they will be sent before anything is sent.
  template <class T>
  std::vector<T> exchanged(std::span<const T> values, const ExchangePlan& plan) {
    std::vector<T> received = collectively(
        [&] { return std::vector<T>(static_cast<std::size_t>(plan.receive_offsets.back()) / sizeof(T)); });
    exchange(std::as_bytes(values), plan, std::as_writable_bytes(std::span(received)));
    return received;
  }
  void broadcast_bytes(std::span<std::byte> bytes, int root);
  void allgather_bytes(std::span<const std::byte> mine, std::span<std::byte> all);
  ExchangePlan plan_allgather(Index bytes);
  ExchangePlan plan_gather(Index bytes, int root);
  ExchangePlan plan_alltoall(Index bytes, std::span<const Index> send_counts, std::size_t value_bytes,
                             std::vector<Index>* receive_counts);
  void exchange(std::span<const std::byte> send, const ExchangePlan& plan, std::span<std::byte> receive);
  void exchange_in_turn(std::span<const std::byte> send, const ExchangePlan& plan,
                        std::span<std::byte> receive);
  template <class Body>
  void in_pieces(std::size_t bytes, std::size_t unit, Body&& body) const;
  template <class T, class Datatype, class Operation>
  void allreduce(std::span<T> values, Datatype type, Operation operation, const char* name);
  void allreduce_long(std::span<std::byte> values, std::size_t value_bytes, MPI_Datatype type,
                      MPI_Op operation, const char* name);
  void count(std::string_view name, Index messages, Index bytes);
  void duplicate(MPI_Comm parent, RankLoss loss);

  std::shared_ptr<Handle> handle_;
};

}  // namespace firesteel
