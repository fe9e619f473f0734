// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/communicator.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <numeric>

#include "firesteel/core/interruptible_messages.hpp"
#include "firesteel/core/long_messages.hpp"
#include "firesteel/core/ulfm.hpp"

namespace firesteel {

namespace {

constexpr std::size_t kMaxErrorText = 4000;
constexpr int kExchangeTag = 0x4000;

using detail::check_mpi;

/// The order in which several faults are reported: words, absent input, output, data, the rest.
int precedence(ErrorCode code) {
  switch (code) {
    case ErrorCode::bad_parameter:
      return 0;
    case ErrorCode::no_input:
      return 1;
    case ErrorCode::cannot_create:
      return 2;
    case ErrorCode::bad_input:
      return 3;
    default:
      return 4;
  }
}

struct FailureKey {
  Index failed = 0;
  Index precedence = 0;
  Index file = 0;
  Index offset = 0;
  Index code = 0;
  Index text_bytes = 0;
};

FailureKey key_of(const Error& error, std::span<char> text) {
  std::string_view what = error.what();
  if (what.size() > text.size()) {
    what = what.substr(0, text.size());
    // Not inside a UTF-8 character.
    while (!what.empty() && (static_cast<unsigned char>(what.back()) & 0x80) != 0) what.remove_suffix(1);
  }
  std::copy(what.begin(), what.end(), text.begin());
  return {1,
          precedence(error.code()),
          error.place().file,
          error.place().offset,
          static_cast<Index>(error.code()),
          static_cast<Index>(what.size())};
}

/// The key of a failure; its text goes to `text`.
FailureKey describe(const std::exception_ptr& failure, std::span<char> text) noexcept {
  try {
    return key_of(to_error(failure), text);
  } catch (...) {
    // to_error itself found no memory.
    constexpr std::string_view kText = "out of memory";
    std::copy(kText.begin(), kText.end(), text.begin());
    constexpr auto kCode = ErrorCode::out_of_memory;
    return {1, precedence(kCode), 0, 0, static_cast<Index>(kCode), static_cast<Index>(kText.size())};
  }
}

bool before(const FailureKey& a, const FailureKey& b) {
  return std::tuple(-a.failed, a.precedence, a.file, a.offset) <
         std::tuple(-b.failed, b.precedence, b.file, b.offset);
}

}  // namespace

struct Communicator::Handle {
  MPI_Comm comm = MPI_COMM_NULL;
  int rank = 0;
  int size = 1;
  int node_size = 1;
  std::size_t max_message_bytes = 0;
  // Reserved for agree(), which may have to report that memory is exhausted.
  std::vector<FailureKey> failure_keys;
  std::array<char, kMaxErrorText> failure_text{};
  std::map<std::string, Traffic, std::less<>> traffic;
  Activity activity;
  std::vector<std::byte> scratch;                           // of allreduce_long: as long on every rank
  std::unique_ptr<detail::InterruptibleMessages> messages;  // where a lost rank interrupts; else null

  Handle() = default;
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() {
    const bool whole = !messages || messages->whole();
    messages.reset();
    int finalized = 0;
    MPI_Finalized(&finalized);
    if (finalized == 0 && comm != MPI_COMM_NULL && whole) MPI_Comm_free(&comm);
  }
};

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

/// Calls body(offset, count) for consecutive pieces no longer than a message may be.
template <class Body>
void Communicator::in_pieces(std::size_t bytes, std::size_t unit, Body&& body) const {
  const std::size_t piece = handle_->max_message_bytes / unit * unit;
  for (std::size_t offset = 0; offset < bytes; offset += piece) body(offset, std::min(piece, bytes - offset));
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

void Communicator::agree(const std::exception_ptr& failure) {
  std::int64_t failed = failure ? 1 : 0;
  if (size() > 1) {
    const InOperation now(handle_->activity, "agree");
    if (handle_->messages)
      handle_->messages->allreduce(std::as_writable_bytes(std::span(&failed, 1)), sizeof failed, MPI_INT64_T,
                                   MPI_MAX);
    else
      check_mpi(MPI_Allreduce(MPI_IN_PLACE, &failed, 1, MPI_INT64_T, MPI_MAX, handle_->comm),
                "MPI_Allreduce");
    count("agree", 1, sizeof failed);
  }
  if (failed == 0) return;

  FailureKey mine;
  auto& text = handle_->failure_text;
  if (failure) mine = describe(failure, text);
  auto& keys = handle_->failure_keys;
  allgather_bytes(std::as_bytes(std::span(&mine, 1)), std::as_writable_bytes(std::span(keys)));
  const auto first = std::min_element(keys.begin(), keys.end(), before);
  const auto length = static_cast<std::size_t>(first->text_bytes);
  broadcast(std::span(text).first(length), static_cast<int>(first - keys.begin()));
  throw Error(static_cast<ErrorCode>(first->code), std::string(text.data(), length),
              {first->file, first->offset}, true);
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

namespace {
std::vector<Index> offsets_of(std::span<const Index> counts) {
  std::vector<Index> offsets(counts.size() + 1, 0);
  std::partial_sum(counts.begin(), counts.end(), offsets.begin() + 1);
  return offsets;
}
}  // namespace

void Communicator::exchange(std::span<const std::byte> send, const ExchangePlan& plan,
                            std::span<std::byte> receive) {
  const InOperation now(handle_->activity, plan.name);
  if (handle_->messages) return exchange_in_turn(send, plan, receive);
  std::vector<MPI_Request> requests;
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
