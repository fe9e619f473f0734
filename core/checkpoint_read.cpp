// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "firesteel/core/checkpoint.hpp"
#include "firesteel/core/checkpoint_format.hpp"
#include "firesteel/core/regular_file.hpp"

namespace firesteel {

namespace {

/// Reads exactly bytes.size() bytes; false where the file has not that many or fails.
bool read_exactly(int fd, Index offset, std::span<std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t got = pread(fd, bytes.data(), bytes.size(), offset);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(got));
    offset += got;
  }
  return true;
}

/// The header and all of the file's parts that are this rank's; nullopt where anything is torn.
class CheckpointFile {
 public:
  explicit CheckpointFile(const std::string& path) : file_(open_regular_file(path)) {}

  std::optional<CheckpointHeader> header() const {
    std::vector<std::byte> head(kCheckpointPrefixBytes);
    if (file_.bytes < kCheckpointPrefixBytes || !read_exactly(descriptor(), 0, head)) return std::nullopt;
    const Index total = header_bytes(head, file_.bytes);
    if (total < 0) return std::nullopt;
    head.resize(static_cast<std::size_t>(total));
    if (!read_exactly(descriptor(), 0, head)) return std::nullopt;
    return decode_header(head, file_.bytes);
  }

  bool read(Index offset, std::span<std::byte> bytes) const {
    return read_exactly(descriptor(), offset, bytes);
  }

 private:
  int descriptor() const { return file_.descriptor.get(); }

  RegularFile file_;
};

/// ": k was 3, is now 4; seed was 0, is now 1". Empty where the texts do not tell: a file of an earlier
/// version, or values that texts cut short.
std::string differing_parameters(const CheckpointIdentity& found, const CheckpointIdentity& wanted) {
  std::string text;
  for (const auto& [name, value] : wanted.parameter_texts) {
    const auto other =
        std::find_if(found.parameter_texts.begin(), found.parameter_texts.end(),
                     [&, &parameter = name](const auto& entry) { return entry.first == parameter; });
    if (other == found.parameter_texts.end() || other->second == value) continue;
    const auto shown = [](const std::string& word) { return word.empty() ? std::string("not set") : word; };
    text += (text.empty() ? ": " : "; ") + name + " was " + shown(other->second) + ", is now " + shown(value);
  }
  return text;
}

/// Why a checkpoint is not of this fit; empty where it is.
std::string difference(const CheckpointIdentity& found, const CheckpointIdentity& wanted) {
  if (found.learner != wanted.learner)
    return "is of learner '" + found.learner + "', not '" + wanted.learner + "'";
  if (found.parameters != wanted.parameters)
    return "is of a fit with other parameters" + differing_parameters(found, wanted);
  if (found.data != wanted.data)
    return "is of other data (" + found.data + ", these are " + wanted.data + ")";
  return {};
}

/// This rank's values of every part; nullopt on all ranks where a checksum differs on the whole.
std::optional<Checkpoint> read_parts(Communicator& comm, const CheckpointFile& file,
                                     const CheckpointHeader& header, const std::vector<StatePart>& present) {
  Checkpoint checkpoint{header.iteration, {}};
  bool whole = header.parts.size() == present.size();
  for (std::size_t i = 0; i < header.parts.size() && whole; ++i) {
    const PartEntry& entry = header.parts[i];
    StatePart part{entry.name, entry.partitioned, entry.value_bytes, {}};
    whole = entry.partitioned == present[i].partitioned && entry.value_bytes == present[i].value_bytes;
    if (!whole) break;
    Index first = 0;
    Index count = entry.count;
    if (entry.partitioned) {
      count = static_cast<Index>(present[i].bytes.size()) / present[i].value_bytes;
      first = comm.exclusive_scan(count);
      whole = comm.sum(count) == entry.count;
      if (!whole) break;
    }
    bool read = true;
    comm.collectively([&] {
      part.bytes.resize(static_cast<std::size_t>(count * entry.value_bytes));
      read = file.read(entry.offset + first * entry.value_bytes, part.bytes);
    });
    const bool counted = entry.partitioned || comm.rank() == 0;
    const std::uint64_t mine = counted ? position_checksum(part.bytes, entry.value_bytes, first) : 0;
    const auto checksum = static_cast<std::uint64_t>(comm.sum(static_cast<std::int64_t>(mine)));
    whole = !comm.any(!read) && checksum == entry.checksum;
    checkpoint.parts.push_back(std::move(part));
  }
  if (!whole) return std::nullopt;
  return checkpoint;
}

}  // namespace

std::optional<Checkpoint> read_checkpoint(const Context& context, const std::string& directory,
                                          const CheckpointIdentity& identity,
                                          const std::vector<StatePart>& present) {
  Communicator& comm = context.comm();
  const auto names = comm.collectively(
      [&] { return comm.rank() == 0 ? list_checkpoints(directory) : std::vector<std::string>{}; });
  for (const std::string& name : comm.allgather_texts(names)) {
    const std::string path = (std::filesystem::path(directory) / name).string();
    const CheckpointFile file(path);
    const auto header = comm.collectively([&] { return file.header(); });
    if (!comm.any(!header)) {
      comm.collectively([&] {
        if (const auto reason = difference(header->identity, identity); !reason.empty())
          throw bad_input(path + " " + reason +
                          ": give the same learner, parameters and data, or another --checkpoint directory");
      });
      if (auto checkpoint = read_parts(comm, file, *header, present)) return checkpoint;
    }
    context.monitor().warning(path + " is torn or corrupted: passed over");
  }
  return std::nullopt;
}

}  // namespace firesteel
