// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "firesteel/core/checkpoint.hpp"

namespace firesteel {

/// Layout of a checkpoint file: 8 bytes magic, 8 bytes length of the header, the header as JSON, 8 bytes
/// checksum of it, then each part at its offset.
inline constexpr char kCheckpointMagic[9] = "FSCKPT02";
inline constexpr Index kCheckpointPrefixBytes = 16;
inline constexpr Index kMaxHeaderBytes = 1 << 20;

/// One part as the header lists it.
struct PartEntry {
  std::string name;
  bool partitioned = false;
  Index value_bytes = 8;
  Index count = 0;   ///< values, all ranks
  Index offset = 0;  ///< in the file
  std::uint64_t checksum = 0;
};

struct CheckpointHeader {
  CheckpointIdentity identity;
  Index iteration = 0;
  std::vector<PartEntry> parts;
};

/// Magic, length, JSON and checksum: the bytes before the first part, whose offsets must be set.
std::string encode_header(const CheckpointHeader& header);
/// The header of a file that begins with `prefix` (16 bytes) and holds `file_bytes`; reads the rest by
/// `read(offset, n)`. nullopt where anything is not as written: every size is checked before it is used.
std::optional<CheckpointHeader> decode_header(std::span<const std::byte> head, Index file_bytes);
/// Bytes of the header with its prefix and checksum; −1 where `prefix` is not one of a checkpoint.
Index header_bytes(std::span<const std::byte> prefix, Index file_bytes);

/// A sum over values of a hash of (position, value): the same for any dealing of the values over ranks.
/// Catches torn and corrupted files, not forgery. `first` is the global position of bytes[0].
std::uint64_t position_checksum(std::span<const std::byte> bytes, Index value_bytes, Index first);

/// "iteration-0000012.fsc".
std::string checkpoint_name(Index iteration);
/// The checkpoints of a directory, newest first. Local; nothing where the directory cannot be read.
std::vector<std::string> list_checkpoints(const std::string& directory);

}  // namespace firesteel
