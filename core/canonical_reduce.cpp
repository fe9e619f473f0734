// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/canonical_reduce.hpp"

#include <algorithm>

namespace firesteel::detail {

namespace {
constexpr int kTag = 2;
constexpr std::size_t kPieceBytes = std::size_t{1} << 20;
constexpr Index kPoison = -1;
}  // namespace

void PartialExchange::reserve() { spare_.resize(comm_.size() > 1 ? kPieceBytes : 0); }

void PartialExchange::send(std::optional<std::span<const std::byte>> partial, int destination) {
  const Index header = partial ? static_cast<Index>(partial->size()) : kPoison;
  comm_.send(std::as_bytes(std::span(&header, 1)), destination, kTag);
  if (!partial) return;
  for (std::size_t offset = 0; offset < partial->size(); offset += kPieceBytes)
    comm_.send(partial->subspan(offset, std::min(kPieceBytes, partial->size() - offset)), destination, kTag);
}

std::optional<std::vector<std::byte>> PartialExchange::receive(int source, std::exception_ptr& failure) {
  Index header = 0;
  comm_.receive(std::as_writable_bytes(std::span(&header, 1)), source, kTag);
  if (header == kPoison) return std::nullopt;
  const auto length = static_cast<std::size_t>(header);
  std::vector<std::byte> bytes;
  bool fits = true;
  try {
    bytes.resize(length);
  } catch (...) {
    if (!failure) failure = std::current_exception();
    fits = false;
  }
  for (std::size_t offset = 0; offset < length; offset += kPieceBytes) {
    const std::size_t piece = std::min(kPieceBytes, length - offset);
    comm_.receive(fits ? std::span(bytes).subspan(offset, piece) : std::span(spare_).first(piece), source,
                  kTag);
  }
  if (!fits) return std::nullopt;
  return bytes;
}

std::vector<std::byte> PartialExchange::broadcast(std::optional<std::span<const std::byte>> total, int root,
                                                  const std::exception_ptr& failure) {
  const Index length = comm_.broadcast_value(total ? static_cast<Index>(total->size()) : kPoison, root);
  if (length == kPoison) comm_.agree(failure);
  auto bytes = comm_.collectively([&] {
    return comm_.rank() == root ? std::vector<std::byte>(total->begin(), total->end())
                                : std::vector<std::byte>(static_cast<std::size_t>(length));
  });
  comm_.broadcast(std::span(bytes), root);
  return bytes;
}

}  // namespace firesteel::detail
