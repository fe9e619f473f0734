// SPDX-License-Identifier: Apache-2.0
// Arrow can append row groups to a footer, but leaves their places as they were. So indexes and footer are
// written again, field by field: places, lengths and counts are looked at, what else there is is copied.
#include "firesteel/io/arrow/parquet_footer.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <utility>

namespace firesteel {

namespace {

/// Types of fields in Thrift's compact protocol.
enum Type : unsigned { stop, yes, no, byte, i16, i32, i64, real, binary, list, set, map, structure };

/// Fields of Parquet's structures that are changed.
namespace field {
enum File : int { num_rows = 3, row_groups = 4 };
enum RowGroup : int { columns = 1, group_offset = 5, ordinal = 7 };
enum ColumnChunk : int {
  chunk_offset = 2,
  meta_data = 3,
  offset_index = 4,
  offset_index_length = 5,
  column_index = 6,
  column_index_length = 7
};
enum ColumnMetaData : int { data_page = 9, index_page = 10, dictionary_page = 11 };
enum OffsetIndex : int { page_locations = 1 };
enum PageLocation : int { page_offset = 1 };
}  // namespace field

/// Reads one footer and writes it, changed, to a text.
class Copier {
 public:
  Copier(std::string_view from, std::string& to) : from_(from), to_(&to) {}

  /// Copies a structure; special(field, type) returns true where it has copied the value itself.
  template <class Special>
  void copy_structure(Special&& special) {
    int number = 0;
    for (;;) {
      const unsigned head = read_byte();
      if ((head & 15U) == stop) return put(static_cast<char>(stop));
      put(static_cast<char>(head));
      const unsigned step = head >> 4U;
      number = step > 0 ? number + static_cast<int>(step) : static_cast<int>(copy_number(0));
      if (!special(number, head & 15U)) copy(head & 15U);
    }
  }
  /// A list's type of values, after its number of values; `more` are added to the number that is written.
  std::pair<std::uint64_t, unsigned> copy_list_head(std::uint64_t more = 0) {
    const unsigned head = read_byte();
    const std::uint64_t count = head >> 4U == 15 ? read_varint() : head >> 4U;
    put_list_head(count + more, head & 15U);
    return {count, head & 15U};
  }
  std::int64_t read_number() {
    const std::uint64_t bits = read_varint();
    return static_cast<std::int64_t>(bits >> 1U) ^ -static_cast<std::int64_t>(bits & 1U);
  }
  bool put_number(std::int64_t value) {
    put_varint((static_cast<std::uint64_t>(value) << 1U) ^ static_cast<std::uint64_t>(value >> 63));
    return true;
  }
  bool replace_number(std::int64_t value) {
    read_number();
    return put_number(value);
  }
  std::int64_t copy_number(std::int64_t plus) {
    const std::int64_t value = read_number();
    put_number(value + plus);
    return value;
  }
  /// 0 and −1 are no places.
  bool copy_place(Index shift) {
    const std::int64_t value = read_number();
    return put_number(value > 0 ? value + shift : value);
  }
  void write_to(std::string& to) { to_ = &to; }

 private:
  void copy(unsigned type) {
    switch (type) {
      case yes:
      case no:
        return;
      case byte:
        return put(static_cast<char>(read_byte()));
      case i16:
      case i32:
      case i64:
        copy_number(0);
        return;
      case real:
        return copy_bytes(8);
      case binary: {
        const std::uint64_t length = read_varint();
        put_varint(length);
        return copy_bytes(length);
      }
      case list:
      case set: {
        const auto [count, values] = copy_list_head();
        for (std::uint64_t i = 0; i < count; ++i) copy(values == yes || values == no ? byte : values);
        return;
      }
      case structure:
        return copy_structure([](int, unsigned) { return false; });
      default:  // Parquet has no maps
        throw std::runtime_error("a Parquet footer with a field of type " + std::to_string(type));
    }
  }

  unsigned read_byte() {
    if (at_ >= from_.size()) throw std::runtime_error("a Parquet footer that is cut short");
    return static_cast<unsigned char>(from_[at_++]);
  }
  std::uint64_t read_varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const unsigned next = read_byte();
      value |= static_cast<std::uint64_t>(next & 127U) << shift;
      if (next < 128) return value;
    }
    throw std::runtime_error("a Parquet footer with a number of more than 64 bits");
  }
  void copy_bytes(std::uint64_t count) {
    if (count > from_.size() - at_) throw std::runtime_error("a Parquet footer that is cut short");
    to_->append(from_, at_, count);
    at_ += count;
  }
  void put(char value) { to_->push_back(value); }
  void put_varint(std::uint64_t value) {
    for (; value > 127; value >>= 7U) put(static_cast<char>((value & 127U) | 128U));
    put(static_cast<char>(value));
  }
  void put_list_head(std::uint64_t count, unsigned type) {
    put(static_cast<char>((count < 15 ? count << 4U : 15U << 4U) | type));
    if (count >= 15) put_varint(count);
  }

  std::string_view from_;
  std::size_t at_ = 0;
  std::string* to_;
};

/// Looks for places of indexes in a footer.
class Scan {
 public:
  explicit Scan(std::string_view footer) : copier_(footer, unused_) {
    copier_.copy_structure([&](int number, unsigned) {
      if (number == field::num_rows) return keep(rows, copier_.copy_number(0));
      if (number != field::row_groups) return false;
      groups = copier_.copy_list_head().first;
      for (std::uint64_t i = 0; i < groups; ++i) scan_group();
      return true;
    });
  }

  std::int64_t rows = 0;
  std::uint64_t groups = 0;
  std::int64_t first_index = std::numeric_limits<std::int64_t>::max();
  std::int64_t column_index_bytes = 0;

