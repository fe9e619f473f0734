// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/atomic_file.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <functional>

#include "firesteel/core/error.hpp"
#include "firesteel/core/file_lock.hpp"
#include "firesteel/tests/io/file_size_limit.hpp"
#include "firesteel/tests/io/scratch.hpp"

namespace firesteel {
namespace {

ErrorCode code_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.code();
  }
  return ErrorCode{0};
}

TEST(AtomicFile, appears_only_when_committed_and_keeps_permissions) {
  const Context alone(MPI_COMM_SELF);
  const Scratch scratch(alone);
  scratch.put("file", "old");
  ::chmod((scratch / "file").c_str(), 0640);
  {
    AtomicFile file(scratch / "file");
    file.write("new");
    EXPECT_EQ(slurp(scratch / "file"), "old");
    EXPECT_EQ(scratch.names().size(), 2u);
  }
  EXPECT_EQ(scratch.names(), std::vector<std::string>{"file"});
  EXPECT_EQ(slurp(scratch / "file"), "old");
  AtomicFile file(scratch / "file");
  file.write("new");
  file.write(" and more");
  file.commit();
  EXPECT_EQ(slurp(scratch / "file"), "new and more");
  struct stat status {};
  ::stat((scratch / "file").c_str(), &status);
  EXPECT_EQ(status.st_mode & 07777, 0640u);
}

TEST(AtomicFile, follows_a_link_and_refuses_what_is_no_file) {
  const Context alone(MPI_COMM_SELF);
  const Scratch scratch(alone);
  scratch.put("target", "old");
  ASSERT_EQ(::symlink("target", (scratch / "link").c_str()), 0);
  ASSERT_EQ(::symlink("nowhere", (scratch / "broken").c_str()), 0);
  AtomicFile file(scratch / "link");
  file.write("new");
  file.commit();
  EXPECT_EQ(slurp(scratch / "target"), "new");
  EXPECT_TRUE(std::filesystem::is_symlink(scratch / "link"));
  for (const std::string& path :
       {scratch / "broken", scratch.path(), scratch / "no/directory", scratch / "target/below",
        std::string("/dev/null"), std::string(), std::string("/proc/none")})
    EXPECT_EQ(code_of([&] { check_can_create(path); }), ErrorCode::cannot_create) << path;
  EXPECT_EQ(scratch.names(), (std::vector<std::string>{"broken", "link", "target"}));
}

TEST(AtomicFile, a_full_disk_leaves_the_old_file) {
  const Context alone(MPI_COMM_SELF);
  const Scratch scratch(alone);
  scratch.put("file", "old");
  const ErrorCode code = code_of([&] {
    const FileSizeLimit limit(1000);
    AtomicFile file(scratch / "file");
    file.write(std::string(5000, 'x'));
    file.commit();
  });
  EXPECT_EQ(code, ErrorCode::io_failed);
  EXPECT_EQ(slurp(scratch / "file"), "old");
  EXPECT_EQ(scratch.names(), std::vector<std::string>{"file"});
}

TEST(AtomicFile, what_a_killed_process_left_is_removed_and_what_is_in_use_is_not) {
  const Context alone(MPI_COMM_SELF);
  const Scratch scratch(alone);
  const AtomicFile in_use(scratch / "in_use");
  const std::string abandoned = ".firesteel-" + host_name() + "-999999999-0.tmp";
  scratch.put(abandoned, "half a file");
  scratch.put(".firesteel-another_host-7-0.tmp", "perhaps in use there");
  scratch.put(".firesteel-another_host-8-0.tmp", "too old to be");
  std::filesystem::last_write_time(scratch / ".firesteel-another_host-8-0.tmp",
                                   std::filesystem::file_time_type::clock::now() - std::chrono::hours(2));
  scratch.put("data.tmp", "not ours");
  check_can_create(scratch / "file");
  auto names = scratch.names();
  std::sort(names.begin(), names.end());
  auto expected =
      std::vector<std::string>{".firesteel-another_host-7-0.tmp", "data.tmp",
                               std::filesystem::path(in_use.temporary_path()).filename().string()};
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(names, expected);
}

TEST(DirectoryLock, is_held_by_one_and_free_once_its_holder_is_gone) {
  using std::chrono::milliseconds;
  const Context alone(MPI_COMM_SELF);
  const Scratch scratch(alone);
  {
    const DirectoryLock held(scratch / "", milliseconds(0));
    try {
      const DirectoryLock second(scratch / "", milliseconds(50));
      ADD_FAILURE() << "two hold the same directory";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::cannot_create);
      EXPECT_NE(std::string(error.what()).find(process_name()), std::string::npos) << error.what();
    }
  }
  EXPECT_TRUE(scratch.names().empty());
  const pid_t child = fork();
  if (child == 0) {
    const DirectoryLock held(scratch / "", milliseconds(0));
    ::kill(::getpid(), SIGKILL);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(scratch.names(), std::vector<std::string>{".firesteel-lock"});
  const DirectoryLock after(scratch / "", milliseconds(0));
}

TEST(AtomicFile, a_signal_handler_can_remove_what_is_open) {
  const Context alone(MPI_COMM_SELF);
  const Scratch scratch(alone);
  const AtomicFile first(scratch / "a");
  const AtomicFile second(scratch / "b");
  EXPECT_EQ(scratch.names().size(), 2u);
  remove_temporary_files();
  EXPECT_TRUE(scratch.names().empty());
}

TEST(SharedAtomicFile, holds_what_every_rank_wrote) {
  Context context;
  const Scratch scratch(context);
  SharedAtomicFile file(context.comm(), scratch / "file");
  const std::string mine(3, static_cast<char>('a' + context.rank()));
  context.comm().collectively([&] { file.write_at(3 * context.rank(), std::as_bytes(std::span(mine))); });
  file.commit();
  std::string expected;
  for (int rank = 0; rank < context.size(); ++rank) expected.append(3, static_cast<char>('a' + rank));
  EXPECT_EQ(slurp(scratch / "file"), expected);
  EXPECT_EQ(scratch.names(), std::vector<std::string>{"file"});
}

TEST(SharedAtomicFile, one_ranks_full_disk_ends_all_and_leaves_the_old_file) {
  Context context;
  const Scratch scratch(context);
  scratch.put("file", "old");
  const int last = context.size() - 1;
  const ErrorCode code = code_of([&] {
    SharedAtomicFile file(context.comm(), scratch / "file");
    const FileSizeLimit limit(context.rank() == last ? 1000 : RLIM_INFINITY);
    const std::string mine(4000, 'x');
    context.comm().collectively(
        [&] { file.write_at(4000 * context.rank(), std::as_bytes(std::span(mine))); });
    file.commit();
  });
  EXPECT_EQ(code, ErrorCode::io_failed);
  context.comm().barrier();
  EXPECT_EQ(slurp(scratch / "file"), "old");
  EXPECT_EQ(scratch.names(), std::vector<std::string>{"file"});
}

TEST(SharedAtomicFile, cannot_be_made_on_all_ranks_alike) {
  Context context;
  EXPECT_EQ(code_of([&] { SharedAtomicFile(context.comm(), "/no/such/directory/file"); }),
            ErrorCode::cannot_create);
}

}  // namespace
}  // namespace firesteel
