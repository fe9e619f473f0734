// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "firesteel/core/peer_sockets.hpp"

namespace firesteel::detail {

// What watchdogs say to each other.

inline constexpr std::size_t kHostAddresses = 4;

using Token = std::array<std::uint8_t, 16>;
using HostName = std::array<char, 64>;

enum class MessageKind : std::int64_t {
  hello = 0x667377646f670001,  ///< a rank to rank 0, with the token
  welcome,                     ///< rank 0's answer, with the token
  beat,
  goodbye,  ///< this rank is done
  ending,   ///< a rank ends the whole job and has said why
  verdict   ///< rank 0 has lost a rank and says so
};

/// As it lies in memory: the ranks of a job have one architecture.
struct WatchdogMessage {
  MessageKind kind = MessageKind::beat;
  std::int64_t rank = 0;  ///< the sender; verdict: the rank lost
  std::int64_t ticks = 0;
  std::int64_t iteration = 0;
  double seconds = 0;       ///< beat: since the last tick; verdict: since it was heard of
  std::int64_t others = 0;  ///< verdict: lost with it
  std::int64_t connection_ended = 0;
  Token token{};
  HostName host{};  ///< verdict: of the rank lost
  std::array<char, 40> operation{};
  std::array<char, 16> phase{};
};
static_assert(sizeof(WatchdogMessage) == MessageStream::kMessageBytes);

template <std::size_t N>
void put_text(std::array<char, N>& to, std::string_view text) {
  to.fill(0);
  std::copy_n(text.begin(), std::min(text.size(), N - 1), to.begin());
}
template <std::size_t N>
std::string text_of(const std::array<char, N>& from) {
  return {from.data(), strnlen(from.data(), N)};
}

inline void send_message(MessageStream& stream, const WatchdogMessage& message) {
  stream.send(std::as_bytes(std::span(&message, 1)).first<sizeof(WatchdogMessage)>());
}
inline std::optional<WatchdogMessage> next_message(MessageStream& stream) {
  const auto bytes = stream.next();
  if (!bytes) return std::nullopt;
  WatchdogMessage message;
  std::memcpy(&message, bytes->data(), sizeof message);
  return message;
}

/// Takes the same time whatever differs.
inline bool same_token(const Token& a, const Token& b) {
  unsigned difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i) difference |= static_cast<unsigned>(a[i] ^ b[i]);
  return difference == 0;
}

struct AddressList {
  std::int64_t count = 0;
  std::array<PeerAddress, kHostAddresses> addresses{};

  std::span<const PeerAddress> span() const {
    return std::span(addresses).first(static_cast<std::size_t>(count));
  }
  void add(const PeerAddress& address) {
    if (count < static_cast<std::int64_t>(kHostAddresses))
      addresses[static_cast<std::size_t>(count++)] = address;
  }
};

/// Where a rank sits.
struct Seat {
  HostName host{};
  AddressList reachable;
};

/// Where rank 0 listens, and the word that lets one in. No address: it could not.
struct Invitation {
  Token token{};
  AddressList at;
};

}  // namespace firesteel::detail
