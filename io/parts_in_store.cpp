// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/parts_in_store.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>
#include <memory>

#include "firesteel/core/error.hpp"
#include "firesteel/core/file_lock.hpp"
#include "firesteel/core/philox.hpp"
#include "firesteel/io/output_file.hpp"
#include "firesteel/io/parts_manifest.hpp"

namespace firesteel {

namespace {

constexpr std::size_t kTokenLength = 16;

Error cannot_create(const std::string& path, const std::string& why) {
  return {ErrorCode::cannot_create, "cannot create " + path + ": " + why};
}

/// Sixteen hexadecimal digits that no other job has.
std::string make_token() {
  std::uint64_t key = static_cast<std::uint64_t>(::getpid());
  for (const char c : host_name()) key = key * 0x100000001b3 ^ static_cast<unsigned char>(c);
  const auto now = std::chrono::system_clock::now().time_since_epoch().count();
  const auto words = philox(key, 0x7061727473, static_cast<std::uint64_t>(now));
  std::array<char, kTokenLength + 1> text{};
  std::snprintf(text.data(), text.size(), "%08x%08x", static_cast<unsigned>(words[0]),
                static_cast<unsigned>(words[1]));
  return text.data();
}

/// The part of a rank: part-00003-0123456789abcdef.csv
std::string part_name(int rank, const std::string& token, const std::string& target) {
  const std::string extension = std::filesystem::path(target).extension().string();
  return "part-" + part_number(rank) + "-" + token + extension;
}

/// The token in a part's name; empty where it is not of that form.
std::string token_of_part(const std::string& name) {
  const auto dash = name.find('-', 5);
  if (!name.starts_with("part-") || dash == std::string::npos) return {};
  return name.substr(dash + 1, kTokenLength);
}

/// A file that an upload has left, of this store or beside it.
bool is_temporary(const std::string& name) {
  return name.starts_with("_firesteel-") && name.ends_with(".tmp");
}

/// What lies where parts are to be.
struct Place {
  bool there = false;             ///< a directory, or objects below this name
  std::vector<std::string> old;   ///< the parts of the output that is there, with their paths
  std::vector<std::string> left;  ///< what jobs have left that were killed: parts first
};

bool contains(const std::vector<std::string>& all, const std::string& one) {
  return std::find(all.begin(), all.end(), one) != all.end();
}

/// Throws 73 where what lies there is not ours to replace. Files of the token `own` are passed over.
Place look_over(Store& store, const std::string& target, const std::string& own = {}) {
  Place place;
  const auto found = store.look_at(target);
  if (!found) return place;
  if (!found->directory) throw cannot_create(target + "/", "a file of this name is there");
  place.there = true;
  const auto entries = store.list(target);
  const StoredFile* const manifest = find_file(entries, kManifestName);
  if (manifest != nullptr) {
    try {
      for (const auto& part : parse_manifest(read_manifest(store, *manifest), manifest->path))
        place.old.push_back(target + "/" + part.file);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::bad_input) throw;  // a damaged one is replaced, what it named stays
    }
  }
  std::vector<std::string> tokens;
  std::vector<std::string> marks;
  for (const auto& entry : entries) {
    const std::string name = name_in_directory(entry);
    if (!name.starts_with(kUnfinishedName)) continue;
    tokens.push_back(name.substr(std::string_view(kUnfinishedName).size()));
    marks.push_back(entry.path);
  }
  for (const auto& entry : entries) {
    const std::string name = name_in_directory(entry);
    const std::string token = token_of_part(name);
    if (&entry == manifest || contains(marks, entry.path) || contains(place.old, target + "/" + name) ||
        (!own.empty() && token == own))
      continue;
    if (is_temporary(name) || contains(tokens, token))
      place.left.push_back(entry.path);
    else if (manifest == nullptr && !name.empty())
      throw cannot_create(target + "/",
                          "there are files below this name and no " + std::string(kManifestName) +
                              ", so they were not written by firesteel: name another, or remove them");
  }
  std::erase(marks, target + "/" + kUnfinishedName + own);
  if (marks.empty()) place.left.clear();  // an upload that goes on, and has its mark yet to make
  place.left.insert(place.left.end(), marks.begin(), marks.end());
  return place;
}

void check_probe(Store& store, const std::string& target, const Place& place) {
  store.check_can_create(place.there ? target + "/" + kManifestName : target);
}

/// Removes files as far as that is possible; false where it was not.
bool try_to_remove(Store& store, const std::vector<std::string>& paths) {
  try {
    for (const auto& path : paths) store.remove(path);
    return true;
  } catch (const Error&) {
    return false;  // the next job for this output tries again
  }
}

void put_text(const std::string& path, const std::string& text) {
  OutputFile file(path);
  file.write_at(0, std::as_bytes(std::span(text)));
  file.commit();
}

/// What became of a manifest.
enum class Written : int { yes, no, unknown };

/// Puts the manifest in place. An upload of which no answer came may have gone through, so that the parts are
/// what is read from now on: it is looked at before they are removed.
Written put_manifest(Store& store, const std::string& path, const std::string& text,
                     std::exception_ptr& failure) {
  try {
    put_text(path, text);
    return Written::yes;
  } catch (const Error&) {
    failure = std::current_exception();
  }
  try {
    const auto found = store.look_at(path);
    if (!found || read_manifest(store, *found) != text) return Written::no;
    failure = nullptr;
    return Written::yes;
  } catch (const Error&) {
    return Written::unknown;
  }
}

/// Parts on their way to a store.
class Upload {
 public:
  Upload(const Context& context, const std::string& output)
      : context_(context),
        comm_(context.comm()),
        target_(shown_name(without_slash(output))),
        store_(store_of(target_)) {}

