// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/communicator.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <numeric>

#include "firesteel/core/communicator_handle.hpp"
#include "firesteel/core/long_messages.hpp"
#include "firesteel/core/ulfm.hpp"

namespace firesteel {

using detail::check_mpi;

Communicator::Communicator(MPI_Comm parent, Index max_message_bytes, RankLoss loss)
    : handle_(std::make_shared<Handle>()) {
  if (parent == MPI_COMM_NULL)
    throw bad_parameter("expected a communicator, got MPI_COMM_NULL: this rank is not part of it");
  int between_groups = 0;
  check_mpi(MPI_Comm_test_inter(parent, &between_groups), "MPI_Comm_test_inter");
  if (between_groups != 0) throw bad_parameter("expected one group of ranks, got an inter-communicator");
  handle_->max_message_bytes =
      static_cast<std::size_t>(std::clamp<Index>(max_message_bytes, 8, Index{1} << 30));
  duplicate(parent, loss);
  MPI_Comm node = MPI_COMM_NULL;
  const int split = MPI_Comm_split_type(handle_->comm, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node);
  if (handle_->messages) handle_->messages->check(split, "MPI_Comm_split_type");
  check_mpi(split, "MPI_Comm_split_type");
  check_mpi(MPI_Comm_size(node, &handle_->node_size), "MPI_Comm_size");
  MPI_Comm_free(&node);
  handle_->failure_keys.resize(static_cast<std::size_t>(handle_->size));
}

void Communicator::duplicate(MPI_Comm parent, RankLoss loss) {
  const int made = MPI_Comm_dup(parent, &handle_->comm);
  if (loss == RankLoss::interrupts && mpi_outlives_ranks()) {
    // All ranks have one, or none uses it: some may have got through before another died.
    int all_made = made == MPI_SUCCESS ? 1 : 0;
    detail::ulfm().agree(parent, &all_made);
    if (all_made == 0) handle_->comm = MPI_COMM_NULL;
    if (all_made == 0 && made == MPI_SUCCESS) throw MpiError("MPI_Comm_dup failed on another rank");
  }
  check_mpi(made, "MPI_Comm_dup");
  check_mpi(MPI_Comm_set_errhandler(handle_->comm, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  check_mpi(MPI_Comm_rank(handle_->comm, &handle_->rank), "MPI_Comm_rank");
  check_mpi(MPI_Comm_size(handle_->comm, &handle_->size), "MPI_Comm_size");
  if (loss == RankLoss::interrupts)
    handle_->messages = std::make_unique<detail::InterruptibleMessages>(handle_->comm);
}

int Communicator::rank() const { return handle_->rank; }
int Communicator::size() const { return handle_->size; }
int Communicator::node_size() const { return handle_->node_size; }
MPI_Comm Communicator::native() const { return handle_->comm; }
Activity& Communicator::activity() const { return handle_->activity; }
const std::map<std::string, Traffic, std::less<>>& Communicator::traffic() const { return handle_->traffic; }

Index Communicator::bytes_sent() const {
  return std::accumulate(handle_->traffic.begin(), handle_->traffic.end(), Index{0},
                         [](Index sum, const auto& entry) { return sum + entry.second.bytes_sent; });
}

void Communicator::count(std::string_view name, Index messages, Index bytes) {
  auto entry = handle_->traffic.find(name);
  if (entry == handle_->traffic.end()) entry = handle_->traffic.emplace(name, Traffic{}).first;
  ++entry->second.calls;
  entry->second.messages += messages;
  entry->second.bytes_sent += bytes;
}

void Communicator::barrier() {
  const InOperation now(handle_->activity, "barrier");
  if (handle_->messages) return handle_->messages->barrier();
  check_mpi(MPI_Barrier(handle_->comm), "MPI_Barrier");
}

void Communicator::abort(int code) const {
  int finalized = 0;
  MPI_Finalized(&finalized);
  if (finalized != 0) _exit(code);
  MPI_Abort(handle_->comm, code);
  std::abort();  // not reached: MPI_Abort does not return
}

void Communicator::broadcast_bytes(std::span<std::byte> bytes, int root) {
  if (size() == 1) return;
  const InOperation now(handle_->activity, "broadcast");
  if (handle_->messages) {
    const bool chain = detail::is_long(bytes.size(), size(), detail::kLongAcrossHosts);
    handle_->messages->broadcast(bytes, root, chain);
    count("broadcast", rank() == root ? size() - 1 : 0,
          rank() == root ? static_cast<Index>(bytes.size()) * (size() - 1) : 0);
    return;
  }
  if (node_size() < size() && detail::is_long(bytes.size(), size(), detail::kLongAcrossHosts)) {
    std::size_t messages = 0;
    const auto sent =
        detail::chain_broadcast(handle_->comm, bytes, root, handle_->max_message_bytes, messages);
    count("broadcast", static_cast<Index>(messages), static_cast<Index>(sent));
    return;
  }
  in_pieces(bytes.size(), 1, [&](std::size_t offset, std::size_t length) {
    check_mpi(MPI_Bcast(bytes.data() + offset, static_cast<int>(length), MPI_BYTE, root, handle_->comm),
              "MPI_Bcast");
  });
  count("broadcast", rank() == root ? size() - 1 : 0,
        rank() == root ? static_cast<Index>(bytes.size()) * (size() - 1) : 0);
}

std::string Communicator::broadcast_text(std::string text, int root) {
  text.resize(static_cast<std::size_t>(broadcast_value(static_cast<Index>(text.size()), root)));
  broadcast(std::span<char>(text.data(), text.size()), root);
  return text;
}

template <class T, class Datatype, class Operation>
void Communicator::allreduce(std::span<T> values, Datatype type, Operation operation, const char* name) {
  if (size() == 1) return;
  const bool short_ring = node_size() < size() || handle_->messages;
  const auto least_piece = short_ring ? detail::kLongAcrossHosts : detail::kLongOnOneHost;
  if (detail::is_long(values.size_bytes(), size(), least_piece)) {
    allreduce_long(std::as_writable_bytes(values), sizeof(T), type, operation, name);
    return;
  }
  const InOperation now(handle_->activity, name);
  if (handle_->messages)
    handle_->messages->allreduce(std::as_writable_bytes(values), sizeof(T), type, operation);
  else
    in_pieces(values.size_bytes(), sizeof(T), [&](std::size_t offset, std::size_t length) {
      check_mpi(MPI_Allreduce(MPI_IN_PLACE, values.data() + offset / sizeof(T),
                              static_cast<int>(length / sizeof(T)), type, operation, handle_->comm),
                "MPI_Allreduce");
    });
  count(name, 1, static_cast<Index>(values.size_bytes()));
}

void Communicator::allreduce_long(std::span<std::byte> values, std::size_t value_bytes, MPI_Datatype type,
                                  MPI_Op operation, const char* name) {
  const auto most = std::min(values.size(), handle_->max_message_bytes / value_bytes * value_bytes);
  const auto needed = detail::ring_scratch_bytes(most, value_bytes, size());
  auto& scratch = handle_->scratch;
  if (scratch.size() < needed) collectively([&] { scratch.resize(needed); });
  const InOperation now(handle_->activity, name);
  std::size_t messages = 0;
  std::size_t sent = 0;
  in_pieces(values.size(), value_bytes, [&](std::size_t offset, std::size_t length) {
    const auto piece = values.subspan(offset, length);
    if (handle_->messages)
      sent += detail::ring_allreduce(
          rank(), size(),
          [&](std::span<const std::byte> out, std::span<std::byte> in) {
            handle_->messages->send_receive(out, (rank() + 1) % size(), in, (rank() - 1 + size()) % size());
          },
          piece, value_bytes, type, operation, scratch, messages);
    else
      sent += detail::ring_allreduce(handle_->comm, piece, value_bytes, type, operation, scratch, messages);
  });
  count(name, static_cast<Index>(messages), static_cast<Index>(sent));
}

void Communicator::allreduce_sum(std::span<std::int64_t> values) {
  allreduce(values, MPI_INT64_T, MPI_SUM, "allreduce_sum");
}
void Communicator::allreduce_min(std::span<std::int64_t> values) {
  allreduce(values, MPI_INT64_T, MPI_MIN, "allreduce_min");
}
void Communicator::allreduce_max(std::span<std::int64_t> values) {
  allreduce(values, MPI_INT64_T, MPI_MAX, "allreduce_max");
}
void Communicator::allreduce_min(std::span<double> values) {
  allreduce(values, MPI_DOUBLE, MPI_MIN, "allreduce_min");
}
void Communicator::allreduce_max(std::span<double> values) {
  allreduce(values, MPI_DOUBLE, MPI_MAX, "allreduce_max");
}

bool Communicator::any(bool value) {
  std::int64_t word = value ? 1 : 0;
  allreduce_max(std::span(&word, 1));
  return word != 0;
}

std::int64_t Communicator::exclusive_scan(std::int64_t value) {
  if (size() == 1) return 0;
  const InOperation now(handle_->activity, "exclusive_scan");
  std::int64_t before_me = 0;
  if (handle_->messages) {
    const auto all = allgather(value);
    return std::accumulate(all.begin(), all.begin() + rank(), std::int64_t{0});
  }
  check_mpi(MPI_Exscan(&value, &before_me, 1, MPI_INT64_T, MPI_SUM, handle_->comm), "MPI_Exscan");
  count("exclusive_scan", 1, sizeof value);
  return rank() == 0 ? 0 : before_me;
}

void Communicator::allgather_bytes(std::span<const std::byte> mine, std::span<std::byte> all) {
  const InOperation now(handle_->activity, "allgather");
  const int length = static_cast<int>(mine.size());
  if (handle_->messages)
    handle_->messages->allgather(mine, all);
  else
    check_mpi(MPI_Allgather(mine.data(), length, MPI_BYTE, all.data(), length, MPI_BYTE, handle_->comm),
              "MPI_Allgather");
  count("allgather", size() - 1, length * static_cast<Index>(size() - 1));
}

}  // namespace firesteel
