// SPDX-License-Identifier: Apache-2.0
// Datasets that are kept: where the level says, within the pool, the same elements whatever is kept.
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <new>
#include <optional>
#include <string>
#include <vector>

#include "firesteel/core/dataset.hpp"

namespace firesteel {

/// Says less than it has: what is read is not what was written.
struct Forgetful {
  std::string name;
  std::string rest;
};
/// Reads one number less than it has written.
struct Short {
  std::string name;
  int number = 0;
};
/// Has bytes between its parts that mean nothing.
struct Padded {
  std::string name;
  std::optional<Index> number;
};

template <>
struct Serializer<Forgetful> {
  static void write(ByteWriter& out, const Forgetful& value) {
    out.write(value.name);
    out.write(value.rest);
  }
  static Forgetful read(ByteReader& in) {
    auto name = in.read<std::string>();
    in.read<std::string>();
    return {std::move(name), ""};
  }
};
template <>
struct Serializer<Padded> {
  static void write(ByteWriter& out, const Padded& value) {
    out.write(value.name);
    out.write(value.number);
  }
  static Padded read(ByteReader& in) {
    Padded back{in.read<std::string>(), {}};
    const auto number = in.read<std::optional<Index>>();
    // What a compiler may do: the value alone is copied, and around it lies what lay there before.
    std::memset(static_cast<void*>(&back.number), 0x5a, sizeof back.number);
    new (&back.number) std::optional<Index>(*number);
    return back;
  }
};
template <>
struct Serializer<Short> {
  static void write(ByteWriter& out, const Short& value) {
    out.write(value.name);
    out.write(value.number);
  }
  static Short read(ByteReader& in) { return {in.read<std::string>(), 7}; }
};

namespace {

Context context_with(const char* bytes) {
  setenv("FIRESTEEL_BLOCK_ROWS", "32", 1);
  setenv("FIRESTEEL_POOL_BYTES", bytes, 1);
  Context context({.threads = 3});
  unsetenv("FIRESTEEL_POOL_BYTES");
  return context;
}

/// Texts of different lengths; every call is counted.
auto texts(const Context& context, const Accumulator& calls) {
  return generate(context, 2000, [calls](Index row) {
    calls.add(1);
    return std::pair<Index, std::string>(row, std::string(static_cast<std::size_t>(row % 50), 'x'));
  });
}

TEST(StorageLevel, what_is_kept_is_computed_once_and_the_same) {
  for (const char* bytes : {"0", "20K", "10M"}) {
    const Context context = context_with(bytes);
    const Accumulator none(context);
    const auto expected =
        texts(context, none).filter([](const auto& p) { return p.first % 3 != 1; }).collect();
    for (const auto level :
         {StorageLevel::none, StorageLevel::memory, StorageLevel::memory_and_disk, StorageLevel::disk}) {
      const Index before = context.memory()->used();
      const Accumulator calls(context);
      {
        const auto kept =
            texts(context, calls).filter([](const auto& p) { return p.first % 3 != 1; }).persist(level);
        EXPECT_EQ(calls.value(), 0) << "lazy";
        for (int action = 0; action < 3; ++action) EXPECT_EQ(kept.collect(), expected);
        const bool all_kept = level == StorageLevel::memory_and_disk || level == StorageLevel::disk ||
                              (level == StorageLevel::memory && std::string(bytes) == "10M");
        if (all_kept) {
          EXPECT_EQ(calls.value(), 2000);
        }
        if (level == StorageLevel::none || (level == StorageLevel::memory && std::string(bytes) == "0")) {
          EXPECT_EQ(calls.value(), 6000);
        }
        const bool in_memory = context.memory()->used() > before;
        const bool may = level == StorageLevel::memory || level == StorageLevel::memory_and_disk;
        if (!may || std::string(bytes) == "0") {
          EXPECT_FALSE(in_memory);
        }
        if (may && std::string(bytes) == "10M") {
          EXPECT_TRUE(in_memory);
        }
        // Errors still name the row.
        try {
          kept.map([](const auto& p) -> int {
                if (p.first == 777) throw std::runtime_error("seven");
                return 1;
              })
              .count();
          FAIL() << "expected an error";
        } catch (const Error& error) {
          EXPECT_NE(std::string(error.what()).find("row 777"), std::string::npos) << error.what();
        }
        const Index computed = calls.value();
        kept.unpersist();
        EXPECT_EQ(context.memory()->used(), before);
        EXPECT_EQ(kept.collect(), expected);
        EXPECT_EQ(calls.value(), computed + 2000);
      }
      EXPECT_EQ(context.memory()->used(), before);
    }
  }
}

TEST(StorageLevel, one_type_holds_what_is_kept_and_wide_operations_start_there) {
  const Context context = context_with("0");
  const Accumulator calls(context);
  const auto kept = texts(context, calls).persist(StorageLevel::disk);
  const Dataset<std::pair<Index, std::string>> any = kept;
  const auto sorted = any.sort_by([](const auto& p) { return -p.first; }).take(3);
  ASSERT_EQ(sorted.size(), 3u);
  EXPECT_EQ(sorted[0].first, 1999);
  EXPECT_EQ(any.count(), 2000);
  EXPECT_EQ(calls.value(), 2000);
}

TEST(StorageLevel, records_that_do_not_come_back_as_they_were_are_refused) {
  const Context context = context_with("0");
  const auto expect_refused = [](const auto& operation) {
    try {
      operation();
      FAIL() << "expected an error";
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("its Serializer does not read what it writes"),
                std::string::npos)
          << error.what();
    }
  };
  const auto forgetful = generate(context, 100, [](Index row) {
    return Forgetful{std::to_string(row), "rest"};
  });
  const auto too_short = generate(context, 100, [](Index row) { return Short{std::to_string(row), 3}; });
  expect_refused([&] { forgetful.persist(StorageLevel::disk).count(); });
  expect_refused([&] { too_short.persist(StorageLevel::memory_and_disk).count(); });
  expect_refused([&] { forgetful.sort_by([](const Forgetful& value) { return value.name; }); });
}

TEST(StorageLevel, what_lies_between_the_parts_of_a_record_may_change_on_its_way) {
  const Context context = context_with("1M");
  const auto padded = generate(context, 100, [](Index row) { return Padded{std::to_string(row), row}; });
  EXPECT_EQ(padded.persist(StorageLevel::disk).count(), 100);
  const auto sorted = padded.sort_by([](const Padded& value) { return -*value.number; }).collect();
  ASSERT_EQ(sorted.size(), 100U);
  for (Index i = 0; i < 100; ++i) EXPECT_EQ(*sorted[static_cast<std::size_t>(i)].number, 99 - i);
}

TEST(Accumulator, counts_over_ranks_and_threads_and_again_from_zero) {
  const Context context = context_with("1M");
  const Accumulator odd(context);
  const auto numbers = Dataset<Index>::range(context, 1001).filter([odd](Index i) {
    if (i % 2 == 1) odd.add(1);
    return true;
  });
  EXPECT_EQ(numbers.count(), 1001);
  EXPECT_EQ(odd.value(), 500);
  numbers.count();
  EXPECT_EQ(odd.value(), 1000);
  odd.reset();
  EXPECT_EQ(odd.value(), 0);
}

}  // namespace
}  // namespace firesteel
