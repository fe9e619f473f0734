// SPDX-License-Identifier: Apache-2.0
// Ends of Parquet files, made by hand: joined they are what one writer writes.
#include "firesteel/io/arrow/parquet_footer.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <stdexcept>
#include <vector>

namespace firesteel {
namespace {

/// Thrift's compact protocol, as far as the structures below want it.
class Structure {
 public:
  Structure& number(int field, std::int64_t value, unsigned type = 6) {
    head(field, type);
    varint((static_cast<std::uint64_t>(value) << 1U) ^ static_cast<std::uint64_t>(value >> 63));
    return *this;
  }
  Structure& text(int field, const std::string& value) {
    head(field, 8);
    varint(value.size());
    text_ += value;
    return *this;
  }
  Structure& inner(int field, const Structure& value) {
    head(field, 12);
    text_ += value.done();
    return *this;
  }
  Structure& list(int field, const std::vector<Structure>& values) {
    head(field, 9);
    if (values.size() < 15) {
      text_.push_back(static_cast<char>(values.size() << 4U | 12U));
    } else {
      text_.push_back(static_cast<char>(0xfc));
      varint(values.size());
    }
    for (const auto& value : values) text_ += value.done();
    return *this;
  }
  Structure& flag(int field, bool value) {
    head(field, value ? 1 : 2);
    return *this;
  }
  Structure& real(int field) {
    head(field, 7);
    text_ += std::string("\x01\x02\x03\x04\x05\x06\x07\x08", 8);
    return *this;
  }
  std::string done() const { return text_ + std::string(1, '\0'); }

 private:
  void head(int field, unsigned type) {
    const int step = field - last_;
    if (step > 0 && step < 16) {
      text_.push_back(static_cast<char>(static_cast<unsigned>(step) << 4U | type));
    } else {
      text_.push_back(static_cast<char>(type));
      varint(static_cast<std::uint64_t>(field) << 1U);
    }
    last_ = field;
  }
  void varint(std::uint64_t value) {
    for (; value > 127; value >>= 7U) text_.push_back(static_cast<char>((value & 127U) | 128U));
    text_.push_back(static_cast<char>(value));
  }

