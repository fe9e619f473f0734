// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/watchdog_meeting.hpp"

#include <poll.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <optional>

#include "firesteel/core/watchdog_message.hpp"

namespace firesteel::detail {

namespace {

constexpr double kConnectLimit_s = 15;  // for a rank to find rank 0
constexpr double kAnswerLimit_s = 5;    // for an address to answer, for a stranger to say the token

/// Who has connected and not said the token yet.
struct Stranger {
  MessageStream stream;
  double deadline_s = 0;
};

Seat own_seat() {
  Seat seat;
  gethostname(seat.host.data(), seat.host.size() - 1);
  for (const auto& address : reachable_addresses(kHostAddresses)) seat.reachable.add(address);
  return seat;
}

/// One connection a rank, where the limit can be raised so far.
void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

/// Says the token at an address of rank 0 and hears it back.
std::optional<MessageStream> call_at(const PeerAddress& address, const Token& token, int rank) {
  auto socket = connect_to(address, kAnswerLimit_s);
  if (!socket) return std::nullopt;
  MessageStream stream(std::move(*socket));
  WatchdogMessage hello{.kind = MessageKind::hello, .rank = rank, .token = token};
  send_message(stream, hello);
  const double deadline = now_s() + kAnswerLimit_s;
  while (stream.open() && now_s() < deadline) {
    pollfd waiting{stream.descriptor(), POLLIN, 0};
    poll(&waiting, 1, 100);
    stream.receive();
    if (const auto answer = next_message(stream)) {
      if (answer->kind == MessageKind::welcome && same_token(answer->token, token)) return stream;
      return std::nullopt;
    }
  }
  return std::nullopt;
}

/// How the ranks find each other.
class Meeting {
 public:
  explicit Meeting(Communicator comm) : comm_(std::move(comm)) {}

  MetPeers meet() {
    const auto seats = comm_.allgather(comm_.collectively(own_seat));
    std::string failure = comm_.collectively([&] {
      for (const auto& seat : seats) met_.hosts.push_back(text_of(seat.host));
      return rank() == 0 ? attempt([&] { listen(seats); }) : std::string();
    });
    const Invitation invitation = comm_.broadcast_value(invitation_, 0);
    if (invitation.at.count > 0) failure = attempt([&] { rank() == 0 ? admit_all() : join(invitation); });
    met_.failure = first_failure(comm_, failure);
    return std::move(met_);
  }

 private:
  int rank() const { return comm_.rank(); }
  const std::string& host_of(int rank) const { return met_.hosts[static_cast<std::size_t>(rank)]; }

  void listen(const std::vector<Seat>& seats) {
    std::vector<PeerAddress> own{loopback_address()};
    if (comm_.node_size() < comm_.size()) {
      std::vector<PeerAddress> others;
      for (const auto& seat : seats)
        if (seat.host != seats.front().host)
          others.insert(others.end(), seat.reachable.span().begin(), seat.reachable.span().end());
      const auto reachable = seats.front().reachable.span();
      own = addresses_towards({reachable.begin(), reachable.end()}, others);
    }
    raise_descriptor_limit();
    for (PeerAddress address : own) {
      listeners_.push_back(listen_at(address));
      invitation_.at.add(address);
    }
    if (own.empty())
      throw Error(ErrorCode::unavailable, "rank 0 on " + host_of(0) + " finds no route to the other hosts");
    if (getrandom(invitation_.token.data(), invitation_.token.size(), 0) < 0)
      throw Error(ErrorCode::unavailable, std::string("no random numbers: ") + std::strerror(errno));
  }

  void join(const Invitation& invitation) {
    const double deadline = now_s() + kConnectLimit_s;
    std::string tried;
    for (const auto& address : invitation.at.span()) {
      tried += (tried.empty() ? "" : ", ") + address.text();
      if (now_s() > deadline) break;
      auto stream = call_at(address, invitation.token, rank());
      if (!stream) continue;
      met_.peers.push_back({.rank = 0, .stream = std::move(*stream)});
      return;
    }
    throw Error(ErrorCode::unavailable, "rank " + std::to_string(rank()) + " on " + host_of(rank()) +
                                            " cannot connect to rank 0 at " + tried);
  }

  void admit_all() {
    const double deadline = now_s() + kConnectLimit_s;
    std::vector<Stranger> strangers;
    while (static_cast<int>(met_.peers.size()) < comm_.size() - 1) {
      if (now_s() > deadline)
        throw Error(ErrorCode::unavailable, "only " + std::to_string(met_.peers.size()) +
                                                " of the other ranks could connect to rank 0 on " +
                                                host_of(0));
      std::vector<pollfd> waiting;
      for (const auto& listener : listeners_) waiting.push_back({listener.get(), POLLIN, 0});
      for (const auto& stranger : strangers) waiting.push_back({stranger.stream.descriptor(), POLLIN, 0});
      poll(waiting.data(), waiting.size(), 100);
      for (const auto& listener : listeners_)
        if (FileDescriptor socket(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC)); socket.open())
          strangers.push_back({MessageStream(std::move(socket)), now_s() + kAnswerLimit_s});
      std::erase_if(strangers, [&](Stranger& stranger) { return settled(stranger); });
    }
    std::sort(met_.peers.begin(), met_.peers.end(),
              [](const MetPeer& a, const MetPeer& b) { return a.rank < b.rank; });
  }

  /// Whether this connection need not be looked at again: now a peer, or turned away.
  bool settled(Stranger& stranger) {
    stranger.stream.receive();
    const auto message = next_message(stranger.stream);
    if (!message) return !stranger.stream.open() || now_s() > stranger.deadline_s;
    const auto known = [&](const MetPeer& peer) { return peer.rank == message->rank; };
    const bool good = message->kind == MessageKind::hello && same_token(message->token, invitation_.token) &&
                      message->rank > 0 && message->rank < comm_.size() &&
                      std::none_of(met_.peers.begin(), met_.peers.end(), known);
    if (!good) return true;
    send_message(stranger.stream, {.kind = MessageKind::welcome, .token = invitation_.token});
    met_.peers.push_back({.rank = static_cast<int>(message->rank), .stream = std::move(stranger.stream)});
    return true;
  }

  Communicator comm_;
  MetPeers met_;
  std::vector<FileDescriptor> listeners_;
  Invitation invitation_;
};

}  // namespace

double now_s() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::string first_failure(Communicator& comm, const std::string& failure) {
  std::int64_t first = failure.empty() ? comm.size() : comm.rank();
  comm.allreduce_min(std::span(&first, 1));
  if (first == comm.size()) return {};
  return comm.broadcast_text(failure, static_cast<int>(first));
}

MetPeers meet_all(const Communicator& comm) { return Meeting(comm).meet(); }

}  // namespace firesteel::detail