  void write(Index own_rows, WritePart write_part) {
    begin();
    try {
      const auto parts = upload(own_rows, write_part);
      finish(parts);
    } catch (const Error& error) {
      if (error.agreed()) give_up();
      throw;
    }
  }

 private:
  std::string in_target(const std::string& name) const { return target_ + "/" + name; }
  std::string mark() const { return in_target(kUnfinishedName + token_); }

  void begin() {
    comm_.collectively([&] {
      if (comm_.rank() != 0) return;
      token_ = make_token();
      const Place before = look_over(store_, target_);
      was_there_ = before.there;
      check_probe(store_, target_, before);
      put_text(mark(), "");
    });
    token_ = comm_.broadcast_text(token_, 0);
  }

  /// Every rank its own.
  std::vector<ManifestPart> upload(Index own_rows, WritePart write_part) {
    const Index total = comm_.sum(own_rows);
    const bool writes = own_rows > 0 || (total == 0 && comm_.rank() == 0);
    const StorageOptions storage{.memory = context_.memory()->strict() ? context_.memory()->limit() : 0};
    struct Part {
      Index rows = 0;
      Index bytes = -1;
    };
    const Part own = comm_.collectively([&]() -> Part {
      // Every rank makes its own context, which takes all of its group: itself.
      const Context alone(MPI_COMM_SELF, {.threads = context_.threads(), .storage = storage});
      if (!writes) return {};
      const std::string path = in_target(part_name(comm_.rank(), token_, target_));
      write_part(alone, path);
      part_ = path;
      const auto there = store_.look_at(path);
      if (!there) throw Error(ErrorCode::io_failed, path + " was written and is not there");
      return {own_rows, there->bytes};
    });
    std::vector<ManifestPart> named;
    const auto parts = comm_.allgather(own);
    for (int rank = 0; rank < comm_.size(); ++rank)
      if (const Part& part = parts[static_cast<std::size_t>(rank)]; part.bytes >= 0)
        named.push_back({part_name(rank, token_, target_), part.rows, part.bytes});
    return named;
  }

  void finish(const std::vector<ManifestPart>& parts) {
    std::exception_ptr failure;
    auto written = Written::no;
    Place before;
    comm_.collectively([&] {
      if (comm_.rank() != 0) return;
      if (!store_.look_at(mark()))
        throw Error(ErrorCode::io_failed, "writing " + target_ +
                                              "/ failed: another job writes there, too, and "
                                              "has removed " +
                                              mark() + "; give each an output of its own");
      before = look_over(store_, target_, token_);
      written = put_manifest(store_, in_target(kManifestName), manifest_text(parts), failure);
    });
    written = comm_.broadcast_value(written, 0);
    if (written == Written::unknown) part_.clear();  // perhaps it is read already
    keeps_mark_ = written == Written::unknown;
    comm_.agree(failure);
    if (comm_.rank() != 0) return;
    std::vector<std::string> gone = before.old;
    gone.insert(gone.end(), before.left.begin(), before.left.end());
    gone.push_back(mark());
    try_to_remove(store_, gone);
  }

  /// All ranks have failed together: what was there before stays, and nothing else.
  void give_up() {
    if (!part_.empty()) try_to_remove(store_, {part_});
    comm_.barrier();
    if (comm_.rank() != 0 || keeps_mark_ || !try_to_remove(store_, {mark()}) || was_there_) return;
    try {
      store_.remove_directory(target_);
    } catch (const Error&) {  // another job has written there, too
    }
  }

  const Context& context_;
  Communicator& comm_;
  std::string target_;
  Store& store_;
  std::string token_;
  std::string part_;        ///< this rank's, once it is there
  bool was_there_ = false;  ///< the directory, before this job
  bool keeps_mark_ = false;
};

}  // namespace

void check_can_create_parts_in_store(const std::string& output) {
  const std::string target = shown_name(without_slash(output));
  Store& store = store_of(target);
  check_probe(store, target, store.lists() ? look_over(store, target) : Place{});
}

void write_parts_to_store(const Context& context, const std::string& output, Index own_rows,
                          WritePart write) {
  const auto upload = context.comm().collectively([&] { return std::make_unique<Upload>(context, output); });
  upload->write(own_rows, write);
}

}  // namespace firesteel
