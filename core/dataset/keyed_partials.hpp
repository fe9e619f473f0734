// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <bit>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "firesteel/core/canonical_reduce.hpp"
#include "firesteel/core/dataset/cache.hpp"
#include "firesteel/core/dataset/exchange.hpp"
#include "firesteel/core/dataset/keys.hpp"

namespace firesteel::detail {

/// Part of a key's result: what the elements of that key in one node of the tree over blocks add up to.
template <class K, class A>
struct KeyedPartial {
  K key;
  Index block = 0;  ///< first block with the key
  A value;
};

/// Combines partial results of one key in the shape of CanonicalTree: two neighbours are merged at the
/// smallest node that holds both, and only once everything of that node is known. A block without the key
/// changes nothing. So the result depends on blocks alone, not on the runs of blocks that ranks and threads
/// worked on.
class TreeOrder {
 public:
  /// A run [first, end) of `blocks` blocks: nodes inside it are known completely.
  TreeOrder(Index first, Index end, Index blocks) : first_(first), end_(end == blocks ? kNoEnd : end) {}

  /// Whether partials of blocks left < right are to be merged, where the next one of the key, if there is
  /// one, is of block `next`.
  bool complete(Index left, Index right) const {
    const int level = level_of(left, right);
    return node_begin(left, level) >= first_ && node_begin(left, level) + (Index{1} << level) <= end_;
  }
  bool complete_before(Index left, Index right, Index next) const {
    return node_begin(left, level_of(left, right)) >= first_ && level_of(left, right) < level_of(right, next);
  }

 private:
  static constexpr Index kNoEnd = Index{1} << 62;

  /// Level of the smallest node of the tree that holds both blocks.
  static int level_of(Index a, Index b) {
    return static_cast<int>(std::bit_width(static_cast<std::uint64_t>(a ^ b)));
  }
  static Index node_begin(Index block, int level) { return (block >> level) << level; }

  Index first_;
  Index end_;
};

/// How a key's values become a result: first(value) is that of one, next(result, value) adds another.
template <class First, class Next>
struct Fold {
  First first;
  Next next;
  bool never_throws = false;
};
// clang before 17 does not deduce the arguments of an aggregate by itself.
template <class First, class Next>
Fold(First, Next, bool) -> Fold<First, Next>;

/// The partials of every key in one run of blocks, which are visited in ascending order. Local, one thread.
template <class K, class A, class Fold, class Merge>
class KeyedPartials {
 public:
  KeyedPartials(TreeOrder order, const Fold& fold, const Merge& merge)
      : order_(order), fold_(fold), merge_(merge) {}

  /// The run may end sooner than was said.
  void end_at(TreeOrder order) { order_ = order; }
  /// What it holds, at most about; what keys and values hold outside of themselves is counted as if nothing
  /// was combined.
  Index bytes() const {
    return heap_bytes_ + keys_.bytes() +
           static_cast<Index>(nodes_.capacity() * sizeof(Node) + tops_.capacity() * sizeof(Index));
  }

  /// Adds an element of `block`.
  template <class Pair>
  void put(Index block, Pair&& pair) {
    if constexpr (!Flat<K> || !Flat<A>) heap_bytes_ += heap_bytes(pair);
    const auto number = at(keys_.number(pair.first));
    if (number == tops_.size()) tops_.push_back(-1);
    Index& top = tops_[number];
    if (top >= 0 && nodes_[at(top)].last == block)
      return fold_.next(nodes_[at(top)].value, std::forward<Pair>(pair).second);
    while (top >= 0 && nodes_[at(top)].below >= 0 && may_merge(top, block)) merge_top(top);
    top = add_node({fold_.first(std::forward<Pair>(pair).second), block, block, top});
  }

