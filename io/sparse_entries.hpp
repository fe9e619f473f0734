// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "firesteel/core/error.hpp"
#include "firesteel/core/index.hpp"

namespace firesteel {

/// The sparse features of a packed row (typed_rows.hpp): their number (32 bits), columns (32 bits each,
/// ascending) and values (double), without padding.
template <class Value>
void append_entries(std::string& row, std::span<const std::int32_t> columns, std::span<const Value> values) {
  const auto count = static_cast<std::uint32_t>(columns.size());
  row.reserve(row.size() + 4 + 12 * columns.size());
  row.append(reinterpret_cast<const char*>(&count), sizeof count);
  row.append(reinterpret_cast<const char*>(columns.data()), columns.size_bytes());
  for (const Value value : values) {
    const auto number = static_cast<double>(value);
    row.append(reinterpret_cast<const char*>(&number), sizeof number);
  }
}

/// Reads them where they lie.
class EntriesView {
 public:
  /// Throws internal_error for bytes that are no entries.
  explicit EntriesView(std::string_view bytes) : bytes_(bytes) {
    std::uint32_t count = 0;
    if (bytes.size() >= sizeof count) std::memcpy(&count, bytes.data(), sizeof count);
    count_ = count;
    if (bytes.size() != 4 + 12 * count_) throw internal_error("the entries of a packed row end early");
  }

  std::size_t count() const { return count_; }
  std::int32_t column(std::size_t i) const { return read<std::int32_t>(4 + 4 * i); }
  double value(std::size_t i) const { return read<double>(4 + 4 * count_ + 8 * i); }
  /// The value of a column; 0 where it has no entry.
  double at(Index column_number) const {
    std::size_t low = 0;
    std::size_t high = count_;
    while (low < high) {
      const std::size_t middle = low + (high - low) / 2;
      if (column(middle) < column_number)
        low = middle + 1;
      else
        high = middle;
    }
    return low < count_ && column(low) == column_number ? value(low) : 0.0;
  }

 private:
  template <class T>
  T read(std::size_t offset) const {
    T value;
    std::memcpy(&value, bytes_.data() + offset, sizeof value);
    return value;
  }

  std::string_view bytes_;
  std::size_t count_ = 0;
};

}  // namespace firesteel
