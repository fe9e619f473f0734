// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/peer_sockets.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string_view>

#include "firesteel/core/error.hpp"

namespace firesteel::detail {

namespace {

std::size_t address_bytes(int family) { return family == AF_INET ? 4 : 16; }

std::optional<PeerAddress> from_socket_address(const sockaddr* address) {
  PeerAddress found;
  if (address == nullptr) return std::nullopt;
  found.family = address->sa_family;
  if (address->sa_family == AF_INET) {
    sockaddr_in four{};
    std::memcpy(&four, address, sizeof four);
    std::memcpy(found.bytes.data(), &four.sin_addr, 4);
    found.port = ntohs(four.sin_port);
    return found;
  }
  if (address->sa_family == AF_INET6) {
    sockaddr_in6 six{};
    std::memcpy(&six, address, sizeof six);
    std::memcpy(found.bytes.data(), &six.sin6_addr, 16);
    found.port = ntohs(six.sin6_port);
    return found;
  }
  return std::nullopt;
}

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

SocketAddress to_socket_address(const PeerAddress& address) {
  SocketAddress result;
  if (address.family == AF_INET) {
    sockaddr_in four{};
    four.sin_family = AF_INET;
    four.sin_port = htons(address.port);
    std::memcpy(&four.sin_addr, address.bytes.data(), 4);
    std::memcpy(&result.storage, &four, sizeof four);
    result.length = sizeof four;
  } else {
    sockaddr_in6 six{};
    six.sin6_family = AF_INET6;
    six.sin6_port = htons(address.port);
    std::memcpy(&six.sin6_addr, address.bytes.data(), 16);
    std::memcpy(&result.storage, &six, sizeof six);
    result.length = sizeof six;
  }
  return result;
}

std::optional<PeerAddress> own_end(int descriptor) {
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  if (getsockname(descriptor, reinterpret_cast<sockaddr*>(&storage), &length) != 0) return std::nullopt;
  return from_socket_address(reinterpret_cast<const sockaddr*>(&storage));
}

/// Whether `address` lies in the network "a.b.c.d/n".
bool in_network(const PeerAddress& address, std::string_view network) {
  const auto slash = network.find('/');
  const std::string base(network.substr(0, slash));
  std::array<std::uint8_t, 16> bytes{};
  if (inet_pton(address.family, base.c_str(), bytes.data()) != 1) return false;
  std::size_t bits = address_bytes(address.family) * 8;
  if (slash != std::string_view::npos) {
    std::size_t given = 0;
    const auto digits = network.substr(slash + 1);
    if (std::from_chars(digits.data(), digits.data() + digits.size(), given).ec != std::errc()) return false;
    bits = std::min(bits, given);
  }
  for (std::size_t bit = 0; bit < bits; ++bit) {
    const auto mask = static_cast<std::uint8_t>(0x80U >> (bit % 8));
    if ((bytes[bit / 8] & mask) != (address.bytes[bit / 8] & mask)) return false;
  }
  return true;
}

/// Whether a list of Open MPI's, interfaces or networks separated by commas, names this one.
bool listed(std::string_view list, std::string_view interface, const PeerAddress& address) {
  while (!list.empty()) {
    const auto comma = list.find(',');
    const auto entry = list.substr(0, comma);
    if (entry == interface || (entry.find_first_of("./:") != entry.npos && in_network(address, entry)))
      return true;
    if (comma == list.npos) break;
    list.remove_prefix(comma + 1);
  }
  return false;
}

bool link_local(const PeerAddress& address) {
  if (address.family == AF_INET) return address.bytes[0] == 169 && address.bytes[1] == 254;
  return address.bytes[0] == 0xfe && (address.bytes[1] & 0xc0) == 0x80;
}

void make_prompt(int descriptor) {
  const int on = 1;
  setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK);
}

}  // namespace

