// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/parts_output.hpp"

#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "firesteel/core/atomic_file.hpp"
#include "firesteel/core/error.hpp"
#include "firesteel/io/output_file.hpp"
#include "firesteel/io/parts_in_store.hpp"
#include "firesteel/io/parts_manifest.hpp"
#include "firesteel/io/store.hpp"

namespace firesteel {

namespace {

namespace fs = std::filesystem;

Error cannot_create(const std::string& path, const std::string& why) {
  return {ErrorCode::cannot_create, "cannot create " + path + ": " + why};
}

/// Where the parts are written until all are there.
std::string unfinished_name(const std::string& target) {
  const fs::path path(target);
  return (path.parent_path() / ("." + path.filename().string() + ".unfinished")).string();
}

std::string part_name(int rank, const std::string& target) {
  return "part-" + part_number(rank) + fs::path(target).extension().string();
}

bool has_manifest(const std::string& directory) {
  std::error_code ignored;
  return fs::is_regular_file(fs::path(directory) / kManifestName, ignored);
}

/// Gives the directory its name, in place of an older one where there is one.
void put_in_place(const std::string& made, const std::string& target) {
  std::error_code failure;
  if (!fs::exists(target, failure)) {
    fs::rename(made, target, failure);
    if (failure) throw Error(ErrorCode::io_failed, "renaming " + made + " failed: " + failure.message());
  } else if (::renameat2(AT_FDCWD, made.c_str(), AT_FDCWD, target.c_str(), RENAME_EXCHANGE) == 0) {
    fs::remove_all(made, failure);
  } else {  // a file system that cannot exchange names: for a moment there is neither
    const std::string old = made + ".old";
    fs::rename(target, old, failure);
    if (!failure) fs::rename(made, target, failure);
    if (failure) throw Error(ErrorCode::io_failed, "renaming " + made + " failed: " + failure.message());
    fs::remove_all(old, failure);
  }
  const std::string parent = fs::path(target).parent_path().string();
  const FileDescriptor directory(
      ::open(parent.empty() ? "." : parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.open()) ::fsync(directory.get());
}

}  // namespace

bool is_parts(const std::string& output) { return output.size() > 1 && output.back() == '/'; }

std::string without_slash(const std::string& output) {
  std::string name = output;
  while (name.size() > 1 && name.back() == '/') name.pop_back();
  return name;
}

void check_can_create_parts(const std::string& output) {
  if (is_url(output)) return check_can_create_parts_in_store(output);
  const std::string target = without_slash(output);
  std::error_code failure;
  if (fs::exists(fs::symlink_status(target, failure))) {
    if (!fs::is_directory(target, failure)) throw cannot_create(output, "a file of this name is there");
    if (!has_manifest(target) && !fs::is_empty(target, failure))
      throw cannot_create(output, "the directory is there and has no " + std::string(kManifestName) +
                                      ", so it was not written by firesteel: name another, or remove it");
  }
  const std::string parent = fs::path(target).parent_path().string();
  if (::access(parent.empty() ? "." : parent.c_str(), W_OK | X_OK) != 0)
    throw cannot_create(output, std::strerror(errno));
}

void check_can_output(const std::string& output) {
  if (output == "-") return;
  if (is_parts(output))
    check_can_create_parts(output);
  else
    check_can_write(output);
}

void write_parts(const Context& context, const std::string& output, Index own_rows, WritePart write) {
  if (is_url(output)) return write_parts_to_store(context, output, own_rows, write);
  Communicator& comm = context.comm();
  const std::string target = without_slash(output);
  const std::string made = unfinished_name(target);
  const Index total = comm.sum(own_rows);
  const bool writes = own_rows > 0 || (total == 0 && comm.rank() == 0);
  struct Remover {  // what is left of a failure
    std::string path;
    ~Remover() {
      std::error_code ignored;
      if (!path.empty()) fs::remove_all(path, ignored);
    }
  } remover;
  comm.collectively([&] {
    if (comm.rank() != 0) return;
    check_can_create_parts(output);
    std::error_code failure;
    fs::remove_all(made, failure);  // of a job that was killed
    if (!fs::create_directory(made, failure))
      throw cannot_create(output, failure ? failure.message() : "its directory cannot be made");
    remover.path = made;
  });
  const std::string name = part_name(comm.rank(), target);
  // Every rank makes its own context, also one that has nothing to write: that takes all of its group,
  // itself.
  const StorageOptions storage{.memory = context.memory()->strict() ? context.memory()->limit() : 0};
  comm.collectively([&] {
    if (!writes) return;
    const Context own(MPI_COMM_SELF, {.threads = context.threads(), .storage = storage});
    write(own, (fs::path(made) / name).string());
  });
  struct Part {
    Index rows = 0;
    Index bytes = -1;
  };
  const Part part = comm.collectively([&]() -> Part {
    if (!writes) return {};
    return {own_rows, static_cast<Index>(fs::file_size(fs::path(made) / name))};
  });
  const auto parts = comm.allgather(part);
  comm.collectively([&] {
    if (comm.rank() != 0) return;
    std::vector<ManifestPart> named;
    for (int rank = 0; rank < comm.size(); ++rank)
      if (const Part& each = parts[static_cast<std::size_t>(rank)]; each.bytes >= 0)
        named.push_back({part_name(rank, target), each.rows, each.bytes});
    AtomicFile file((fs::path(made) / kManifestName).string());
    file.write(manifest_text(named));
    file.sync();
    file.commit();
    put_in_place(made, target);
    remover.path.clear();
  });
}

}  // namespace firesteel
