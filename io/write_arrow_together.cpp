// SPDX-License-Identifier: Apache-2.0
// Batches are encoded by the ranks that have their rows, each into a scratch file of its own: where its bytes
// stand in the whole file is known only when those before have been encoded.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <map>
#include <memory>
#include <span>
#include <system_error>

#include "firesteel/core/scratch_file.hpp"
#include "firesteel/io/arrow_batches.hpp"
#include "firesteel/io/output_file.hpp"
#include "firesteel/io/store.hpp"

namespace firesteel {

namespace {

constexpr Index kPieceBytes = Index{4} << 20;

std::size_t size(Index i) { return static_cast<std::size_t>(i); }

/// Batches [first, end) are this rank's.
struct OwnBatches {
  std::size_t first = 0;
  std::size_t end = 0;
  std::map<std::size_t, std::vector<TableValues>>
      gathered;  ///< those that others have rows of: two at the most
};

/// A batch is written by the rank that has the row in its middle; others send it theirs. Collective.
OwnBatches divide(Communicator& comm, const std::vector<TableColumn>& columns, const ArrowBatches& batches,
                  ValuesOfRows values_of) {
  const auto ends = comm.allgather(batches.first + batches.rows);  // of each rank's rows
  const auto end_of = [&](int rank) { return rank < 0 ? Index{0} : ends[static_cast<std::size_t>(rank)]; };
  OwnBatches own{.first = batches.count(), .end = 0, .gathered = {}};
  int owner = 0;
  for (std::size_t i = 0; i < batches.count(); ++i) {
    const Index begin = batches.begin[i];
    const Index end = batches.begin[i + 1];
    while (end_of(owner) <= begin + (end - begin) / 2) ++owner;
    const bool mine = owner == comm.rank();
    if (mine) own.first = std::min(own.first, i);
    if (mine) own.end = i + 1;
    if (end_of(owner - 1) <= begin && end <= end_of(owner)) continue;
    auto values = gather_batch(comm, columns, batches, i, owner, values_of);
    if (mine) own.gathered[i] = std::move(values);
  }
  return own;
}

/// This rank's part of the file, and where its bytes are until they have a place.
struct Encoded {
  FileDescriptor file;
  ArrowPart part;
};

Encoded encode(const std::string& path, const ArrowModule& module, const std::vector<TableColumn>& columns,
               const ArrowBatches& batches, OwnBatches own, ValuesOfRows values_of) {
  Encoded encoded;
  if (own.first >= own.end) return encoded;
  encoded.file = open_scratch(store_scratch());
  const std::string name = "/proc/self/fd/" + std::to_string(encoded.file.get());
  writing_arrow(path, [&] {
    const auto writer = module.create_part(name, arrow_format_of(path), columns);
    for (std::size_t i = own.first; i < own.end; ++i) {
      const auto [from, to] = batches.own(i);
      const auto gathered = own.gathered.find(i);
      writer->write(gathered == own.gathered.end() ? values_of(from, to) : std::move(gathered->second));
    }
    writer->finish();
    encoded.part = writer->part();
  });
  return encoded;
}

/// Copies a part's bytes to their place; scratch gets its room back by the way, where its file system can do
/// that.
void copy(const Encoded& encoded, const SharedOutputFile& to, Index place) {
  std::vector<std::byte> buffer(size(std::min(kPieceBytes, encoded.part.bytes())));
  for (Index at = encoded.part.begin; at < encoded.part.end;) {
    const Index bytes = std::min(static_cast<Index>(buffer.size()), encoded.part.end - at);
    const ssize_t count = ::pread(encoded.file.get(), buffer.data(), size(bytes), at);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0)
      throw Error(ErrorCode::io_failed,
                  "reading from the scratch directory " + store_scratch() + " failed: " +
                      (count < 0 ? std::generic_category().message(errno) : "the file ends early"));
    to.write_at(place + (at - encoded.part.begin), std::span(buffer).first(static_cast<std::size_t>(count)));
    ::fallocate(encoded.file.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, count);
    at += count;
  }
}

/// What stands before and after the parts of all ranks, on rank 0. Collective.
ArrowEnds join(Communicator& comm, const std::string& path, const ArrowModule& module,
               const std::vector<TableColumn>& columns, const ArrowPart& own) {
  const std::vector<Index> numbers{own.begin, own.end, static_cast<Index>(own.summary.size())};
  const auto all_numbers = comm.gatherv(std::span<const Index>(numbers), 0);
  const auto summaries = comm.gatherv(std::span<const char>(own.summary), 0);
  ArrowEnds ends;
  comm.collectively([&] {
    if (comm.rank() != 0) return;
    std::vector<ArrowPart> parts;
    std::size_t at = 0;
    for (std::size_t i = 0; i < all_numbers.size(); i += 3) {
      const std::size_t length = size(all_numbers[i + 2]);
      if (length > 0)
        parts.push_back({all_numbers[i], all_numbers[i + 1], std::string(summaries.data() + at, length)});
      at += length;
    }
    writing_arrow(path, [&] { ends = module.join(arrow_format_of(path), columns, parts); });
  });
  return ends;
}

}  // namespace

void write_arrow_together(const Context& context, const std::string& path, const ArrowModule& module,
                          const std::vector<TableColumn>& columns, const ArrowBatches& batches,
                          ValuesOfRows values_of) {
  Communicator& comm = context.comm();
  SharedOutputFile file(comm, path);
  OwnBatches own = divide(comm, columns, batches, values_of);
  const Encoded encoded =
      comm.collectively([&] { return encode(path, module, columns, batches, std::move(own), values_of); });
  const ArrowEnds ends = join(comm, path, module, columns, encoded.part);
  const Index head = comm.broadcast_value(static_cast<Index>(ends.head.size()), 0);
  const Index before = comm.exclusive_scan(encoded.part.bytes());
  const Index all = comm.sum(encoded.part.bytes());
  comm.collectively([&] {
    copy(encoded, file, head + before);
    if (comm.rank() != 0) return;
    file.write_at(0, std::as_bytes(std::span(ends.head)));
    file.write_at(head + all, std::as_bytes(std::span(ends.tail)));
  });
  file.commit();
}

}  // namespace firesteel
