// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "firesteel/core/index.hpp"

namespace firesteel {

/// The kinds of values of a .npy array that are read.
enum class NumpyType : std::uint8_t {
  boolean,
  int8,
  int16,
  int32,
  int64,
  uint8,
  uint16,
  uint32,
  uint64,
  float16,
  float32,
  float64,
  extended,  ///< x86's 80 bits in 16 bytes
  bytes,     ///< texts of fixed length, padded with zeros
  unicode    ///< the same in UTF-32
};

/// What the header of a .npy array says.
struct NumpyHeader {
  NumpyType type = NumpyType::float64;
  bool swapped = false;  ///< big-endian
  bool fortran_order = false;
  std::vector<Index> shape;
  Index value_bytes = 0;
  Index header_bytes = 0;  ///< values begin here

  bool is_text() const { return type == NumpyType::bytes || type == NumpyType::unicode; }
  bool is_real() const { return type >= NumpyType::float16 && type <= NumpyType::extended; }
  bool is_unsigned() const { return type >= NumpyType::uint8 && type <= NumpyType::uint64; }
  /// Product of the shape.
  Index values() const;
};

inline constexpr Index kNumpyPrefixBytes = 12;  ///< enough for numpy_header_bytes()
inline constexpr Index kMostNumpyHeaderBytes = Index{1} << 20;

/// Length of the header (magic, version, dictionary) from its first 12 bytes; 0: no .npy array.
Index numpy_header_bytes(std::string_view prefix);

/// Parses a whole header (format versions 1 to 3). Throws bad_input without a place: not .npy, a type that is
/// not read (objects, complex, dates, records: with the remedy), a shape beyond 63 bits.
NumpyHeader parse_numpy_header(std::string_view header);

/// A header for an array of `descr` ("<f8", …), version 1.0, padded to 64 bytes.
std::string make_numpy_header(const std::string& descr, const std::vector<Index>& shape);

/// Values of `header`'s type, as they lie in a file, as T.
void numpy_values(const NumpyHeader& header, const unsigned char* bytes, Index count, double* out);
void numpy_values(const NumpyHeader& header, const unsigned char* bytes, Index count, std::int64_t* out);
void numpy_values(const NumpyHeader& header, const unsigned char* bytes, Index count, std::uint64_t* out);
/// One text, without its padding, in UTF-8.
std::string numpy_text(const NumpyHeader& header, const unsigned char* bytes);

}  // namespace firesteel
