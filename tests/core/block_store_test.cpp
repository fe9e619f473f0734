// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/block_store.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <future>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "firesteel/core/canonical_sum.hpp"
#include "firesteel/core/context.hpp"
#include "firesteel/core/error.hpp"
#include "firesteel/core/parallel.hpp"

namespace firesteel {
namespace {

constexpr Index kBlocks = 100;
constexpr Index kBlockBytes = 5000;  // two pages

std::string scratch() { return scratch_directory(""); }

/// A pool in which `bytes` may be reserved.
std::shared_ptr<MemoryPool> pool_of(Index bytes, bool strict = false) {
  auto pool = std::make_shared<MemoryPool>(Index{1} << 40, strict);
  pool->reserve(pool->available() - bytes, "the rest");
  return pool;
}

std::byte byte_of(Index block, Index i) { return static_cast<std::byte>(block * 31 + i % 251); }

void fill(BlockStore& store) {
  parallel_for(3, store.blocks(), [&](Index block, int) {
    store.open(block);
    for (Index i = 0; i < kBlockBytes; ++i) store.address(block)[i] = byte_of(block, i);
    store.close(block);
  });
}

bool is_whole(const BlockStore& store, Index block) {
  for (Index i = 0; i < kBlockBytes; ++i)
    if (store.address(block)[i] != byte_of(block, i)) return false;
  return true;
}

/// One pass; returns how many blocks were as they were written.
Index whole_blocks(BlockStore& store, int threads) {
  std::atomic<Index> whole{0};
  BlockPass pass(&store);
  parallel_for(threads, store.blocks(), [&](Index block, int) {
    const BlockPass::Hold hold(pass, block);
    if (is_whole(store, block)) ++whole;
  });
  return whole;
}

class Store : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override { setenv("FIRESTEEL_SCRATCH_READER", GetParam(), 1); }
  void TearDown() override { unsetenv("FIRESTEEL_SCRATCH_READER"); }
};
INSTANTIATE_TEST_SUITE_P(Readers, Store, testing::Values("", "threads"));

TEST_P(Store, passes_hand_out_what_was_written_and_read_what_is_spilled_once) {
  for (const Index memory : {Index{0}, Index{500'000}, Index{10'000'000}}) {
    BlockStore store(pool_of(memory), scratch(), kBlocks, kBlockBytes, 3);
    fill(store);
    for (const int threads : {1, 2, 3}) EXPECT_EQ(whole_blocks(store, threads), kBlocks);
    const StoreTraffic& traffic = store.traffic();
    EXPECT_EQ(traffic.bytes_read, 3 * traffic.spilled_bytes);
    EXPECT_EQ(traffic.spilled_bytes, store.spilled_bytes());
    if (memory == 0) {
      EXPECT_EQ(traffic.spilled_blocks, kBlocks);
      EXPECT_GE(traffic.most_in_flight, 4);
      EXPECT_EQ(traffic.bytes_written, traffic.spilled_bytes);
    } else if (memory == 500'000) {
      EXPECT_GT(traffic.spilled_blocks, kBlocks / 4);
      EXPECT_LT(traffic.spilled_blocks, kBlocks);
    } else {
      EXPECT_EQ(traffic.spilled_blocks, 0);
      EXPECT_EQ(traffic.passes, 0);
    }
  }
}

TEST_P(Store, gives_memory_back_when_others_need_it) {
  const auto pool = pool_of(1'000'000);
  BlockStore store(pool, scratch(), kBlocks, kBlockBytes, 2);
  fill(store);
  const Index before = store.spilled_bytes();
  EXPECT_EQ(before, 0);
  const MemoryReservation state(pool, 700'000, "the state of a fit");
  EXPECT_GT(store.spilled_bytes(), before);
  EXPECT_GE(pool->available(), 0);
  EXPECT_EQ(whole_blocks(store, 2), kBlocks);
  std::vector<std::byte> copy(3000);
  for (Index block = 0; block < kBlocks; ++block) {
    store.copy(block, 1500, copy.data(), 3000);
    for (Index i = 0; i < 3000; ++i) ASSERT_EQ(copy[static_cast<std::size_t>(i)], byte_of(block, 1500 + i));
  }
}

TEST_P(Store, a_pass_that_ends_early_leaves_the_store_whole) {
  BlockStore store(pool_of(200'000), scratch(), kBlocks, kBlockBytes, 4);
  fill(store);
  const auto pass_until = [&](Index last) {
    BlockPass pass(&store);
    parallel_for(4, kBlocks, [&](Index block, int) {
      const BlockPass::Hold hold(pass, block);
      if (block >= last) throw bad_input("stop", {0, block});
    });
  };
  for (const Index last : {0, 1, 17, 98}) {
    try {
      pass_until(last);
      FAIL() << "expected the error of block " << last;
    } catch (const Error& error) {
      EXPECT_EQ(error.place().offset, last);
    }
    EXPECT_EQ(whole_blocks(store, 2), kBlocks);
  }
}

TEST_P(Store, who_waits_behind_a_block_that_was_left_by_an_error_is_told) {
  BlockStore store(pool_of(0), scratch(), kBlocks, kBlockBytes, 2);
  fill(store);
  for (const Index left :
       {0, 40}) {  // as threads leave parallel_for(): the blocks between are held by nobody
    BlockPass pass(&store);
    for (Index block = 0; block < left; ++block) const BlockPass::Hold hold(pass, block);
    auto waiting = std::async(std::launch::async, [&] { const BlockPass::Hold hold(pass, kBlocks - 1); });
    EXPECT_EQ(waiting.wait_for(std::chrono::milliseconds(20)), std::future_status::timeout);
    EXPECT_THROW(
        {
          const BlockPass::Hold hold(pass, left);
          throw bad_input("stop", {0, left});
        },
        Error);
    ASSERT_EQ(waiting.wait_for(std::chrono::seconds(20)), std::future_status::ready);
    EXPECT_THROW(waiting.get(), Error);
  }
  EXPECT_EQ(whole_blocks(store, 2), kBlocks);
}

TEST_P(Store, sums_are_those_of_blocks_in_memory) {
  const Context context(MPI_COMM_WORLD, {.threads = 3});
  for (const Index blocks : {1, 2, 7, 64, 333}) {
    const auto partition = BlockPartition::even(blocks * 32, 32, context.size());
    CanonicalSum sum(context.comm(), partition, 3, context.threads());
    const Index first = partition.first_block(context.rank());
    const Index own = partition.end_block(context.rank()) - first;
    BlockStore store(pool_of(0), scratch(), own, 100, 3);
    for (Index block = 0; block < own; ++block) {
      store.open(block);
      const double value = 1.0 / static_cast<double>(3 + first + block);
      std::memcpy(store.address(block), &value, sizeof value);
      store.close(block);
    }
    const auto statistic = [](double value, std::span<double> out) {
      out[0] = value;
      out[1] = value * 1e10;
      out[2] = -value * value;
    };
    const auto plain = sum(
        [&](Index block, std::span<double> out) { statistic(1.0 / static_cast<double>(3 + block), out); });
    const std::vector<double> expected(plain.begin(), plain.end());
    for (int repeat = 0; repeat < 5; ++repeat) {
      const auto read = sum(
          [&](Index block, std::span<double> out) {
            double value = 0;
            std::memcpy(&value, store.address(block - first), sizeof value);
            statistic(value, out);
          },
          &store);
      EXPECT_EQ(std::vector<double>(read.begin(), read.end()), expected) << blocks << " blocks";
    }
  }
}

TEST(Scratch, files_have_no_name_and_no_room_is_said_beforehand) {
  const std::string directory = scratch() + "/firesteel-scratch-test-" + std::to_string(::getpid());
  std::filesystem::create_directory(directory);
  {
    const ScratchFile file(directory, 1 << 20);
    EXPECT_TRUE(std::filesystem::is_empty(directory));
    const PageMemory page(kScratchAlignment);
    page.data()[7] = std::byte{42};
    file.write(8 * kScratchAlignment, page.data(), kScratchAlignment);
    const PageMemory back(kScratchAlignment);
    file.read(8 * kScratchAlignment, back.data(), kScratchAlignment);
    EXPECT_EQ(back.data()[7], std::byte{42});
    EXPECT_THROW(file.read(Index{1} << 30, back.data(), kScratchAlignment), Error);
  }
  try {
    const ScratchFile file(directory, Index{1} << 52);
    FAIL() << "expected no room";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::cannot_create);
    EXPECT_NE(std::string(error.what()).find(directory), std::string::npos) << error.what();
  }
  std::filesystem::remove_all(directory);
  try {
    const ScratchFile file(directory, 1);
    FAIL() << "expected no such directory";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::cannot_create);
  }
}

TEST(MemoryPool, sizes_are_read_as_users_write_them) {
  EXPECT_EQ(parse_bytes("300M"), Index{300} << 20);
  EXPECT_EQ(parse_bytes("2g"), Index{2} << 30);
  EXPECT_EQ(parse_bytes("1T"), Index{1} << 40);
  EXPECT_EQ(parse_bytes("17"), Index{17});
  EXPECT_EQ(parse_bytes("4K"), Index{4096});
  for (const char* bad : {"", "G", "2GB", "1.5G", "-1", "2 G", "9999999999T", "0x10"})
    EXPECT_EQ(parse_bytes(bad), std::nullopt) << bad;
}

TEST(MemoryPool, a_bound_that_was_set_is_kept_and_another_is_not) {
  const auto strict = pool_of(1000, true);
  const MemoryReservation first(strict, 600, "a");
  try {
    const MemoryReservation second(strict, 600, "gradients");
    FAIL() << "expected out of memory";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::out_of_memory);
    EXPECT_NE(std::string(error.what()).find("gradients need 600 bytes"), std::string::npos) << error.what();
  }
  EXPECT_EQ(strict->available(), 400);
  const auto loose = pool_of(1000);
  const MemoryReservation beyond(loose, 5000, "a");
  EXPECT_EQ(loose->available(), 0);
}

}  // namespace
}  // namespace firesteel
