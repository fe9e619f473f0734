// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "firesteel/core/atomic_file.hpp"

namespace firesteel::detail {

/// An IPv4 or IPv6 address with a port, as bytes that can be sent.
struct PeerAddress {
  std::int32_t family = AF_UNSPEC;
  std::uint16_t port = 0;
  std::array<std::uint8_t, 16> bytes{};

  bool operator==(const PeerAddress&) const = default;
  /// "10.0.0.1:4711".
  std::string text() const;
};

/// This host's own.
PeerAddress loopback_address();
/// Addresses of this host by which others may reach it: interfaces that are up, neither loopback nor
/// link-local; only those of OMPI_MCA_btl_tcp_if_include where that is set (names, or networks a.b.c.d/n),
/// none of OMPI_MCA_btl_tcp_if_exclude. At most `most`.
std::vector<PeerAddress> reachable_addresses(std::size_t most);
/// Those of `own` from which the routing table leads to any of `peers`. Sends nothing.
std::vector<PeerAddress> addresses_towards(const std::vector<PeerAddress>& own,
                                           std::span<const PeerAddress> peers);

/// A socket that listens at `address` on a free port, which is filled in. Throws unavailable (69).
FileDescriptor listen_at(PeerAddress& address);
/// A connection, or nothing where there is none after `seconds`.
std::optional<FileDescriptor> connect_to(const PeerAddress& address, double seconds);

/// A connection that carries messages of one length without ever blocking.
class MessageStream {
 public:
  static constexpr std::size_t kMessageBytes = 192;

  MessageStream() = default;
  explicit MessageStream(FileDescriptor socket);

  bool open() const { return socket_.open() && !broken_; }
  int descriptor() const { return socket_.get(); }
  /// Sends what the socket takes, keeps the rest for flush(). A message is left out while an older one waits:
  /// a peer that reads nothing costs no memory.
  void send(std::span<const std::byte, kMessageBytes> message);
  bool flushed() const { return out_.empty(); }
  void flush();
  /// Takes in what has arrived; false where nothing had. Afterwards open() is false where the peer is gone.
  bool receive();
  /// The next whole message.
  std::optional<std::array<std::byte, kMessageBytes>> next();
  void close();

 private:
  FileDescriptor socket_;
  bool broken_ = false;
  std::vector<std::byte> in_;
  std::vector<std::byte> out_;
};

}  // namespace firesteel::detail
