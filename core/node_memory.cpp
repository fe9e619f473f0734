// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/node_memory.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "firesteel/core/atomic_file.hpp"

namespace firesteel {

namespace {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr std::size_t kHugeFrom = 2 * kHugePage;  // parts from here on are laid on huge pages

/// Where the others find rank 0's file, and how they know that it is the one.
struct Ticket {
  Index process = 0;
  Index file = -1;
  Index device = 0;
  Index inode = 0;
};

std::size_t rounded(std::size_t bytes) {
  const std::size_t unit = bytes >= kHugeFrom ? kHugePage : kPage;
  return (bytes + unit - 1) / unit * unit;
}

/// Whether the limit of a resource leaves room for `bytes`.
bool within_limit(int resource, std::size_t bytes) {
  struct rlimit limit {};
  return getrlimit(static_cast<__rlimit_resource_t>(resource), &limit) == 0 &&
         (limit.rlim_cur == RLIM_INFINITY || bytes <= limit.rlim_cur);
}

/// A file of `bytes`; not open where there can be none. Its size is checked against the limit before, since
/// exceeding that is a signal.
FileDescriptor make_file(std::size_t bytes) {
  if (!within_limit(RLIMIT_FSIZE, bytes)) return FileDescriptor(-1);
  FileDescriptor file(memfd_create("firesteel-node", MFD_CLOEXEC));
  if (file.open() && ftruncate(file.get(), static_cast<off_t>(bytes)) != 0) return FileDescriptor(-1);
  return file;
}

Ticket ticket_of(int file) {
  struct stat status {};
  if (file < 0 || fstat(file, &status) != 0) return {};
  return {getpid(), file, static_cast<Index>(status.st_dev), static_cast<Index>(status.st_ino)};
}

/// The file of another process; not open where it cannot be had, or is another one: process numbers may mean
/// something else where this process lives.
FileDescriptor open_file(const Ticket& ticket) {
  if (ticket.file < 0) return FileDescriptor(-1);
  const std::string path = "/proc/" + std::to_string(ticket.process) + "/fd/" + std::to_string(ticket.file);
  FileDescriptor file(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  const Ticket found = ticket_of(file.get());
  if (found.device != ticket.device || found.inode != ticket.inode) return FileDescriptor(-1);
  return file;
}

/// Has the pages made now, by this rank, so that they lie where it runs and lack of memory is an answer and
/// not a signal.
bool take_pages(int file, std::byte* memory, std::size_t offset, std::size_t bytes) {
  if (bytes == 0) return true;
#ifdef MADV_POPULATE_WRITE
  if (madvise(memory + offset, bytes, MADV_POPULATE_WRITE) == 0) return true;
  if (errno != EINVAL) return false;
#endif
  return fallocate(file, 0, static_cast<off_t>(offset), static_cast<off_t>(bytes)) == 0;
}

}  // namespace

bool NodeMemory::map(int file, const Communicator& comm, std::size_t common_bytes) {
  // Every rank maps all parts: where addresses are limited that is more than they are worth.
  if (file < 0 || !within_limit(RLIMIT_AS, 4 * total_)) return false;
  void* const reserved =
      mmap(nullptr, total_ + kHugePage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (reserved == MAP_FAILED) return false;
  reserved_ = static_cast<std::byte*>(reserved);
  reserved_bytes_ = total_ + kHugePage;
  const auto misaligned = reinterpret_cast<std::uintptr_t>(reserved_) % kHugePage;
  std::byte* const place = reserved_ + (kHugePage - misaligned) % kHugePage;
  if (mmap(place, total_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0) == MAP_FAILED)
    return false;
  memory_ = place;
  madvise(memory_, total_, MADV_HUGEPAGE);
  const auto rank = static_cast<std::size_t>(comm.rank());
  const auto ranks = static_cast<std::size_t>(comm.size());
  const std::size_t share = common_bytes / kPage / ranks * kPage;
  const std::size_t last = rank + 1 == ranks ? common_bytes - rank * share : share;
  return take_pages(file, memory_, offsets_[rank], offsets_[rank + 1] - offsets_[rank]) &&
         take_pages(file, memory_, offsets_.back() + rank * share, last);
}

NodeMemory::~NodeMemory() {
  if (reserved_ != nullptr) munmap(reserved_, reserved_bytes_);
}

std::unique_ptr<NodeMemory> NodeMemory::make(Communicator& comm, Index own_bytes, Index common_bytes) {
  if (comm.size() == 1 || comm.node_size() < comm.size()) return nullptr;
  const auto parts = comm.allgather(own_bytes);
  std::unique_ptr<NodeMemory> memory;
  const std::size_t common = rounded(static_cast<std::size_t>(common_bytes));
  comm.collectively([&] {
    memory.reset(new NodeMemory);
    std::size_t offset = 0;
    for (const Index bytes : parts) {
      memory->offsets_.push_back(offset);
      offset += rounded(static_cast<std::size_t>(bytes));
    }
    memory->offsets_.push_back(offset);
    memory->total_ = offset + common;
  });
  FileDescriptor file(comm.rank() == 0 ? make_file(memory->total_) : FileDescriptor(-1));
  const auto ticket = comm.broadcast_value(comm.rank() == 0 ? ticket_of(file.get()) : Ticket{}, 0);
  // Rank 0 keeps the file open until all have it.
  if (comm.rank() != 0) file = open_file(ticket);
  const bool mapped = memory->total_ > 0 && memory->map(file.get(), comm, common);
  if (comm.any(!mapped)) return nullptr;
  return memory;
}

}  // namespace firesteel
