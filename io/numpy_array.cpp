// SPDX-License-Identifier: Apache-2.0
// The .npy format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
#include "firesteel/io/numpy_array.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <type_traits>

#include "firesteel/core/error.hpp"
#include "firesteel/core/parameters.hpp"

namespace firesteel {

namespace {

static_assert(std::endian::native == std::endian::little && sizeof(long double) == 16);

constexpr std::string_view kMagic = "\x93NUMPY";

/// Reads the Python dictionary of a header: text, True/False and a tuple of whole numbers are all it holds.
class DictionaryParser {
 public:
  explicit DictionaryParser(std::string_view text) : rest_(text) {}

  void parse(std::string& descr, std::optional<bool>& fortran, std::optional<std::vector<Index>>& shape) {
    expect('{');
    while (!accept('}')) {
      const std::string key = quoted();
      expect(':');
      if (key == "descr")
        descr = description();
      else if (key == "fortran_order")
        fortran = boolean();
      else if (key == "shape")
        shape = tuple();
      else
        wrong();
      if (!accept(',')) {
        expect('}');
        return;
      }
    }
  }

 private:
  [[noreturn]] void wrong() const { throw bad_input("the header of the .npy array is damaged"); }

  void skip_blanks() {
    while (!rest_.empty() && (rest_.front() == ' ' || rest_.front() == '\n')) rest_.remove_prefix(1);
  }
  bool accept(char c) {
    skip_blanks();
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void expect(char c) {
    if (!accept(c)) wrong();
  }

  std::string quoted() {
    skip_blanks();
    if (rest_.empty() || (rest_.front() != '\'' && rest_.front() != '"')) wrong();
    const char quote = rest_.front();
    const auto end = rest_.find(quote, 1);
    if (end == std::string_view::npos) wrong();
    const std::string text(rest_.substr(1, end - 1));
    rest_.remove_prefix(end + 1);
    return text;
  }
  std::string description() {
    skip_blanks();
    if (rest_.starts_with('['))
      throw bad_input("the .npy array holds records: save its columns as arrays of numbers (numpy.savez)");
    return quoted();
  }
  bool boolean() {
    skip_blanks();
    for (const auto& [word, value] : {std::pair(std::string_view("True"), true), {"False", false}})
      if (rest_.starts_with(word)) {
        rest_.remove_prefix(word.size());
        return value;
      }
    wrong();
  }
  std::vector<Index> tuple() {
    std::vector<Index> values;
    expect('(');
    while (!accept(')')) {
      skip_blanks();
      std::size_t digits = 0;
      while (digits < rest_.size() && rest_[digits] >= '0' && rest_[digits] <= '9') ++digits;
      const auto value = parse_integer(rest_.substr(0, digits));
      if (!value || values.size() == 32) wrong();
      values.push_back(*value);
      rest_.remove_prefix(digits);
      if (rest_.starts_with('L')) rest_.remove_prefix(1);  // as Python 2 wrote them
      if (!accept(',')) {
        expect(')');
        break;
      }
    }
    return values;
  }

  std::string_view rest_;
};

void set_type(NumpyHeader& header, const std::string& descr) {
  const auto refuse = [&](const std::string& why) {
    throw bad_input("the .npy array holds values of type '" + descr + "'" + why);
  };
  if (descr.size() < 2 || std::string_view("<>|=").find(descr.front()) == std::string_view::npos)
    refuse(", which is not known");
  const char kind = descr[1];
  if (kind == 'O') refuse(": Python objects are not read; save numbers or texts");
  if (kind == 'c') refuse(": complex numbers are not read");
  const auto length = parse_integer(std::string_view(descr).substr(2));
  if (!length || *length < 0 || *length > (1 << 20)) refuse(", which is not read");
  struct Known {
    char kind;
    Index bytes;
    NumpyType type;
  };
  static constexpr std::array<Known, 13> kKnown{{{'b', 1, NumpyType::boolean},
                                                 {'i', 1, NumpyType::int8},
                                                 {'i', 2, NumpyType::int16},
                                                 {'i', 4, NumpyType::int32},
                                                 {'i', 8, NumpyType::int64},
                                                 {'u', 1, NumpyType::uint8},
                                                 {'u', 2, NumpyType::uint16},
                                                 {'u', 4, NumpyType::uint32},
                                                 {'u', 8, NumpyType::uint64},
                                                 {'f', 2, NumpyType::float16},
                                                 {'f', 4, NumpyType::float32},
                                                 {'f', 8, NumpyType::float64},
                                                 {'f', 16, NumpyType::extended}}};
  header.swapped = descr.front() == '>';
  header.value_bytes = *length;
  if (kind == 'S' || kind == 'U') {
    header.type = kind == 'S' ? NumpyType::bytes : NumpyType::unicode;
    header.value_bytes = *length * (kind == 'U' ? 4 : 1);
    return;
  }
  const auto* known = std::find_if(kKnown.begin(), kKnown.end(), [&](const Known& each) {
    return each.kind == kind && each.bytes == *length;
  });
  if (known == kKnown.end()) refuse(": numbers and texts are read");
  header.type = known->type;
  if (header.type == NumpyType::extended && header.swapped) refuse(": numbers and texts are read");
}

/// IEEE half precision as double.
double half_to_double(std::uint16_t half) {
  const int exponent = (half >> 10) & 0x1f;
  const int mantissa = half & 0x3ff;
  double value = 0;
  if (exponent == 0x1f)
    value =
        mantissa == 0 ? std::numeric_limits<double>::infinity() : std::numeric_limits<double>::quiet_NaN();
  else if (exponent == 0)
    value = std::ldexp(mantissa, -24);
  else
    value = std::ldexp(mantissa + 0x400, exponent - 25);
  return (half & 0x8000) != 0 ? -value : value;
}

template <class Stored, class T>
void convert(const unsigned char* bytes, bool swapped, Index count, T* out) {
  for (Index i = 0; i < count; ++i) {
    std::array<unsigned char, sizeof(Stored)> value;
    std::memcpy(value.data(), bytes + i * static_cast<Index>(sizeof(Stored)), sizeof(Stored));
    if (swapped) std::reverse(value.begin(), value.end());
    out[i] = static_cast<T>(std::bit_cast<Stored>(value));
  }
}

template <class T>
void values_as(const NumpyHeader& header, const unsigned char* bytes, Index count, T* out) {
  switch (header.type) {
    case NumpyType::boolean:
    case NumpyType::uint8:
      return convert<std::uint8_t>(bytes, false, count, out);
    case NumpyType::int8:
      return convert<std::int8_t>(bytes, false, count, out);
    case NumpyType::int16:
      return convert<std::int16_t>(bytes, header.swapped, count, out);
    case NumpyType::int32:
      return convert<std::int32_t>(bytes, header.swapped, count, out);
    case NumpyType::int64:
      return convert<std::int64_t>(bytes, header.swapped, count, out);
    case NumpyType::uint16:
      return convert<std::uint16_t>(bytes, header.swapped, count, out);
    case NumpyType::uint32:
      return convert<std::uint32_t>(bytes, header.swapped, count, out);
    case NumpyType::uint64:
      return convert<std::uint64_t>(bytes, header.swapped, count, out);
    default:
      break;
  }
  if constexpr (std::is_same_v<T, double>) {
    switch (header.type) {
      case NumpyType::float16: {
        std::vector<std::uint16_t> halves(static_cast<std::size_t>(count));
        convert<std::uint16_t>(bytes, header.swapped, count, halves.data());
        std::transform(halves.begin(), halves.end(), out, half_to_double);
        return;
      }
      case NumpyType::float32:
        return convert<float>(bytes, header.swapped, count, out);
      case NumpyType::float64:
        return convert<double>(bytes, header.swapped, count, out);
      case NumpyType::extended:
        for (Index i = 0; i < count; ++i) {
          long double value = 0;
          std::memcpy(&value, bytes + 16 * i, sizeof value);
          out[i] = static_cast<double>(value);
        }
        return;
      default:
        break;
    }
  }
  throw internal_error("values of a .npy array are not of this kind");
}

void append_utf8(std::string& out, std::uint32_t code) {
  const auto byte = [&](std::uint32_t bits) { out += static_cast<char>(bits); };
  if (code < 0x80) {
    byte(code);
  } else if (code < 0x800) {
    byte(0xc0 | (code >> 6));
    byte(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    byte(0xe0 | (code >> 12));
    byte(0x80 | ((code >> 6) & 0x3f));
    byte(0x80 | (code & 0x3f));
  } else {
    byte(0xf0 | ((code >> 18) & 7));
    byte(0x80 | ((code >> 12) & 0x3f));
    byte(0x80 | ((code >> 6) & 0x3f));
    byte(0x80 | (code & 0x3f));
  }
}

}  // namespace

Index NumpyHeader::values() const {
  Index product = 1;
  for (const Index extent : shape) product *= extent;
  return product;
}

Index numpy_header_bytes(std::string_view prefix) {
  if (prefix.size() < static_cast<std::size_t>(kNumpyPrefixBytes) || !prefix.starts_with(kMagic)) return 0;
  const auto byte = [&](std::size_t i) { return static_cast<Index>(static_cast<unsigned char>(prefix[i])); };
  if (byte(6) == 1) return 10 + byte(8) + (byte(9) << 8);
  if (byte(6) == 2 || byte(6) == 3)
    return 12 + byte(8) + (byte(9) << 8) + (byte(10) << 16) + (byte(11) << 24);
  return 0;
}

NumpyHeader parse_numpy_header(std::string_view header) {
  NumpyHeader parsed;
  parsed.header_bytes = numpy_header_bytes(header);
  if (parsed.header_bytes == 0) throw bad_input("not a .npy array");
  if (parsed.header_bytes > static_cast<Index>(header.size()))
    throw bad_input("the header of the .npy array is cut short");
  const std::size_t before = header[6] == 1 ? 10 : 12;
  std::string descr;
  std::optional<bool> fortran;
  std::optional<std::vector<Index>> shape;
  DictionaryParser(header.substr(before, static_cast<std::size_t>(parsed.header_bytes) - before))
      .parse(descr, fortran, shape);
  if (descr.empty() || !fortran || !shape) throw bad_input("the header of the .npy array is damaged");
  set_type(parsed, descr);
  parsed.fortran_order = *fortran;
  parsed.shape = std::move(*shape);
  Index bytes = std::max<Index>(1, parsed.value_bytes);
  for (const Index extent : parsed.shape) {
    if (extent != 0 && bytes > std::numeric_limits<Index>::max() / extent)
      throw bad_input("the .npy array has a shape beyond 63 bits");
    bytes *= extent;
  }
  return parsed;
}

std::string make_numpy_header(const std::string& descr, const std::vector<Index>& shape) {
  std::string text = "{'descr': '" + descr + "', 'fortran_order': False, 'shape': (";
  for (const Index extent : shape) text += std::to_string(extent) + (shape.size() == 1 ? "," : ", ");
  if (shape.size() > 1) text.resize(text.size() - 2);
  text += "), }";
  constexpr std::size_t kBefore = 10;
  while ((kBefore + text.size() + 1) % 64 != 0) text += ' ';
  text += '\n';
  std::string header(kMagic);
  header += {'\x01', '\0', static_cast<char>(text.size() & 0xff), static_cast<char>(text.size() >> 8)};
  return header + text;
}

void numpy_values(const NumpyHeader& header, const unsigned char* bytes, Index count, double* out) {
  values_as(header, bytes, count, out);
}
void numpy_values(const NumpyHeader& header, const unsigned char* bytes, Index count, std::int64_t* out) {
  values_as(header, bytes, count, out);
}
void numpy_values(const NumpyHeader& header, const unsigned char* bytes, Index count, std::uint64_t* out) {
  values_as(header, bytes, count, out);
}

std::string numpy_text(const NumpyHeader& header, const unsigned char* bytes) {
  const auto length = static_cast<std::size_t>(header.value_bytes);
  if (header.type == NumpyType::bytes) {
    std::string text(reinterpret_cast<const char*>(bytes), length);
    text.erase(text.find_last_not_of('\0') + 1);
    return text;
  }
  std::vector<std::uint32_t> codes(length / 4);
  convert<std::uint32_t>(bytes, header.swapped, static_cast<Index>(codes.size()), codes.data());
  while (!codes.empty() && codes.back() == 0) codes.pop_back();
  std::string text;
  for (const std::uint32_t code : codes) append_utf8(text, code);
  return text;
}

}  // namespace firesteel
