// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/long_messages.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "firesteel/core/error.hpp"

namespace firesteel::detail {

namespace {

constexpr int kTag = 0x4001;
constexpr std::size_t kLeastSegment = std::size_t{32} << 10;
constexpr std::size_t kPendingSends = 16;

/// Sends that may be under way, the oldest waited for where there are too many: takes no memory.
class Sends {
 public:
  Sends(MPI_Comm comm, int destination) : comm_(comm), destination_(destination) {
    requests_.fill(MPI_REQUEST_NULL);
  }
  void start(std::span<const std::byte> bytes) {
    MPI_Request& request = requests_[next_++ % kPendingSends];
    check_mpi(MPI_Wait(&request, MPI_STATUS_IGNORE), "MPI_Wait");
    check_mpi(MPI_Isend(bytes.data(), static_cast<int>(bytes.size()), MPI_BYTE, destination_, kTag, comm_,
                        &request),
              "MPI_Isend");
  }
  void finish() {
    check_mpi(MPI_Waitall(static_cast<int>(kPendingSends), requests_.data(), MPI_STATUSES_IGNORE),
              "MPI_Waitall");
  }

 private:
  MPI_Comm comm_;
  int destination_;
  std::size_t next_ = 0;
  std::array<MPI_Request, kPendingSends> requests_{};
};

/// The `part`-th of `parts` near-equal runs of values, in bytes; `part` may be negative: it counts around.
std::span<std::byte> chunk(std::span<std::byte> values, std::size_t value_bytes, int part, int parts) {
  const auto count = values.size() / value_bytes;
  const auto p = static_cast<std::size_t>((part % parts + parts) % parts);
  const auto begin = count * p / static_cast<std::size_t>(parts);
  const auto end = count * (p + 1) / static_cast<std::size_t>(parts);
  return values.subspan(begin * value_bytes, (end - begin) * value_bytes);
}

}  // namespace

void check_mpi(int code, std::string_view call) {
  if (code == MPI_SUCCESS) return;
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  MPI_Error_string(code, text.data(), &length);
  throw MpiError(std::string(call) +
                 " failed: " + std::string(text.data(), static_cast<std::size_t>(length)));
}

std::size_t chain_broadcast(MPI_Comm comm, std::span<std::byte> bytes, int root, std::size_t most,
                            std::size_t& messages) {
  int rank = 0;
  int size = 1;
  MPI_Comm_rank(comm, &rank);
  MPI_Comm_size(comm, &size);
  const int place = (rank - root + size) % size;
  const bool last = place == size - 1;
  // The last rank begins (P − 2) segments late: eight a rank keep that below an eighth.
  const std::size_t segment =
      std::min(most, std::max(kLeastSegment, bytes.size() / (8 * static_cast<std::size_t>(size))));
  Sends sends(comm, (rank + 1) % size);
  for (std::size_t offset = 0; offset < bytes.size(); offset += segment) {
    const auto piece = bytes.subspan(offset, std::min(segment, bytes.size() - offset));
    if (place > 0)
      check_mpi(MPI_Recv(piece.data(), static_cast<int>(piece.size()), MPI_BYTE, (rank - 1 + size) % size,
                         kTag, comm, MPI_STATUS_IGNORE),
                "MPI_Recv");
    if (last) continue;
    sends.start(piece);
    ++messages;
  }
  sends.finish();
  return last ? 0 : bytes.size();
}

std::size_t ring_scratch_bytes(std::size_t bytes, std::size_t value_bytes, int ranks) {
  return (bytes / value_bytes / static_cast<std::size_t>(ranks) + 1) * value_bytes;
}

std::size_t ring_allreduce(int rank, int size, PassAround pass_around, std::span<std::byte> values,
                           std::size_t value_bytes, MPI_Datatype type, MPI_Op operation,
                           std::span<std::byte> scratch, std::size_t& messages) {
  std::size_t sent = 0;
  const auto pass = [&](std::span<const std::byte> out, std::span<std::byte> in) {
    pass_around(out, in);
    sent += out.size();
    ++messages;
  };
  for (int step = 0; step < size - 1; ++step) {
    const auto into = chunk(values, value_bytes, rank - step - 1, size);
    const auto arrived = scratch.first(into.size());
    pass(chunk(values, value_bytes, rank - step, size), arrived);
    check_mpi(MPI_Reduce_local(arrived.data(), into.data(), static_cast<int>(into.size() / value_bytes), type,
                               operation),
              "MPI_Reduce_local");
  }
  for (int step = 0; step < size - 1; ++step)
    pass(chunk(values, value_bytes, rank + 1 - step, size), chunk(values, value_bytes, rank - step, size));
  return sent;
}

std::size_t ring_allreduce(MPI_Comm comm, std::span<std::byte> values, std::size_t value_bytes,
                           MPI_Datatype type, MPI_Op operation, std::span<std::byte> scratch,
                           std::size_t& messages) {
  int rank = 0;
  int size = 1;
  MPI_Comm_rank(comm, &rank);
  MPI_Comm_size(comm, &size);
  const auto pass_around = [&](std::span<const std::byte> out, std::span<std::byte> in) {
    check_mpi(MPI_Sendrecv(out.data(), static_cast<int>(out.size()), MPI_BYTE, (rank + 1) % size, kTag,
                           in.data(), static_cast<int>(in.size()), MPI_BYTE, (rank - 1 + size) % size, kTag,
                           comm, MPI_STATUS_IGNORE),
              "MPI_Sendrecv");
  };
  return ring_allreduce(rank, size, pass_around, values, value_bytes, type, operation, scratch, messages);
}

}  // namespace firesteel::detail
