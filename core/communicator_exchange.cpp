// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>
#include <numeric>

#include "firesteel/core/communicator_handle.hpp"
#include "firesteel/core/long_messages.hpp"

namespace firesteel {

namespace {

constexpr int kExchangeTag = 0x4000;

using detail::check_mpi;

std::vector<Index> offsets_of(std::span<const Index> counts) {
  std::vector<Index> offsets(counts.size() + 1, 0);
  std::partial_sum(counts.begin(), counts.end(), offsets.begin() + 1);
  return offsets;
}
}  // namespace

std::vector<std::string> cut_texts(std::span<const Index> lengths, std::span<const char> joined) {
  std::vector<std::string> texts;
  texts.reserve(lengths.size());
  std::size_t offset = 0;
  for (const Index length : lengths) {
    texts.emplace_back(joined.data() + offset, static_cast<std::size_t>(length));
    offset += static_cast<std::size_t>(length);
  }
  return texts;
}

void Communicator::exchange(std::span<const std::byte> send, const ExchangePlan& plan,
                            std::span<std::byte> receive) {
  const InOperation now(handle_->activity, plan.name);
  if (handle_->messages) return exchange_in_turn(send, plan, receive);
  auto& requests = handle_->requests;
  requests.clear();
  Index messages = 0;
  Index bytes = 0;
  for (int peer = 0; peer < size(); ++peer) {
    const auto p = static_cast<std::size_t>(peer);
    if (peer == rank()) continue;
    in_pieces(
        static_cast<std::size_t>(plan.receive_counts[p]), 1, [&](std::size_t offset, std::size_t length) {
          check_mpi(MPI_Irecv(receive.data() + plan.receive_offsets[p] + offset, static_cast<int>(length),
                              MPI_BYTE, peer, kExchangeTag, handle_->comm, &requests.emplace_back()),
                    "MPI_Irecv");
        });
  }
  for (int step = 1; step < size(); ++step) {
    const int peer = (rank() + step) % size();
    const auto p = static_cast<std::size_t>(peer);
    in_pieces(static_cast<std::size_t>(plan.send_counts[p]), 1, [&](std::size_t offset, std::size_t length) {
      check_mpi(MPI_Isend(send.data() + plan.send_offsets[p] + offset, static_cast<int>(length), MPI_BYTE,
                          peer, kExchangeTag, handle_->comm, &requests.emplace_back()),
                "MPI_Isend");
      ++messages;
      bytes += static_cast<Index>(length);
    });
  }
  const auto me = static_cast<std::size_t>(rank());
  if (plan.send_counts[me] > 0)
    std::memcpy(receive.data() + plan.receive_offsets[me], send.data() + plan.send_offsets[me],
                static_cast<std::size_t>(plan.send_counts[me]));
  check_mpi(MPI_Waitall(static_cast<int>(requests.size()), requests.data(), MPI_STATUSES_IGNORE),
            "MPI_Waitall");
  count(plan.name, messages, bytes);
}

/// With one other rank at a time.
void Communicator::exchange_in_turn(std::span<const std::byte> send, const ExchangePlan& plan,
                                    std::span<std::byte> receive) {
  Index messages = 0;
  Index bytes = 0;
  for (int step = 0; step < size(); ++step) {
    const auto to = static_cast<std::size_t>((rank() + step) % size());
    const auto from = static_cast<std::size_t>((rank() - step + size()) % size());
    const auto out = send.subspan(static_cast<std::size_t>(plan.send_offsets[to]),
                                  static_cast<std::size_t>(plan.send_counts[to]));
    const auto in = receive.subspan(static_cast<std::size_t>(plan.receive_offsets[from]),
                                    static_cast<std::size_t>(plan.receive_counts[from]));
    if (step == 0) {
      std::copy_n(out.begin(), std::min(out.size(), in.size()), in.begin());
      continue;
    }
    handle_->messages->send_receive(out, static_cast<int>(to), in, static_cast<int>(from));
    messages += out.empty() ? 0 : 1;
    bytes += static_cast<Index>(out.size());
  }
  count(plan.name, messages, bytes);
}

Communicator::ExchangePlan Communicator::plan_allgather(Index bytes) {
  const auto counts = allgather(bytes);
  return {"allgatherv", std::vector<Index>(counts.size(), bytes), std::vector<Index>(counts.size() + 1, 0),
          counts, offsets_of(counts)};
}

Communicator::ExchangePlan Communicator::plan_gather(Index bytes, int root) {
  auto counts = allgather(bytes);
  std::vector<Index> send_counts(counts.size(), 0);
  send_counts[static_cast<std::size_t>(root)] = bytes;
  if (rank() != root) std::fill(counts.begin(), counts.end(), 0);
  return {"gatherv", std::move(send_counts), std::vector<Index>(counts.size() + 1, 0), counts,
          offsets_of(counts)};
}

std::vector<std::string> Communicator::allgather_texts(std::span<const std::string> texts) {
  std::vector<Index> lengths;
  std::string joined;
  collectively([&] {
    for (const auto& text : texts) {
      lengths.push_back(static_cast<Index>(text.size()));
      joined += text;
    }
  });
  const auto all_lengths = allgatherv(std::span<const Index>(lengths));
  const auto all_joined = allgatherv(std::span<const char>(joined));
  return collectively([&] { return cut_texts(all_lengths, all_joined); });
}

Communicator::ExchangePlan Communicator::plan_alltoall(Index bytes, std::span<const Index> send_counts,
                                                       std::size_t value_bytes,
                                                       std::vector<Index>* receive_counts) {
  ExchangePlan plan{.name = "alltoallv"};
  collectively([&] {
    const Index total =
        std::accumulate(send_counts.begin(), send_counts.end(), Index{0}) * static_cast<Index>(value_bytes);
    const bool negative = std::any_of(send_counts.begin(), send_counts.end(), [](Index c) { return c < 0; });
    if (send_counts.size() != static_cast<std::size_t>(size()) || negative || total > bytes)
      throw internal_error("alltoallv: " + std::to_string(send_counts.size()) + " counts of " +
                           std::to_string(total) + " bytes do not fit " + std::to_string(size()) +
                           " ranks and a buffer of " + std::to_string(bytes));
    plan.send_counts.assign(send_counts.begin(), send_counts.end());
    for (auto& count : plan.send_counts) count *= static_cast<Index>(value_bytes);
    plan.send_offsets = offsets_of(plan.send_counts);
    plan.receive_counts.resize(plan.send_counts.size());
    plan.receive_offsets.resize(plan.send_counts.size() + 1);
    if (receive_counts != nullptr) receive_counts->resize(plan.send_counts.size());
  });
  const InOperation now(handle_->activity, plan.name);
  if (handle_->messages)
    handle_->messages->alltoall(std::as_bytes(std::span(plan.send_counts)),
                                std::as_writable_bytes(std::span(plan.receive_counts)), sizeof(Index));
  else
    check_mpi(MPI_Alltoall(plan.send_counts.data(), 1, MPI_INT64_T, plan.receive_counts.data(), 1,
                           MPI_INT64_T, handle_->comm),
              "MPI_Alltoall");
  plan.receive_offsets = offsets_of(plan.receive_counts);
  for (std::size_t rank = 0; receive_counts != nullptr && rank < receive_counts->size(); ++rank)
    (*receive_counts)[rank] = plan.receive_counts[rank] / static_cast<Index>(value_bytes);
  return plan;
}

// A message is pieces of the greatest length and then one shorter piece, which may be empty.
void Communicator::send(std::span<const std::byte> buffer, int destination, int tag) {
  const InOperation now(handle_->activity, "send");
  if (handle_->messages) {
    handle_->messages->send(buffer, destination, tag);
    count("send", 1, static_cast<Index>(buffer.size()));
    return;
  }
  const std::size_t piece = handle_->max_message_bytes;
  for (std::size_t offset = 0; offset <= buffer.size(); offset += piece) {
    const std::size_t length = std::min(piece, buffer.size() - offset);
    check_mpi(
        MPI_Send(buffer.data() + offset, static_cast<int>(length), MPI_BYTE, destination, tag, handle_->comm),
        "MPI_Send");
  }
  count("send", 1, static_cast<Index>(buffer.size()));
}

std::size_t Communicator::receive(std::span<std::byte> buffer, int source, int tag) {
  const InOperation now(handle_->activity, "receive");
  if (handle_->messages) return handle_->messages->receive(buffer, source, tag);
  const std::size_t piece = handle_->max_message_bytes;
  for (std::size_t received = 0;;) {
    const std::size_t room = std::min(piece, buffer.size() - received);
    MPI_Status status;
    check_mpi(MPI_Recv(buffer.data() + received, static_cast<int>(room), MPI_BYTE, source, tag, handle_->comm,
                       &status),
              "MPI_Recv");
    int bytes = 0;
    check_mpi(MPI_Get_count(&status, MPI_BYTE, &bytes), "MPI_Get_count");
    received += static_cast<std::size_t>(bytes);
    if (static_cast<std::size_t>(bytes) < piece) return received;
  }
}

}  // namespace firesteel
