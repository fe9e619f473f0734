// SPDX-License-Identifier: Apache-2.0
// A checkpoint file, read back into a state: as it is, or with a header whose length and checksum are right,
// so that the header's claims themselves are met.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "firesteel/core/checkpoint_format.hpp"
#include "firesteel/core/fit_loop.hpp"
#include "support.hpp"

using namespace firesteel;

namespace {

/// A directory with one checkpoint, a link to a file in memory.
class Directory {
 public:
  explicit Directory(const std::string& target) {
    if (fuzz::everyone().rank() == 0) {
      std::string name = (std::filesystem::temp_directory_path() / "firesteel_checkpoint_XXXXXX").string();
      if (::mkdtemp(name.data()) == nullptr) fuzz::broken("no directory");
      path_ = name;
      std::filesystem::create_symlink(target, path_ + "/" + checkpoint_name(7));
    }
    path_ = fuzz::everyone().comm().broadcast_text(path_, 0);
  }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  ~Directory() {
    if (fuzz::everyone().rank() == 0) std::filesystem::remove_all(path_);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// A state with every kind of part; 5 rows a rank.
struct State {
  std::vector<double> centres = std::vector<double>(4, 1.5);
  std::vector<double> history{1, 2};
  double value = 3;
  Index count = 4;
  std::vector<double> factors = std::vector<double>(10);
  std::vector<std::int32_t> labels = std::vector<std::int32_t>(5);

  void describe(StateVisitor& visitor) {
    visitor.replicated("centres", centres);
    visitor.history("history", history, 2, 4);
    visitor.replicated("value", value);
    visitor.replicated("count", count);
    visitor.partitioned("factors", factors, 2);
    visitor.partitioned("labels", labels, 1);
  }
};

/// The bytes of a file: a JSON header, one line, between magic, length and checksum; then what follows it.
std::string framed(std::string_view text) {
  const auto line = std::min(text.find('\n'), text.size());
  const auto header = text.substr(0, line);
  const auto length = static_cast<Index>(header.size());
  const std::uint64_t checksum = hash_bytes(0, header.data(), header.size());
  std::string bytes(kCheckpointMagic, 8);
  bytes.append(reinterpret_cast<const char*>(&length), sizeof length);
  bytes += header;
  bytes.append(reinterpret_cast<const char*>(&checksum), sizeof checksum);
  bytes += text.substr(std::min(line + 1, text.size()));
  return bytes;
}

/// The checksums that a header should have had, so that mutated values get past them too.
std::string with_checksums(std::string bytes) {
  auto header = decode_header(std::as_bytes(std::span(bytes)), static_cast<Index>(bytes.size()));
  if (!header) return bytes;
  for (auto& part : header->parts) {
    const auto count = static_cast<std::size_t>(part.count * part.value_bytes);
    part.checksum = position_checksum(
        std::as_bytes(std::span(bytes).subspan(static_cast<std::size_t>(part.offset), count)),
        part.value_bytes, 0);
  }
  // The header changes its length with its digits: the data move, and the offsets with them.
  const auto begin = static_cast<std::size_t>(
      header_bytes(std::as_bytes(std::span(bytes)), static_cast<Index>(bytes.size())));
  Index moved = 0;
  for (int settled = 0; settled < 3; ++settled) {
    const auto now = static_cast<Index>(encode_header(*header).size()) - static_cast<Index>(begin);
    for (auto& part : header->parts) part.offset += now - moved;
    moved = now;
  }
  return encode_header(*header) + bytes.substr(begin);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::MemoryFile file(900);
  static const Directory directory(file.path());
  const Context& context = fuzz::everyone();
  fuzz::Choices choices(data, size);
  const std::uint8_t how = choices.byte() % 3;
  std::string bytes(how == 0 ? std::string(choices.rest()) : framed(choices.rest()));
  if (how == 2) bytes = with_checksums(std::move(bytes));
  file.write(bytes);
  State state;
  const State before = state;
  fuzz::outcome([&] {
    const fuzz::MemoryLimit limit("a checkpoint", 2 * bytes.size() + (std::size_t{1} << 20));
    const auto checkpoint =
        read_checkpoint(context, directory.path(), {"kmeans", "p", "d"}, copy_state(state));
    if (!checkpoint) return std::string();
    context.comm().collectively([&] { restore_state(state, checkpoint->parts); });
    if (state.centres.size() != before.centres.size() || state.factors.size() != before.factors.size() ||
        state.labels.size() != before.labels.size() || state.history.size() > 8 ||
        state.history.size() % 2 != 0)
      fuzz::broken("a state of another shape");
    return std::string();
  });
  fuzz::take_warnings();
  return 0;
}
