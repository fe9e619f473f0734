// SPDX-License-Identifier: Apache-2.0
// Elements that are sorted, records in bulk, and texts that are looked up together, against plain loops.
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "firesteel/core/dataset.hpp"

namespace firesteel {
namespace {

/// 48 bytes: sorted by place.
struct Record {
  std::array<unsigned char, 10> key;
  std::array<char, 30> rest;
  Index number;
  friend bool operator==(const Record&, const Record&) = default;
};

/// Keys of which many begin alike, and some are alike.
Record record_of(Index number) {
  Record record{};
  const auto draw = philox_bits(5, 1, static_cast<std::uint64_t>(number));
  record.key.fill('k');
  record.key[3] = static_cast<unsigned char>(draw % 3);
  record.key[9] = static_cast<unsigned char>(draw / 3 % 40);
  record.number = number;
  std::snprintf(record.rest.data(), record.rest.size(), "%ld", static_cast<long>(number));
  return record;
}

std::uint64_t draw(Index row) { return philox_bits(5, 2, static_cast<std::uint64_t>(row)); }

Context small_blocks(int threads) {
  setenv("FIRESTEEL_BLOCK_ROWS", "32", 1);
  return Context({.threads = threads, .monitor = nullptr});
}

/// A row has no record, one, or three.
std::vector<Record> records_of(int shape, Index row) {
  const bool one =
      shape == 0 || (shape == 1 && row < 2000) || (shape == 2 && row % 3 == 0) || (shape == 3 && row > 3900);
  if (one) return {record_of(row)};
  if (shape == 3) return {};
  return shape == 2 && row % 3 == 1 ? std::vector{record_of(row), record_of(-row), record_of(row)}
                                    : std::vector<Record>();
}

TEST(BulkDataset, records_are_sorted_however_many_come_of_a_row) {
  const Index rows = 4000;
  for (int shape = 0; shape < 5; ++shape) {
    std::vector<Record> expected;
    for (Index row = 0; row < rows; ++row)
      for (const Record& record : records_of(shape, row)) expected.push_back(record);
    const auto key = [](const Record& record) { return record.key; };
    auto descending = expected;
    std::stable_sort(expected.begin(), expected.end(),
                     [](const auto& a, const auto& b) { return a.key < b.key; });
    std::stable_sort(descending.begin(), descending.end(),
                     [](const auto& a, const auto& b) { return b.key < a.key; });
    for (const int threads : {1, 2, 3}) {
      const Context context = small_blocks(threads);
      const auto records = generate(context, rows, [](Index row) {
                             return row;
                           }).flat_map([shape](Index row) { return records_of(shape, row); });
      const auto sorted = records.sort_by(key);
      EXPECT_EQ(sorted.collect(), expected) << shape;
      EXPECT_EQ(static_cast<Index>(sorted.collect_local().size()),
                sorted.partition().local_rows(context.rank()));
      EXPECT_EQ(records.sort_by(key, Descending()).collect(), descending) << shape;
      // An order of one's own, which has no start of keys as a number.
      EXPECT_EQ(records.sort_by(key, [](const auto& a, const auto& b) { return a > b; }).collect(),
                descending)
          << shape;
    }
  }
}

TEST(BulkDataset, sort_by_is_stable_whatever_the_keys) {
  const Context context = small_blocks(2);
  for (const Index keys : {1, 5, 100000}) {
    const auto data = generate(context, 3000, [keys](Index row) {
      return std::pair(static_cast<Index>(draw(row) % static_cast<std::uint64_t>(keys)) - 2, row);
    });
    auto expected = data.collect();
    const auto key = [](const std::pair<Index, Index>& p) { return p.first; };
    std::stable_sort(expected.begin(), expected.end(), [](auto a, auto b) { return a.first < b.first; });
    const auto sorted = data.sort_by(key);
    EXPECT_EQ(sorted.collect(), expected);
    std::stable_sort(expected.begin(), expected.end(), [](auto a, auto b) { return a.first > b.first; });
    EXPECT_EQ(data.sort_by(key, Descending()).collect(), expected);
    // Rows are numbered afresh and dealt evenly.
    EXPECT_EQ(sorted.partition().rows(), 3000);
    EXPECT_EQ(static_cast<Index>(sorted.collect_local().size()),
              sorted.partition().local_rows(context.rank()));
  }
}

TEST(BulkDataset, not_a_number_is_sorted_to_the_end_and_is_one_key) {
  const Context context = small_blocks(2);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto data =
      generate(context, 200, [nan](Index row) { return row % 3 == 0 ? nan : (row % 2 ? 0.0 : -0.0); });
  const auto sorted = data.sort_by([](double x) { return x; }).collect();
  for (std::size_t i = 0; i < sorted.size(); ++i) EXPECT_EQ(std::isnan(sorted[i]), i >= 133U);
  const auto distinct = data.distinct().collect();
  ASSERT_EQ(distinct.size(), 2U);  // 0 (and −0), NaN
  EXPECT_EQ(distinct[0], 0.0);
  EXPECT_TRUE(std::isnan(distinct[1]));
}

TEST(BulkDataset, an_error_in_a_block_names_its_row_on_every_rank) {
  const Context context = small_blocks(2);
  const auto records = generate(context, 1000, [](Index row) {
    if (row >= 700) throw bad_input("no record");
    return record_of(row);
  });
  try {
    records.sort_by([](const Record& record) { return record.key; });
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("row 700"), std::string::npos) << error.what();
  }
}

/// Two pages, of which the second cannot be read.
class LastPage {
 public:
  LastPage()
      : memory_(static_cast<char*>(
            ::mmap(nullptr, 2 * kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))) {
    ::mprotect(memory_ + kBytes, kBytes, PROT_NONE);
  }
  ~LastPage() { ::munmap(memory_, 2 * kBytes); }
  LastPage(const LastPage&) = delete;
  LastPage& operator=(const LastPage&) = delete;
  /// The text, so that it ends `before` bytes before the page does.
  std::string_view put(const std::string& text, std::size_t before) const {
    std::memset(memory_, '#', kBytes);
    char* const place = memory_ + kBytes - before - text.size();
    std::memcpy(place, text.data(), text.size());
    return {place, text.size()};
  }