  /// All partials, those of a key in order of blocks. Ends the use of this object.
  std::vector<KeyedPartial<K, A>> take() {
    std::vector<KeyedPartial<K, A>> partials;
    std::vector<Index> chain;
    for (std::size_t number = 0; number < tops_.size(); ++number) {
      Index& top = tops_[number];
      while (nodes_[at(top)].below >= 0 &&
             order_.complete(nodes_[at(nodes_[at(top)].below)].first, nodes_[at(top)].first))
        merge_top(top);
      chain.clear();
      for (Index node = top; node >= 0; node = nodes_[at(node)].below) chain.push_back(node);
      for (auto node = chain.rbegin(); node != chain.rend(); ++node)
        partials.push_back({keys_.key(static_cast<Index>(number)), nodes_[at(*node)].first,
                            std::move(nodes_[at(*node)].value)});
    }
    return partials;
  }

 private:
  struct Node {
    A value;
    Index first;  ///< block where it begins
    Index last;   ///< last block that was added
    Index below;  ///< the node before it on this key's stack; −1: none
  };

  bool may_merge(Index top, Index next) const {
    return order_.complete_before(nodes_[at(nodes_[at(top)].below)].first, nodes_[at(top)].first, next);
  }
  void merge_top(Index& top) {
    const Index below = nodes_[at(top)].below;
    apply_into(merge_, nodes_[at(below)].value, std::move(nodes_[at(top)].value));
    nodes_[at(below)].last = nodes_[at(top)].last;
    free_.push_back(top);
    top = below;
  }
  Index add_node(Node node) {
    if (free_.empty()) {
      nodes_.push_back(std::move(node));
      return static_cast<Index>(nodes_.size()) - 1;
    }
    const Index reused = free_.back();
    free_.pop_back();
    nodes_[at(reused)] = std::move(node);
    return reused;
  }

  TreeOrder order_;
  const Fold& fold_;
  const Merge& merge_;
  KeyIndex<K> keys_;
  std::vector<Index> tops_;  ///< by key number
  std::vector<Node> nodes_;
  std::vector<Index> free_;
  Index heap_bytes_ = 0;
};

/// The same where it does not matter how a key's values are grouped (see exact()): one value a key for all
/// blocks of the run. Its partials are merged as if they were of one block.
template <class K, class A, class V, class Fold>
class ExactPartials {
 public:
  explicit ExactPartials(const Fold& fold) : fold_(fold) {}

  template <class Pair>
  void put(Index, Pair&& pair) {
    if constexpr (kMayWait)
      if (fold_.never_throws) return put_later(pair.first, pair.second);
    if constexpr (!Flat<K> || !Flat<A>) heap_bytes_ += heap_bytes(pair);
    put_now(pair.first, std::forward<Pair>(pair).second);
  }
  /// What it holds, at most about; what values hold outside of themselves is counted as if nothing was
  /// combined.
  Index bytes() const {
    const Index heap = kInSlots ? 0 : heap_bytes_;
    return heap + keys_.bytes() + static_cast<Index>(values_.capacity() * sizeof(Value));
  }
  /// All partials. Ends the use of this object.
  std::vector<KeyedPartial<K, A>> take() {
    while (taken_ != put_) take_next();
    std::vector<KeyedPartial<K, A>> partials;
    if constexpr (kInSlots) {
      values_.resize(at(keys_.size()));
      keys_.texts().for_each(
          [&](Index number, std::uint64_t bits) { values_[at(number)].value = value_of(bits); });
    }
    partials.reserve(values_.size());
    for (std::size_t number = 0; number < values_.size(); ++number)
      partials.push_back({keys_.key(static_cast<Index>(number)), 0, std::move(values_[number].value)});
    return partials;
  }

 private:
  /// Results that find room in a text's slot lie there.
  static constexpr bool kInSlots = std::is_same_v<K, std::string> && std::is_trivially_copyable_v<A> &&
                                   std::is_default_constructible_v<A> && sizeof(A) <= sizeof(std::uint64_t);
  /// Elements wait for a few others, while their keys' slots come from memory: most of the time of counting
  /// words goes into waiting for these. Not where a user's function might throw: its row would be gone.
  static constexpr bool kMayWait = kInSlots && std::is_trivially_copyable_v<V>;
  static constexpr std::size_t kWaiting = 16;
  struct Waiting {
    TextIndex::Short key;
    V value;
  };
  struct Value {  // so that a bool has a place of its own
    A value;
  };

