// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "firesteel/core/aligned_vector.hpp"
#include "firesteel/core/error.hpp"
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
    const Start start = words_of(text);
    const Short ahead{
        {start.words[0], start.words[1]}, hash_of(text, start), static_cast<std::uint32_t>(text.size())};
    __builtin_prefetch(slots_.data() + (ahead.hash & mask_));
    return ahead;
  }
  /// A text's eight bytes for its user, which are 0 for a new one: no other memory needs to be looked at.
  struct Found {
    std::uint64_t& value;  ///< until the next text is looked up
    bool is_new;
  };
  Found find(const Short& text) {
    return find({reinterpret_cast<const char*>(text.words), text.length}, text.words[0], text.words[1],
                text.hash);
  }
  Found find(std::string_view text) {
    const Start wanted = words_of(text);
    return find(text, wanted.words[0], wanted.words[1], hash_of(text, wanted));
  }
  /// The number of `text`, a new one where it was not seen before. Not to be mixed with find().
  Index number(const Short& text) { return number_of(find(text)); }
  Index number(std::string_view text) { return number_of(find(text)); }
  /// Calls visit(number, value) for each text, in no order.
  template <class Visit>
  void for_each(const Visit& visit) const {
    for (const Slot& slot : slots_)
      if (slot.mark != 0) visit(static_cast<Index>(slot.number), slot.value);
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
  struct Start {
    std::uint64_t words[2] = {0,
                              0};  ///< of a text: its bytes and zeros; of one beyond kInside the first eight
  };
  struct Slot {
    std::uint64_t words[2] = {0, 0};  ///< as in Start
    std::uint32_t mark = 0;           ///< of length and hash: mark_of(). 0: empty
    std::uint32_t number = 0;
    std::uint64_t value = 0;
  };

  /// Says the length of a short text, and that a longer one is longer, and some bits of the hash.
  static std::uint32_t mark_of(std::size_t length, std::uint64_t hash) {
    return (static_cast<std::uint32_t>(hash >> 32) & ~std::uint32_t{31}) |
           static_cast<std::uint32_t>(std::min(length, kInside + 1) + 1);
  }
  bool is_text(const Slot& slot, std::string_view wanted) const { return text(slot.number) == wanted; }
  Index number_of(const Found& found) {
    if (found.is_new) found.value = static_cast<std::uint64_t>(size()) - 1;
    return static_cast<Index>(found.value);
  }

  Found find(std::string_view text, std::uint64_t first, std::uint64_t second, std::uint64_t hash) {
    const std::uint32_t mark = mark_of(text.size(), hash);
    for (std::size_t place = hash & mask_;; place = (place + 1) & mask_) {
      Slot& slot = slots_[place];
      if (slot.words[0] == first && slot.mark == mark &&
          (text.size() <= kInside ? slot.words[1] == second : is_text(slot, text)))
        return {slot.value, false};
      if (slot.mark == 0) return {insert(text, {{first, second}, mark, 0, 0}, hash), true};
    }
  }
  [[gnu::noinline]] std::uint64_t& insert(std::string_view text, Slot slot, std::uint64_t hash) {
    if (size() == std::numeric_limits<std::uint32_t>::max())
      throw Error(ErrorCode::out_of_memory,
                  "out of memory: a rank has more than 4294967295 different texts as keys; use more ranks");
    if (size() * 2 + 2 > static_cast<Index>(slots_.size())) grow();
    slot.number = static_cast<std::uint32_t>(size());
    texts_.insert(texts_.end(), text.begin(), text.end());
    ends_.push_back(texts_.size());
    std::size_t place = hash & mask_;
    while (slots_[place].mark != 0) place = (place + 1) & mask_;
    slots_[place] = slot;
    return slots_[place].value;
  }

  /// Whether bytes behind a text may be looked at: sanitizers take it for a fault.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  static constexpr bool kReadsBeyond = false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
  static constexpr bool kReadsBeyond = false;
#else
  static constexpr bool kReadsBeyond = true;
#endif
#else
  static constexpr bool kReadsBeyond = true;
#endif

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

  static Start words_of(std::string_view text) {
    // What no processor foresees is how long the next text is: without a branch on it a word of a language
    // costs a third less. An empty text has no first byte, and may lie nowhere.
    if (kReadsBeyond && text.size() - 1 < kInside && readable_beyond(text.data())) return words_beyond(text);
    return words_within(text);
  }

  /// Reads 16 bytes from the start of the text on and leaves out what is not of it. These lie in the page of
  /// its first byte, so that they can be read; what they are does not matter.
  static bool readable_beyond(const char* data) {
    constexpr std::uintptr_t kSmallestPage = 4096;
    return (reinterpret_cast<std::uintptr_t>(data) & (kSmallestPage - 1)) <= kSmallestPage - kInside;
  }
  static Start words_beyond(std::string_view text) {
    constexpr std::uint64_t kAll = ~std::uint64_t{0};
    static constexpr auto kOfText = [] {
      std::array<std::array<std::uint64_t, 2>, kInside + 1> masks{};
      for (std::size_t length = 0; length <= kInside; ++length)
        masks[length] = {length >= 8 ? kAll : (std::uint64_t{1} << (8 * length)) - 1,
                         length <= 8    ? 0
                         : length >= 16 ? kAll
                                        : (std::uint64_t{1} << (8 * (length - 8))) - 1};
      return masks;
    }();
    const auto& mask = kOfText[text.size()];
    return {{load<std::uint64_t>(text.data()) & mask[0], load<std::uint64_t>(text.data() + 8) & mask[1]}};
  }
  /// Nothing outside of the text is read.
  static Start words_within(std::string_view text) {
    const char* const data = text.data();
    const std::size_t length = text.size();
    Start slot;
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
  static std::uint64_t hash_of(std::string_view text, const Start& slot) {
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
      if (slot.mark == 0) continue;
      std::size_t place = hash_of(text(slot.number), {{slot.words[0], slot.words[1]}}) & mask_;
      while (wider[place].mark != 0) place = (place + 1) & mask_;
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
