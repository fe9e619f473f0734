// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstring>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "firesteel/core/error.hpp"
#include "firesteel/core/index.hpp"

namespace firesteel {

namespace detail {
/// Whether equal values have equal bytes: nothing between or behind their parts is left to chance.
template <class T>
inline constexpr bool kNoPadding =
    std::has_unique_object_representations_v<T> || std::is_same_v<T, double> || std::is_same_v<T, float>;
}  // namespace detail

/// Appends values to a buffer.
class ByteWriter {
 public:
  /// `for_comparison`: values that may have padding, whose bytes are left to chance, are written as zeros.
  explicit ByteWriter(bool for_comparison = false) : for_comparison_(for_comparison) {}

  /// Trivially copyable values as they lie.
  template <class T>
  void flat(const T* values, std::size_t count) {
    if constexpr (!detail::kNoPadding<T>)
      if (for_comparison_) return buffer_.resize(buffer_.size() + count * sizeof(T));
    bytes(values, count * sizeof(T));
  }
  void bytes(const void* data, std::size_t count) {
    if (count == 0) return;
    const std::size_t end = buffer_.size();
    buffer_.resize(end + count);
    std::memcpy(buffer_.data() + end, data, count);
  }
  template <class T>
  void write(const T& value);

  std::span<const std::byte> buffer() const { return buffer_; }
  std::vector<std::byte> take() { return std::move(buffer_); }

 private:
  std::vector<std::byte> buffer_;
  bool for_comparison_;
};

/// Reads values back in the order they were written. Throws internal_error past the end.
class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> rest) : rest_(rest) {}

  void bytes(void* data, std::size_t count) {
    if (count > rest_.size()) throw internal_error("a serialised value ends early: its Serializer is wrong");
    if (count > 0) std::memcpy(data, rest_.data(), count);
    rest_ = rest_.subspan(count);
  }
  template <class T>
  T read();

  bool at_end() const { return rest_.empty(); }
  std::size_t left() const { return rest_.size(); }

 private:
  std::span<const std::byte> rest_;
};

/// How a value travels between ranks. Specialise it for your own type:
///   template <> struct firesteel::Serializer<Point> {
///     static void write(ByteWriter& out, const Point& p) { out.write(p.name); out.write(p.x); }
///     static Point read(ByteReader& in) {
///       auto name = in.read<std::string>();
///       return {std::move(name), in.read<double>()};
///     }
///   };
/// Given here: trivially copyable types, std::string, vector, optional, pair, tuple, map of such. Pointers
/// and views are refused: what they point to would stay behind.
template <class T>
struct Serializer;

template <class T>
concept Serializable = requires(ByteWriter& out, ByteReader& in, const T& value) {
  Serializer<T>::write(out, value);
  { Serializer<T>::read(in) } -> std::same_as<T>;
};

namespace detail {
template <class T>
struct IsView : std::is_pointer<T> {};
template <class C, class Traits>
struct IsView<std::basic_string_view<C, Traits>> : std::true_type {};
template <class T, std::size_t N>
struct IsView<std::span<T, N>> : std::true_type {};
}  // namespace detail

/// Travels as its bytes.
template <class T>
concept Flat = std::is_trivially_copyable_v<T> && !detail::IsView<T>::value;

template <Flat T>
struct Serializer<T> {
  static void write(ByteWriter& out, const T& value) { out.flat(&value, 1); }
  static T read(ByteReader& in) {
    std::array<std::byte, sizeof(T)> bytes;
    in.bytes(bytes.data(), bytes.size());
    return std::bit_cast<T>(bytes);
  }
};

template <>
struct Serializer<std::string> {
  static void write(ByteWriter& out, const std::string& text) {
    out.write(static_cast<Index>(text.size()));
    out.bytes(text.data(), text.size());
  }
  static std::string read(ByteReader& in) {
    std::string text(static_cast<std::size_t>(in.read<Index>()), '\0');
    in.bytes(text.data(), text.size());
    return text;
  }
};

template <Serializable T>
struct Serializer<std::vector<T>> {
  static constexpr bool kBulk = Flat<T> && !std::is_same_v<T, bool> && std::default_initializable<T>;

  static void write(ByteWriter& out, const std::vector<T>& values) {
    out.write(static_cast<Index>(values.size()));
    if constexpr (kBulk)
      out.flat(values.data(), values.size());
    else
      for (const auto& value : values) out.write(static_cast<const T&>(value));
  }
  static std::vector<T> read(ByteReader& in) {
    const auto count = static_cast<std::size_t>(in.read<Index>());
    std::vector<T> values;
    if constexpr (kBulk) {
      values.resize(count);
      in.bytes(values.data(), count * sizeof(T));
    } else {
      values.reserve(count);
      for (std::size_t i = 0; i < count; ++i) values.push_back(in.read<T>());
    }
    return values;
  }
};

template <Serializable T>
requires(!Flat<std::optional<T>>) struct Serializer<std::optional<T>> {
  static void write(ByteWriter& out, const std::optional<T>& value) {
    out.write(value.has_value());
    if (value) out.write(*value);
  }
  static std::optional<T> read(ByteReader& in) {
    if (!in.read<bool>()) return std::nullopt;
    return in.read<T>();
  }
};

template <Serializable A, Serializable B>
requires(!Flat<std::pair<A, B>>) struct Serializer<std::pair<A, B>> {
  static void write(ByteWriter& out, const std::pair<A, B>& value) {
    out.write(value.first);
    out.write(value.second);
  }
  static std::pair<A, B> read(ByteReader& in) {
    auto first = in.read<A>();
    return {std::move(first), in.read<B>()};
  }
};

template <Serializable... Ts>
requires(!Flat<std::tuple<Ts...>>) struct Serializer<std::tuple<Ts...>> {
  static void write(ByteWriter& out, const std::tuple<Ts...>& value) {
    std::apply([&](const auto&... parts) { (out.write(parts), ...); }, value);
  }
  static std::tuple<Ts...> read(ByteReader& in) {
    return std::tuple<Ts...>{in.read<Ts>()...};  // braces: left to right
  }
};

template <Serializable K, Serializable V>
struct Serializer<std::map<K, V>> {
  static void write(ByteWriter& out, const std::map<K, V>& values) {
    out.write(static_cast<Index>(values.size()));
    for (const auto& [key, value] : values) {
      out.write(key);
      out.write(value);
    }
  }
  static std::map<K, V> read(ByteReader& in) {
    std::map<K, V> values;
    for (auto count = in.read<Index>(); count > 0; --count) {
      auto key = in.read<K>();
      values.emplace_hint(values.end(), std::move(key), in.read<V>());
    }
    return values;
  }
};

template <class T>
void ByteWriter::write(const T& value) {
  Serializer<T>::write(*this, value);
}

template <class T>
T ByteReader::read() {
  return Serializer<T>::read(*this);
}

}  // namespace firesteel