 private:
  static bool keep(std::int64_t& to, std::int64_t value) {
    to = value;
    return true;
  }
  void scan_group() {
    copier_.copy_structure([&](int number, unsigned) {
      if (number != field::columns) return false;
      const auto chunks = copier_.copy_list_head().first;
      for (std::uint64_t i = 0; i < chunks; ++i) scan_chunk();
      return true;
    });
  }
  void scan_chunk() {
    copier_.copy_structure([&](int number, unsigned) {
      if (number == field::offset_index || number == field::column_index)
        return keep(first_index, std::min(first_index, copier_.copy_number(0)));
      if (number == field::column_index_length)
        return keep(column_index_bytes, column_index_bytes + copier_.copy_number(0));
      return false;
    });
  }

  std::string unused_;
  Copier copier_;
};

/// Writes the indexes and the footer of all parts.
class Joiner {
 public:
  Joiner(std::span<const ParquetPart> parts, Index pages_end) : column_place_(pages_end) {
    offset_place_ = pages_end;
    std::uint64_t more_groups = 0;
    std::int64_t rows = 0;
    for (const auto& part : parts) {
      const Scan scan(part.footer);
      offset_place_ += scan.column_index_bytes;
      if (&part != parts.data()) more_groups += scan.groups;
      rows += scan.rows;
    }
    part_ = parts.data();
    Copier first(part_->footer, footer_);
    first.copy_structure([&](int number, unsigned) {
      if (number == field::num_rows) return first.replace_number(rows);
      if (number != field::row_groups) return false;
      copy_groups(first, first.copy_list_head(more_groups).first);
      for (const auto& part : parts.subspan(1)) copy_groups_of(part);
      part_ = parts.data();
      return true;
    });
  }

  std::string text() const {
    std::string all = column_indexes_ + offset_indexes_ + footer_;
    for (unsigned shift = 0; shift < 32; shift += 8)
      all.push_back(static_cast<char>((footer_.size() >> shift) & 255U));
    return all + "PAR1";
  }

 private:
  void copy_groups_of(const ParquetPart& part) {
    part_ = &part;
    std::string unused;
    Copier copier(part.footer, unused);
    copier.copy_structure([&](int number, unsigned) {
      if (number != field::row_groups) return false;
      const auto groups = copier.copy_list_head().first;
      copier.write_to(footer_);
      copy_groups(copier, groups);
      copier.write_to(unused);
      return true;
    });
  }
  void copy_groups(Copier& copier, std::uint64_t groups) {
    for (std::uint64_t i = 0; i < groups; ++i)
      copier.copy_structure([&](int number, unsigned) {
        if (number == field::group_offset) return copier.copy_place(part_->shift);
        // As Arrow counts beyond 32767.
        if (number == field::ordinal) return copier.replace_number(static_cast<std::int16_t>(ordinal_++));
        if (number != field::columns) return false;
        const auto chunks = copier.copy_list_head().first;
        for (std::uint64_t chunk = 0; chunk < chunks; ++chunk) copy_chunk(copier);
        return true;
      });
  }
  void copy_chunk(Copier& copier) {
    std::int64_t offset_index = 0;
    std::int64_t column_index = 0;
    copier.copy_structure([&](int number, unsigned) {
      switch (number) {
        case field::chunk_offset:
          return copier.copy_place(part_->shift);
        case field::meta_data:
          copier.copy_structure([&](int inner, unsigned) {
            const bool place =
                inner == field::data_page || inner == field::index_page || inner == field::dictionary_page;
            return place && copier.copy_place(part_->shift);
          });
          return true;
        case field::offset_index:
          offset_index = copier.read_number();
          return copier.put_number(offset_place_);
        case field::offset_index_length: {
          const std::size_t before = offset_indexes_.size();
          copy_offset_index(index_at(offset_index, copier.read_number()));
          const auto length = static_cast<std::int64_t>(offset_indexes_.size() - before);
          offset_place_ += length;
          return copier.put_number(length);
        }
        case field::column_index:
          column_index = copier.read_number();
          return copier.put_number(column_place_);
        case field::column_index_length: {
          const std::int64_t length = copier.copy_number(0);
          column_indexes_ += index_at(column_index, length);
          column_place_ += length;
          return true;
        }
        default:
          return false;
      }
    });
  }
  std::string_view index_at(std::int64_t place, std::int64_t length) const {
    const std::int64_t at = place - part_->pages_end;
    if (at < 0 || length < 0 || length > static_cast<std::int64_t>(part_->indexes.size()) - at)
      throw std::runtime_error("a Parquet footer whose indexes lie elsewhere");
    return part_->indexes.substr(static_cast<std::size_t>(at), static_cast<std::size_t>(length));
  }
  void copy_offset_index(std::string_view index) {
    Copier copier(index, offset_indexes_);
    copier.copy_structure([&](int number, unsigned) {
      if (number != field::page_locations) return false;
      const auto pages = copier.copy_list_head().first;
      for (std::uint64_t i = 0; i < pages; ++i)
        copier.copy_structure([&](int inner, unsigned) {
          return inner == field::page_offset && copier.copy_place(part_->shift);
        });
      return true;
    });
  }

  const ParquetPart* part_ = nullptr;
  Index column_place_;
  Index offset_place_ = 0;
  std::int64_t ordinal_ = 0;
  std::string column_indexes_;
  std::string offset_indexes_;
  std::string footer_;
};

}  // namespace

Index find_pages_end(std::string_view footer, Index footer_begin) {
  return std::min<Index>(footer_begin, Scan(footer).first_index);
}

std::string join_parquet_ends(std::span<const ParquetPart> parts, Index pages_end) {
  return Joiner(parts, pages_end).text();
}

}  // namespace firesteel
