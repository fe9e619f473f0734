// SPDX-License-Identifier: Apache-2.0
// The directories of a job: writable, with room, with locks, the same for all ranks.
#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>

#include "firesteel/cli/doctor.hpp"
#include "firesteel/core/atomic_file.hpp"
#include "firesteel/core/file_lock.hpp"
#include "firesteel/io/hdf5_trial.hpp"

namespace firesteel::cli {

namespace {

constexpr Index kLeastRoom = Index{16} << 20;

/// The directory itself, or the nearest one above it that is there: a job makes the rest.
std::string existing_part(const std::string& directory) {
  std::filesystem::path path = std::filesystem::path(directory).lexically_normal();
  std::error_code trouble;
  while (!path.empty() && !std::filesystem::exists(path, trouble)) {
    const auto parent = path.parent_path();
    if (parent == path) break;
    path = parent;
  }
  return path.empty() ? "." : path.string();
}

/// Room for files of this user; -1 where the file system does not say.
Index free_bytes(const std::string& directory) {
  struct statvfs room {};
  if (statvfs(directory.c_str(), &room) != 0 || room.f_blocks == 0) return -1;
  return static_cast<Index>(room.f_bavail) * static_cast<Index>(room.f_frsize);
}

}  // namespace

Check check_directory(const std::string& name, const std::string& directory, Index enough_bytes,
                      bool is_made) {
  Check check{name, Health::ok, directory, ""};
  const std::string there = existing_part(directory);
  if (std::error_code ignored; !is_made && !std::filesystem::is_directory(directory, ignored))
    return {name, Health::failed, directory + " is not there, or no directory",
            "make it, or name a directory that this user can write"};
  if (there != std::filesystem::path(directory).lexically_normal()) check.finding += " (to be made)";
  try {
    check_can_create(there + "/firesteel-doctor");
  } catch (const Error& error) {
    return {name, Health::failed, error.what(), "name a directory that this user can write"};
  }
  const Index room = free_bytes(there);
  if (room < 0) {
    check.finding += ": writable";
    return check;
  }
  check.finding += ": writable, " + bytes_text(room) + " free";
  if (room < enough_bytes) {
    check.health = room < kLeastRoom ? Health::failed : Health::warning;
    check.remedy = "make room, or name a directory elsewhere";
  }
  return check;
}

Check check_file_locking(const std::string& directory) {
  const std::string name = "file_locking";
  const std::string there = existing_part(directory);
  try {
    const AtomicFile probe(there + "/firesteel-doctor");
    const FileDescriptor file(open(probe.temporary_path().c_str(), O_RDWR | O_CLOEXEC));
    if (!file.open()) return {name, Health::warning, there + ": " + std::strerror(errno), "look at " + there};
    // The probe's own descriptor holds the lock: another is refused it where locks work.
    if (try_lock(file.get()) != LockResult::held_by_another)
      return {name, Health::warning, there + ": files cannot be locked",
              "nothing keeps two jobs out of one checkpoint directory there: give each its own, or mount the "
              "file system with locks"};
    const Hdf5Trial trial = try_hdf5(probe.temporary_path() + ".h5");
    if (!trial.as_firesteel.empty())
      return {name, Health::failed, there + ": HDF5 " + trial.as_firesteel,
              "export HDF5_USE_FILE_LOCKING=FALSE"};
    if (!trial.as_others.empty())
      return {name, Health::warning, there + ": HDF5 by default " + trial.as_others,
              "export HDF5_USE_FILE_LOCKING=FALSE for other programs that read models"};
    return {name, Health::ok, there + ": locks and HDF5 work", ""};
  } catch (const Error& error) {
    return {name, Health::warning, std::string("not tried: ") + error.what(),
            "start in a directory that this user can write, or name one by --checkpoint DIR"};
  }
}

Check check_directory_is_shared(Communicator& comm, const std::string& directory) {
  std::optional<AtomicFile> made;
  std::string path;
  if (comm.rank() == 0) {
    try {
      made.emplace(existing_part(directory) + "/firesteel-doctor");
      path = made->temporary_path();
    } catch (const Error&) {  // the check of the directory says why
    }
  }
  path = comm.broadcast_text(path, 0);
  const bool seen = path.empty() || access(path.c_str(), F_OK) == 0;
  comm.barrier();  // rank 0's file is there until all have looked
  const std::string name = "checkpoint_shared";
  if (path.empty()) return {name, Health::ok, "not tried", ""};
  if (seen) return {name, Health::ok, directory + ": all ranks see the same directory", ""};
  return {name, Health::failed, directory + ": a file that rank 0 makes there is absent here",
          "name a directory of a file system that all hosts share"};
}

}  // namespace firesteel::cli
