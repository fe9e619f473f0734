// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/output_file.hpp"

#include <algorithm>

#include "firesteel/core/file_lock.hpp"
#include "firesteel/io/shared_upload.hpp"
#include "firesteel/io/store.hpp"

namespace firesteel {

namespace {

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

void SharedOutputFile::commit() {
  if (shared_) return shared_->commit();
  const auto own = comm_.collectively([&] { return runs(); });
  SharedUpload(comm_, *own_, own).send();
}

}  // namespace firesteel