  static A value_of(std::uint64_t bits) {
    A value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
  }
  template <class U>
  void put_into(const TextIndex::Found& slot, U&& value) {
    const auto keep = [&](const A& result) { std::memcpy(&slot.value, &result, sizeof result); };
    if (slot.is_new) return keep(fold_.first(std::forward<U>(value)));
    A result = value_of(slot.value);
    fold_.next(result, std::forward<U>(value));
    keep(result);
  }
  template <class U>
  void put_now(const auto& key, U&& value) {
    if constexpr (kInSlots) {
      put_into(keys_.texts().find(key), std::forward<U>(value));
    } else {
      const auto number = at(keys_.number(key));
      if (number < values_.size())
        fold_.next(values_[number].value, std::forward<U>(value));
      else
        values_.push_back({fold_.first(std::forward<U>(value))});
    }
  }
  void put_later(std::string_view key, const V& value) {
    if (key.size() > TextIndex::kInside) {
      while (taken_ != put_) take_next();
      return put_now(key, V(value));
    }
    if (put_ - taken_ == kWaiting) take_next();
    waiting_[put_++ % kWaiting] = {keys_.texts().look_ahead(key), value};
  }
  void take_next() {
    if constexpr (kMayWait) {
      Waiting& first = waiting_[taken_++ % kWaiting];
      put_into(keys_.texts().find(first.key), std::move(first.value));
    }
  }

  const Fold& fold_;
  KeyIndex<K> keys_;
  std::vector<Value> values_;  ///< by key number, unless they lie in slots
  std::conditional_t<kMayWait, std::array<Waiting, kMayWait ? kWaiting : 0>, char> waiting_{};
  std::size_t put_ = 0;
  std::size_t taken_ = 0;
  Index heap_bytes_ = 0;
};

/// Merges neighbours of equal keys as far as `order` knows their nodes; `partials` are sorted by key and
/// block. Local.
template <class K, class A, class Merge>
void merge_neighbours(std::vector<KeyedPartial<K, A>>& partials, const TreeOrder& order, const Merge& merge) {
  std::size_t kept = 0;         // partials [0, kept) are final but for the stack of the present key
  std::size_t stack_begin = 0;  // which is [stack_begin, kept)
  const auto merge_top = [&] {
    apply_into(merge, partials[kept - 2].value, std::move(partials[kept - 1].value));
    --kept;
  };
  const auto settle = [&] {
    while (kept - stack_begin > 1 && order.complete(partials[kept - 2].block, partials[kept - 1].block))
      merge_top();
  };
  for (std::size_t i = 0; i < partials.size(); ++i) {
    if (kept > stack_begin && !same_key(partials[kept - 1].key, partials[i].key)) {
      settle();
      stack_begin = kept;
    }
    while (kept - stack_begin > 1 &&
           order.complete_before(partials[kept - 2].block, partials[kept - 1].block, partials[i].block))
      merge_top();
    if (kept != i) partials[kept] = std::move(partials[i]);
    ++kept;
  }
  settle();
  partials.erase(partials.begin() + static_cast<std::ptrdiff_t>(kept), partials.end());
}

template <class K, class A>
bool before_by_key(const KeyedPartial<K, A>& a, const KeyedPartial<K, A>& b) {
  return Ascending()(a.key, b.key);
}

}  // namespace firesteel::detail

namespace firesteel {
template <Serializable K, Serializable A>
requires(!Flat<detail::KeyedPartial<K, A>>) struct Serializer<detail::KeyedPartial<K, A>> {
  static void write(ByteWriter& out, const detail::KeyedPartial<K, A>& partial) {
    out.write(partial.key);
    out.write(partial.block);
    out.write(partial.value);
  }
  static detail::KeyedPartial<K, A> read(ByteReader& in) {
    auto key = in.read<K>();
    const auto block = in.read<Index>();
    return {std::move(key), block, in.read<A>()};
  }
};
}  // namespace firesteel