  std::string text_;
  int last_ = 0;
};

struct End {
  Index pages_end = 0;
  std::string indexes;
  std::string footer;
};

constexpr Index kBegin = 4;
constexpr int kColumns = 2;

Index bytes_of_chunk(int group, int column) { return 1000 + 7000 * (group % 3) + 50 * column; }

/// Of a file of row groups [first, end) of a longer one, with indexes of pages or without.
End end_of(int first, int end, bool indexed) {
  End made;
  Index place = kBegin;
  std::vector<std::vector<Index>> begins;
  for (int group = first; group < end; ++group) {
    begins.emplace_back();
    for (int column = 0; column < kColumns; ++column) {
      begins.back().push_back(place);
      place += bytes_of_chunk(group, column);
    }
  }
  made.pages_end = place;
  std::vector<std::string> column_indexes;
  std::vector<std::string> offset_indexes;
  for (int group = first; group < end; ++group)
    for (int column = 0; column < kColumns; ++column) {
      const Index begin = begins[static_cast<std::size_t>(group - first)][static_cast<std::size_t>(column)];
      column_indexes.push_back(Structure().flag(1, true).text(2, std::string(5 + group % 4, 'c')).done());
      std::vector<Structure> pages;
      for (int page = 0; page < 2; ++page)
        pages.push_back(
            Structure().number(1, begin + 300 * (1 + page)).number(2, 300, 5).number(3, 10 * page));
      offset_indexes.push_back(Structure().list(1, pages).done());
    }
  if (indexed) {
    for (const auto& index : column_indexes) made.indexes += index;
    for (const auto& index : offset_indexes) made.indexes += index;
  }
  Index column_place = place;
  Index offset_place = place;
  for (const auto& index : column_indexes) offset_place += static_cast<Index>(index.size());
  std::vector<Structure> groups;
  for (int group = first; group < end; ++group) {
    std::vector<Structure> chunks;
    for (int column = 0; column < kColumns; ++column) {
      const auto number = static_cast<std::size_t>(kColumns * (group - first) + column);
      const Index begin = begins[static_cast<std::size_t>(group - first)][static_cast<std::size_t>(column)];
      Structure data;
      data.number(1, 5, 5).text(3, "x").number(5, 20).number(9, begin + 300);
      if (column == 0) data.number(11, begin);
      data.inner(12, Structure().text(1, "statistics").real(2)).number(30, 1);
      Structure chunk;
      chunk.number(2, 0).inner(3, data);
      if (indexed) {
        chunk.number(4, offset_place).number(5, static_cast<Index>(offset_indexes[number].size()), 5);
        chunk.number(6, column_place).number(7, static_cast<Index>(column_indexes[number].size()), 5);
        offset_place += static_cast<Index>(offset_indexes[number].size());
        column_place += static_cast<Index>(column_indexes[number].size());
      }
      chunks.push_back(chunk);
    }
    const Index begin = begins[static_cast<std::size_t>(group - first)].front();
    groups.push_back(Structure()
                         .list(1, chunks)
                         .number(2, 77)
                         .number(3, 100 + group)
                         .number(5, begin)
                         .number(7, group - first, 4));
  }
  std::int64_t rows = 0;
  for (int group = first; group < end; ++group) rows += 100 + group;
  made.footer = Structure()
                    .number(1, 2, 5)
                    .list(2, {Structure().text(4, "schema"), Structure().text(4, "x")})
                    .number(3, rows)
                    .list(4, groups)
                    .list(5, {Structure().text(1, "ARROW:schema").text(2, "…")})
                    .text(6, "by hand")
                    .done();
  return made;
}

std::string end_text(const End& end) {
  std::string text = end.indexes + end.footer;
  for (unsigned shift = 0; shift < 32; shift += 8)
    text.push_back(static_cast<char>(end.footer.size() >> shift & 255U));
  return text + "PAR1";
}

std::string joined(const std::vector<int>& cuts, bool indexed) {
  std::vector<End> ends;
  for (std::size_t i = 0; i + 1 < cuts.size(); ++i) ends.push_back(end_of(cuts[i], cuts[i + 1], indexed));
  std::vector<ParquetPart> parts;
  Index place = kBegin;
  for (const auto& end : ends) {
    parts.push_back({end.indexes, end.footer, end.pages_end, place - kBegin});
    place += end.pages_end - kBegin;
  }
  return join_parquet_ends(parts, place);
}

TEST(parquet_footer, is_that_of_one_writer) {
  for (const bool indexed : {false, true})
    for (const auto& cuts : std::vector<std::vector<int>>{
             {0, 1}, {0, 2, 3}, {0, 1, 2, 9, 14}, {0, 14, 15}, {0, 7, 20, 40}, {0, 200}}) {
      const std::string expected = end_text(end_of(0, cuts.back(), indexed));
      EXPECT_EQ(joined(cuts, indexed), expected) << cuts.back() << " row groups in " << cuts.size() - 1;
    }
}

TEST(parquet_footer, says_where_pages_end) {
  for (const bool indexed : {false, true}) {
    const End end = end_of(0, 5, indexed);
    EXPECT_EQ(find_pages_end(end.footer, end.pages_end + static_cast<Index>(end.indexes.size())),
              end.pages_end);
  }
}

TEST(parquet_footer, that_is_none_is_refused) {
  const End end = end_of(0, 3, true);
  const auto join = [&](std::string_view indexes, std::string_view footer) {
    const ParquetPart part{indexes, footer, end.pages_end, 10};
    return join_parquet_ends({&part, 1}, end.pages_end + 10);
  };
  EXPECT_NO_THROW(join(end.indexes, end.footer));
  for (std::size_t length = 0; length < end.footer.size(); ++length)
    EXPECT_THROW(join(end.indexes, std::string_view(end.footer).substr(0, length)), std::runtime_error);
  EXPECT_THROW(join(std::string_view(end.indexes).substr(0, end.indexes.size() - 1), end.footer),
               std::runtime_error);
  EXPECT_THROW(join(end.indexes, "\x0b"), std::runtime_error);  // a map
  EXPECT_THROW(join(end.indexes, std::string(12, '\xff')), std::runtime_error);
}

}  // namespace
}  // namespace firesteel
