// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mpi.h>

#include <cstddef>
#include <span>
#include <string_view>

#include "firesteel/core/function_ref.hpp"

namespace firesteel::detail {

// Broadcast and allreduce of long messages, of which it is known what each rank sends. Open MPI 4.1 chooses
// among algorithms by tables made on other networks: on three hosts its allreduce let one rank send 2.5 times
// the vector, its broadcast twice the message (docs/decisions/0025-watchdog.md).

/// Throws an MpiError that names the call unless `code` is success.
void check_mpi(int code, std::string_view call);

/// Whether P − 1 messages in a row cost less than what they carry, `least_piece` bytes a rank or more. The
/// same on all ranks.
inline bool is_long(std::size_t bytes, int ranks, std::size_t least_piece) {
  return ranks > 1 && bytes >= least_piece * static_cast<std::size_t>(ranks);
}
inline constexpr std::size_t kLongAcrossHosts = std::size_t{32} << 10;
/// In shared memory Open MPI's allreduce is as fast as the ring up to 8 MiB, and three times slower at 32.
inline constexpr std::size_t kLongOnOneHost = std::size_t{8} << 20;

/// Hands the bytes on along the chain root, root + 1, …, in pieces, so that all links are busy at once. Each
/// rank but the last sends every byte once. No message is longer than `most`. Returns the bytes and adds the
/// messages that this rank has sent.
std::size_t chain_broadcast(MPI_Comm comm, std::span<std::byte> bytes, int root, std::size_t most,
                            std::size_t& messages);

/// In place, for operations that do not care for order: P − 1 steps around the ring that combine, P − 1 that
/// spread; a rank sends 2 (P − 1) / P of the vector. `scratch` has room for ring_scratch_bytes. Returns the
/// bytes and adds the messages that this rank has sent.
std::size_t ring_allreduce(MPI_Comm comm, std::span<std::byte> values, std::size_t value_bytes,
                           MPI_Datatype type, MPI_Op operation, std::span<std::byte> scratch,
                           std::size_t& messages);
/// The same where `pass_around` sends `out` to the next rank of the ring and receives `in` from the one
/// before.
using PassAround = FunctionRef<void(std::span<const std::byte> out, std::span<std::byte> in)>;
std::size_t ring_allreduce(int rank, int size, PassAround pass_around, std::span<std::byte> values,
                           std::size_t value_bytes, MPI_Datatype type, MPI_Op operation,
                           std::span<std::byte> scratch, std::size_t& messages);
std::size_t ring_scratch_bytes(std::size_t bytes, std::size_t value_bytes, int ranks);

}  // namespace firesteel::detail