 private:
  static constexpr std::size_t kBytes = 65536;  // whole pages everywhere
  char* memory_;
};

TEST(TextIndex, finds_texts_of_any_length_up_to_the_end_of_readable_memory) {
  const LastPage page;
  detail::TextIndex index;
  std::unordered_map<std::string, Index> expected;
  for (int round = 0; round < 3; ++round)
    for (std::size_t length = 0; length < 40; ++length)
      for (std::size_t before = 0; before < 40; ++before) {
        // Texts that differ in the last byte only, that begin alike, and that hold a zero.
        std::string text(length, 'a');
        if (length > 0) text.back() = static_cast<char>(before % 5);
        if (length > 9) text[8] = static_cast<char>(before % 3);
        const Index number = expected.try_emplace(text, static_cast<Index>(expected.size())).first->second;
        const std::string_view lies = page.put(text, before);
        ASSERT_EQ(index.number(lies), number) << length << ", " << before;
        if (length <= detail::TextIndex::kInside) {
          ASSERT_EQ(index.number(index.look_ahead(lies)), number);
        }
      }
  EXPECT_EQ(index.number(std::string_view()), expected.at(""));  // which lies nowhere
  ASSERT_EQ(index.size(), static_cast<Index>(expected.size()));
  for (const auto& [text, number] : expected) EXPECT_EQ(index.text(number), text);
}

TEST(TextIndex, keeps_a_value_for_each_text_while_it_grows) {
  detail::TextIndex index;
  const auto text_of = [](Index i) {
    return (i % 3 == 0 ? "a longer text, of number " : "t") + std::to_string(i);
  };
  for (int round = 0; round < 2; ++round)
    for (Index i = 0; i < 20000; ++i) {
      const auto found = index.find(text_of(i));
      EXPECT_EQ(found.is_new, round == 0);
      EXPECT_EQ(found.value, round == 0 ? 0U : static_cast<std::uint64_t>(i));
      found.value = static_cast<std::uint64_t>(i);
    }
  Index seen = 0;
  index.for_each([&](Index number, std::uint64_t value) {
    EXPECT_EQ(static_cast<std::uint64_t>(number), value);
    ++seen;
  });
  EXPECT_EQ(seen, 20000);
}

}  // namespace
}  // namespace firesteel
