// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/output_file.hpp"

#include <algorithm>
#include <exception>

#include "firesteel/core/error.hpp"
#include "firesteel/core/file_lock.hpp"
#include "firesteel/io/store.hpp"

namespace firesteel {

namespace {

constexpr Index kPieceBytes = Index{4} << 20;
constexpr int kRunTag = 0x2002;

/// Where a file that goes to a store is made.
std::string staging_path() {
  const std::string& directory = store_scratch();
  return directory + (directory.ends_with('/') ? "" : "/") + "firesteel-upload";
}

}  // namespace

void check_can_write(const std::string& path) {
  const std::string shown = shown_name(path);
  if (is_url(path)) remove_abandoned_files(store_scratch());
  store_of(shown).check_can_create(shown);
}

OutputFile::OutputFile(const std::string& path)
    : url_(is_url(path) ? shown_name(path) : std::string()), file_(url_.empty() ? path : staging_path()) {}

void OutputFile::commit() {
  if (url_.empty()) return file_.commit();
  store_of(url_).put(url_, file_.temporary_path());
}

SharedOutputFile::SharedOutputFile(Communicator& comm, const std::string& path) : comm_(comm) {
  if (is_url(path))
    comm_.collectively([&] { own_.emplace(path); });
  else
    shared_.emplace(comm, path);
}

void SharedOutputFile::write_at(Index offset, std::span<const std::byte> bytes) const {
  if (shared_) return shared_->write_at(offset, bytes);
  own_->write_at(offset, bytes);
  const std::lock_guard lock(mutex_);
  const Index end = offset + static_cast<Index>(bytes.size());
  if (!written_.empty() && written_.back().second == offset)
    written_.back().second = end;
  else if (!bytes.empty())
    written_.emplace_back(offset, end);
}

void SharedOutputFile::resize(Index bytes) const {
  if (shared_)
    shared_->resize(bytes);
  else
    own_->resize(bytes);
}

std::vector<SharedOutputFile::Run> SharedOutputFile::runs() const {
  std::vector<Run> sorted = written_;
  std::sort(sorted.begin(), sorted.end());
  std::vector<Run> joined;
  for (const Run& run : sorted) {
    if (!joined.empty() && run.first <= joined.back().second)
      joined.back().second = std::max(joined.back().second, run.second);
    else
      joined.push_back(run);
  }
  return joined;
}

/// The other ranks' bytes go into rank 0's file, in pieces. After a failure they still travel, so that nobody
/// waits.
void SharedOutputFile::gather() {
  const auto own = comm_.collectively([&] {
    std::vector<Index> numbers;
    for (const auto& [begin, end] : runs()) {
      numbers.push_back(begin);
      numbers.push_back(end);
    }
    return numbers;
  });
  const auto counts = comm_.allgather(static_cast<Index>(own.size()));
  const auto all = comm_.allgatherv(std::span<const Index>(own));
  auto buffer = comm_.collectively([&] { return std::vector<char>(static_cast<std::size_t>(kPieceBytes)); });
  const auto file = comm_.collectively([&] { return open_input(own_->temporary_path()); });
  std::exception_ptr failure;
  const auto guarded = [&](auto&& body) {
    try {
      if (!failure) body();
    } catch (...) {
      failure = std::current_exception();
    }
  };
  std::size_t next = static_cast<std::size_t>(counts[0]);
  for (int peer = 1; peer < comm_.size(); ++peer) {
    const std::size_t last = next + static_cast<std::size_t>(counts[static_cast<std::size_t>(peer)]);
    for (; next < last; next += 2) {
      for (Index at = all[next]; at < all[next + 1]; at += kPieceBytes) {
        const auto piece =
            std::span(buffer).first(static_cast<std::size_t>(std::min(kPieceBytes, all[next + 1] - at)));
        if (comm_.rank() == peer) {
          guarded([&] {
            if (file->read_at(at, piece) < piece.size())
              throw Error(ErrorCode::io_failed, file->path() + ": what was written is not there");
          });
          comm_.send(std::as_bytes(piece), 0, kRunTag);
        } else if (comm_.rank() == 0) {
          comm_.receive(std::as_writable_bytes(piece), peer, kRunTag);
          guarded([&] { own_->write_at(at, std::as_bytes(piece)); });
        }
      }
    }
  }
  comm_.agree(failure);
}

void SharedOutputFile::commit() {
  if (shared_) return shared_->commit();
  gather();
  comm_.collectively([&] {
    if (comm_.rank() == 0) own_->commit();
  });
}

}  // namespace firesteel
