// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "firesteel/core/aligned_vector.hpp"
#include "firesteel/core/index.hpp"

namespace firesteel::detail {

/// Numbers texts in the order in which they first come, without an allocation a text: a slot of 32 bytes
/// holds a text of up to 16 bytes itself, so that most look-ups touch one cache line. Local. Open addressing,
/// at most half full; memory: 64 to 128 bytes a text and its characters.
class TextIndex {
 public:
  /// Longer texts cannot be looked up by sight of their Short.
  static constexpr std::size_t kInside = 16;

  /// A text of at most kInside bytes, without the text: to be looked up later, when its slot has come from
  /// memory.
  struct Short {
    std::uint64_t words[2];
    std::uint64_t hash;
    std::uint32_t length;
  };
  Short look_ahead(std::string_view text) const {
    const Slot slot = words_of(text);
    const Short ahead{{slot.words[0], slot.words[1]}, hash_of(text, slot), slot.length};
    __builtin_prefetch(slots_.data() + (ahead.hash & mask_));
    return ahead;
  }
  Index number(const Short& text) {
    return number({reinterpret_cast<const char*>(text.words), text.length}, text.words[0], text.words[1],
                  text.hash);
  }
  /// The number of `text`, a new one where it was not seen before.
  Index number(std::string_view text) {
    const Slot wanted = words_of(text);
    return number(text, wanted.words[0], wanted.words[1], hash_of(text, wanted));
  }
  Index size() const { return static_cast<Index>(ends_.size()); }
  /// The text of that number. Valid until another is numbered.
  std::string_view text(Index number) const {
    const auto n = static_cast<std::size_t>(number);
    const std::size_t begin = n == 0 ? 0 : ends_[n - 1];
    return {texts_.data() + begin, ends_[n] - begin};
  }
  std::string key(Index number) const { return std::string(text(number)); }
  /// What it holds, about. Local.
  Index bytes() const {
    return static_cast<Index>(slots_.capacity() * sizeof(Slot) + texts_.capacity() +
                              ends_.capacity() * sizeof(std::size_t));
  }

 private:
  struct Slot {
    std::uint64_t words[2] = {0, 0};  ///< the text and zeros; of a longer one the start, and where it is held
    std::uint32_t length = 0;         ///< modulo 2^32: a longer text is compared as a whole
    std::uint32_t tag = 0;            ///< half of the hash
    Index number = -1;                ///< −1: empty
  };

  Index number(std::string_view text, std::uint64_t first, std::uint64_t second, std::uint64_t hash) {
    const auto tag = static_cast<std::uint32_t>(hash >> 32);
    const auto length = static_cast<std::uint32_t>(text.size());
    for (std::size_t place = hash & mask_;; place = (place + 1) & mask_) {
      const Slot& slot = slots_[place];
      if (slot.number < 0) return insert(text, {{first, second}, length, tag, size()}, place);
      if (slot.words[0] == first && slot.length == length && slot.tag == tag &&
          (text.size() <= kInside
               ? slot.words[1] == second
               : std::memcmp(texts_.data() + slot.words[1], text.data(), text.size()) == 0))
        return slot.number;
    }
  }
  [[gnu::noinline]] Index insert(std::string_view text, Slot slot, std::size_t place) {
    if (text.size() > kInside) slot.words[1] = texts_.size();
    texts_.insert(texts_.end(), text.begin(), text.end());
    ends_.push_back(texts_.size());
    slots_[place] = slot;
    if (size() * 2 >= static_cast<Index>(slots_.size())) grow();
    return slot.number;
  }

  template <class Word>
  static std::uint64_t load(const char* from) {
    Word word;
    std::memcpy(&word, from, sizeof word);
    return word;
  }
  /// Two multiplied and folded: every bit of both is in every bit of the result, about.
  static std::uint64_t fold(std::uint64_t a, std::uint64_t b) {
    __extension__ using Wide = unsigned __int128;
    const Wide product = static_cast<Wide>(a) * b;
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
  }

  /// Nothing outside of the text is read.
  static Slot words_of(std::string_view text) {
    const char* const data = text.data();
    const std::size_t length = text.size();
    Slot slot;
    slot.length = static_cast<std::uint32_t>(length);
    if (length >= 8) {
      slot.words[0] = load<std::uint64_t>(data);
      if (length > 8 && length <= kInside)
        slot.words[1] = load<std::uint64_t>(data + length - 8) >> (8 * (16 - length));
    } else if (length >= 4) {
      slot.words[0] = load<std::uint32_t>(data) | load<std::uint32_t>(data + length - 4)
                                                      << (8 * (length - 4));
    } else if (length > 0) {
      const auto byte = [&](std::size_t i) { return std::uint64_t{static_cast<unsigned char>(data[i])}; };
      slot.words[0] =
          byte(0) | byte(length / 2) << (8 * (length / 2)) | byte(length - 1) << (8 * (length - 1));
    }
    return slot;
  }
  static std::uint64_t hash_of(std::string_view text, const Slot& slot) {
    constexpr std::uint64_t kFirst = 0xa0761d6478bd642f;
    constexpr std::uint64_t kSecond = 0xe7037ed1a0b428db;
    std::uint64_t hash = slot.words[0];
    if (text.size() > kInside) {
      std::size_t i = 8;
      for (; i + 8 <= text.size(); i += 8)
        hash = fold(hash ^ kFirst, load<std::uint64_t>(text.data() + i) ^ kSecond);
      return fold(hash ^ kFirst, load<std::uint64_t>(text.data() + text.size() - 8) ^ text.size());
    }
    return fold(hash ^ kFirst, slot.words[1] ^ text.size() ^ kSecond);
  }

  void grow() {
    AlignedVector<Slot> wider(slots_.size() * 2);
    mask_ = wider.size() - 1;
    for (const Slot& slot : slots_) {
      if (slot.number < 0) continue;
      // A long text's second word is its place, not part of it: hash_of does not look at it.
      std::size_t place = hash_of(text(slot.number), slot) & mask_;
      while (wider[place].number >= 0) place = (place + 1) & mask_;
      wider[place] = slot;
    }
    slots_ = std::move(wider);
  }

  static constexpr std::size_t kFirstSlots = 1024;
  AlignedVector<Slot> slots_ = AlignedVector<Slot>(kFirstSlots);  // in huge pages: look-ups are all over it
  std::size_t mask_ = kFirstSlots - 1;
  std::vector<char> texts_;        ///< one after another
  std::vector<std::size_t> ends_;  ///< by number
};

}  // namespace firesteel::detail
