// SPDX-License-Identifier: Apache-2.0
// What the fuzz targets share. A target is one file with LLVMFuzzerTestOneInput(); it is linked to libFuzzer
// (preset fuzz) or to replay.cpp, which runs the kept corpus as an ordinary test at several numbers of ranks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "firesteel/core/context.hpp"
#include "firesteel/core/function_ref.hpp"

namespace firesteel::fuzz {

/// All ranks (libFuzzer: the one there is); its monitor keeps warnings, see take_warnings().
const Context& everyone();
/// This rank by itself: what it computes is the reference for everyone().
const Context& alone();
/// The warnings heard since the last call.
std::string take_warnings();

/// Reads choices from the front of an input, then what is left as text. An input that ends early chooses 0.
class Choices {
 public:
  Choices(const std::uint8_t* data, std::size_t size) : rest_(reinterpret_cast<const char*>(data), size) {}
  std::uint8_t byte() {
    if (rest_.empty()) return 0;
    const auto value = static_cast<std::uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    return value;
  }
  bool flag() { return (byte() & 1) != 0; }
  std::size_t below(std::size_t count) { return byte() % count; }
  std::uint64_t number() {
    std::uint64_t value = 0;
    for (int i = 0; i < 8; ++i) value = value << 8 | byte();
    return value;
  }
  template <class T, std::size_t N>
  const T& one_of(const T (&values)[N]) {
    return values[below(N)];
  }
  /// Up to `most` bytes.
  std::string_view bytes(std::size_t most) {
    const auto taken = rest_.substr(0, most);
    rest_.remove_prefix(taken.size());
    return taken;
  }
  std::string_view rest() { return bytes(rest_.size()); }
  bool empty() const { return rest_.empty(); }

 private:
  std::string_view rest_;
};

/// A file in memory, with a name by which code under test can open it again; one at a time.
class MemoryFile {
 public:
  /// `descriptor` is the number it gets on every rank, so that its name is the same everywhere.
  explicit MemoryFile(int descriptor);
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  ~MemoryFile();
  void write(std::string_view bytes) const;
  const std::string& path() const { return path_; }

 private:
  int descriptor_;
  std::string path_;
};

/// What `read` returns, or "error CODE: TEXT" for a firesteel::Error. An internal error, and any other
/// exception, is a bug: it ends the program.
std::string outcome(FunctionRef<std::string()> read);

/// Says what does not hold, and aborts: libFuzzer keeps the input.
[[noreturn]] void broken(const std::string& what);

/// Ends the program if two outcomes, which must be equal, are not.
void require_equal(std::string_view what, const std::string& expected, const std::string& found);

/// Bytes as text: every bit counts, NaN included.
void append_bits(std::string& out, double value);

/// Whether a MemoryLimit lives.
bool counting_memory();
/// Bytes that were taken (or given back, then negative), told by whoever sees them: clang's address
/// sanitizer, or counted_memory.cpp. From any thread.
void note_memory(std::ptrdiff_t bytes);

/// Watches the memory that is held at once from here on; over `limit` bytes at the end of its life is a bug.
/// Does not count under GCC's address sanitizer.
class MemoryLimit {
 public:
  MemoryLimit(std::string_view what, std::size_t limit);
  MemoryLimit(const MemoryLimit&) = delete;
  MemoryLimit& operator=(const MemoryLimit&) = delete;
  ~MemoryLimit();

 private:
  std::string_view what_;
  std::size_t limit_;
};

}  // namespace firesteel::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
