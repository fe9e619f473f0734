// SPDX-License-Identifier: Apache-2.0
// Files of stores, over a store that is made of words: what is fetched, and by whom.
#include "firesteel/io/stores/remote_file.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <random>
#include <thread>
#include <vector>

#include "firesteel/core/error.hpp"
#include "firesteel/io/stores/fetch_ahead.hpp"

namespace firesteel {
namespace {

char byte_at(Index offset) { return static_cast<char>((offset * 2654435761U) >> 16); }

/// Brings bytes in pieces of an odd length, counts them, and fails from a place on.
class Words final : public RangeReader {
 public:
  Words(std::vector<std::atomic<int>>& counts, Index fails_at, bool whole)
      : counts_(counts), fails_at_(fails_at), whole_(whole) {}
  bool whole_only() const override { return whole_; }
  void read(Index begin, Index end, const Take& take, const std::atomic<bool>& cancelled) override {
    std::vector<char> piece;
    for (Index at = begin; at < end; at += static_cast<Index>(piece.size())) {
      if (cancelled) throw Error(ErrorCode::stopped, "given up");
      if (at >= fails_at_) throw Error(ErrorCode::io_failed, "the store fails");
      piece.clear();
      for (Index i = at; i < std::min({end, fails_at_, at + 1237}); ++i) {
        piece.push_back(byte_at(i));
        ++counts_[static_cast<std::size_t>(i)];
      }
      take(at, piece);
    }
  }

 private:
  std::vector<std::atomic<int>>& counts_;
  Index fails_at_;
  bool whole_;
};

class RemoteFiles : public ::testing::Test {
 protected:
  static constexpr Index kBytes = 3000000;
  std::vector<std::atomic<int>> counts = std::vector<std::atomic<int>>(kBytes);

  std::shared_ptr<RemoteFile> make(Index fails_at = kBytes, bool whole = false) {
    return std::make_shared<RemoteFile>(StoredFile{.path = "s3://b/k", .bytes = kBytes, .version = "v"},
                                        std::make_unique<Words>(counts, fails_at, whole));
  }
  /// How many bytes were fetched; none twice.
  Index fetched() const {
    Index sum = 0;
    for (const auto& count : counts) {
      EXPECT_LE(count, 1);
      sum += count;
    }
    return sum;
  }
  static bool right(const RemoteFile& file, Index offset, std::size_t length) {
    std::vector<char> out(length);
    const std::size_t got = file.read_at(offset, out);
    if (got != std::min(length, static_cast<std::size_t>(std::max<Index>(0, kBytes - offset)))) return false;
    for (std::size_t i = 0; i < got; ++i)
      if (out[i] != byte_at(offset + static_cast<Index>(i))) return false;
    return true;
  }
};

TEST_F(RemoteFiles, no_byte_is_fetched_twice_by_many_threads) {
  for (const bool whole : {false, true}) {
    for (auto& count : counts) count = 0;
    const auto file = make(kBytes, whole);
    file->expect(500000, 2000000);
    std::vector<std::thread> threads;
    std::atomic<int> wrong{0};
    for (unsigned thread = 0; thread < 4; ++thread)
      threads.emplace_back([&, thread] {
        std::mt19937 random(thread);
        for (int i = 0; i < 200; ++i)
          if (!right(*file, static_cast<Index>(random() % (kBytes + 10)), random() % 50000)) ++wrong;
      });
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(wrong, 0);
    EXPECT_TRUE(right(*file, 0, kBytes));
    forget_tasks();
    EXPECT_EQ(fetched(), kBytes);
  }
}

TEST_F(RemoteFiles, what_is_fetched_is_what_is_asked_for) {
  const auto file = make();
  EXPECT_TRUE(right(*file, 1000000, 300000));
  EXPECT_EQ(fetched(), 300000);
  EXPECT_TRUE(right(*file, 5, 10));
  EXPECT_EQ(fetched(), 300000 + 65536);
  EXPECT_TRUE(right(*file, 65541, 10));  // reading goes on: twice as much
  EXPECT_EQ(fetched(), 300000 + 3 * 65536);
  std::vector<char> beyond(5);
  EXPECT_EQ(file->read_at(kBytes, beyond), 0U);
}

TEST_F(RemoteFiles, a_failure_is_told_to_all_who_wait_and_what_came_stays) {
  const auto file = make(1000000);
  EXPECT_TRUE(right(*file, 100, 1000));
  file->expect(0, kBytes);
  std::vector<std::thread> threads;
  std::atomic<int> told{0};
  for (int thread = 0; thread < 4; ++thread)
    threads.emplace_back([&, thread] {
      std::vector<char> out(1000);
      try {
        file->read_at(1500000 + 1000 * thread, out, 7);
      } catch (const Error& error) {
        if (error.code() == ErrorCode::io_failed && error.place().file == 7) ++told;
      }
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(told, 4);
  forget_tasks();
  EXPECT_TRUE(right(*file, 100, 1000));
}

/// Bytes on the disk of files without a name that this process has open.
Index spooled() {
  Index bytes = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    struct stat status {};
    if (::stat(entry.path().c_str(), &status) == 0 && S_ISREG(status.st_mode) && status.st_nlink == 0)
      bytes += static_cast<Index>(status.st_blocks) * 512;
  }
  return bytes;
}

TEST_F(RemoteFiles, what_is_let_go_of_takes_no_room) {
  for (const bool whole : {false, true}) {
    for (auto& count : counts) count = 0;
    const auto file = make(kBytes, whole);
    const Index before = spooled();
    file->expect(0, kBytes);
    EXPECT_TRUE(right(*file, 0, kBytes));
    EXPECT_GE(spooled(), before + kBytes);
    for (Index at = 0; at < kBytes; at += 70000) file->let_go(at, at + 70000);
    forget_tasks();
    EXPECT_LE(spooled(), before + 100000);
    EXPECT_EQ(fetched(), kBytes);
    EXPECT_TRUE(right(*file, 1000000, 1000));  // fetched anew
  }
}

TEST_F(RemoteFiles, threads_let_go_while_others_fetch_and_read) {
  const auto file = make();
  file->expect(0, kBytes);
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  std::atomic<Index> next{0};
  for (int thread = 0; thread < 4; ++thread)
    threads.emplace_back([&] {
      for (Index at = next.fetch_add(9001); at < kBytes; at = next.fetch_add(9001)) {
        if (!right(*file, at, 9001)) ++wrong;
        file->let_go(at, at + 9001);
      }
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  forget_tasks();
  EXPECT_EQ(fetched(), kBytes);
}

TEST_F(RemoteFiles, transfers_end_when_nobody_reads_any_more) {
  auto file = make();
  file->expect(0, kBytes);
  file->cancel(1);
  forget_tasks();
  EXPECT_LE(fetched(), kBytes);
}

}  // namespace
}  // namespace firesteel