std::string PeerAddress::text() const {
  std::array<char, INET6_ADDRSTRLEN> name{};
  inet_ntop(family, bytes.data(), name.data(), name.size());
  const std::string host = name.data();
  return (family == AF_INET6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

PeerAddress loopback_address() {
  PeerAddress address;
  address.family = AF_INET;
  address.bytes = {127, 0, 0, 1};
  return address;
}

std::vector<PeerAddress> reachable_addresses(std::size_t most) {
  std::vector<PeerAddress> found;
  ifaddrs* head = nullptr;
  if (getifaddrs(&head) != 0) return found;
  const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> list(head, freeifaddrs);
  const char* include = std::getenv("OMPI_MCA_btl_tcp_if_include");
  const char* exclude = std::getenv("OMPI_MCA_btl_tcp_if_exclude");
  for (const ifaddrs* entry = list.get(); entry != nullptr && found.size() < most; entry = entry->ifa_next) {
    const bool usable = (entry->ifa_flags & IFF_UP) != 0 && (entry->ifa_flags & IFF_LOOPBACK) == 0;
    auto address = from_socket_address(entry->ifa_addr);
    if (!usable || !address || link_local(*address)) continue;
    if (include != nullptr && *include != '\0' && !listed(include, entry->ifa_name, *address)) continue;
    if (include == nullptr && exclude != nullptr && listed(exclude, entry->ifa_name, *address)) continue;
    address->port = 0;
    found.push_back(*address);
  }
  return found;
}

std::vector<PeerAddress> addresses_towards(const std::vector<PeerAddress>& own,
                                           std::span<const PeerAddress> peers) {
  std::vector<PeerAddress> found;
  for (PeerAddress peer : peers) {
    // A bridge of containers has the same address on every host: it leads nowhere.
    if (std::find(own.begin(), own.end(), peer) != own.end()) continue;
    const FileDescriptor probe(socket(peer.family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    peer.port = 9;  // any: connecting a datagram socket sends nothing
    const SocketAddress target = to_socket_address(peer);
    if (!probe.open() || connect(probe.get(), target.get(), target.length) != 0) continue;
    auto route = own_end(probe.get());
    if (!route) continue;
    route->port = 0;
    if (std::find(own.begin(), own.end(), *route) == own.end()) continue;
    if (std::find(found.begin(), found.end(), *route) == found.end()) found.push_back(*route);
  }
  return found;
}

FileDescriptor listen_at(PeerAddress& address) {
  FileDescriptor listener(socket(address.family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const SocketAddress where = to_socket_address(address);
  if (!listener.open() || bind(listener.get(), where.get(), where.length) != 0 ||
      listen(listener.get(), SOMAXCONN) != 0)
    throw Error(ErrorCode::unavailable, address.text() + ": cannot listen: " + std::strerror(errno));
  if (const auto bound = own_end(listener.get())) address.port = bound->port;
  return listener;
}

std::optional<FileDescriptor> connect_to(const PeerAddress& address, double seconds) {
  FileDescriptor descriptor(socket(address.family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!descriptor.open()) return std::nullopt;
  const SocketAddress target = to_socket_address(address);
  if (connect(descriptor.get(), target.get(), target.length) != 0) {
    if (errno != EINPROGRESS) return std::nullopt;
    pollfd waiting{descriptor.get(), POLLOUT, 0};
    if (poll(&waiting, 1, static_cast<int>(seconds * 1000)) != 1) return std::nullopt;
    int failure = 0;
    socklen_t length = sizeof failure;
    getsockopt(descriptor.get(), SOL_SOCKET, SO_ERROR, &failure, &length);
    if (failure != 0) return std::nullopt;
  }
  return descriptor;
}

MessageStream::MessageStream(FileDescriptor socket) : socket_(std::move(socket)) {
  make_prompt(socket_.get());
}

void MessageStream::send(std::span<const std::byte, kMessageBytes> message) {
  flush();
  if (!open() || !out_.empty()) return;
  out_.assign(message.begin(), message.end());
  flush();
}

void MessageStream::flush() {
  while (open() && !out_.empty()) {
    const auto sent = ::send(socket_.get(), out_.data(), out_.size(), MSG_NOSIGNAL);
    if (sent > 0) {
      out_.erase(out_.begin(), out_.begin() + sent);
    } else if (sent < 0 && errno != EINTR) {
      broken_ = broken_ || (errno != EAGAIN && errno != EWOULDBLOCK);
      return;
    }
  }
}

bool MessageStream::receive() {
  bool any = false;
  std::array<std::byte, 16 * kMessageBytes> piece{};
  while (open()) {
    const auto got = ::recv(socket_.get(), piece.data(), piece.size(), 0);
    if (got > 0) {
      in_.insert(in_.end(), piece.begin(), piece.begin() + got);
      any = true;
      if (static_cast<std::size_t>(got) < piece.size()) return any;
    } else if (got == 0 || (errno != EINTR && errno != EAGAIN && errno != EWOULDBLOCK)) {
      broken_ = true;
    } else if (errno != EINTR) {
      return any;
    }
  }
  return any;
}

std::optional<std::array<std::byte, MessageStream::kMessageBytes>> MessageStream::next() {
  if (in_.size() < kMessageBytes) return std::nullopt;
  std::array<std::byte, kMessageBytes> message{};
  std::copy_n(in_.begin(), kMessageBytes, message.begin());
  in_.erase(in_.begin(), in_.begin() + kMessageBytes);
  return message;
}

void MessageStream::close() {
  if (socket_.open()) shutdown(socket_.get(), SHUT_WR);
  socket_ = FileDescriptor();
}

}  // namespace firesteel::detail
