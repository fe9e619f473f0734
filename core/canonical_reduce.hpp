// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <exception>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "firesteel/core/canonical_tree.hpp"
#include "firesteel/core/context.hpp"
#include "firesteel/core/parallel.hpp"
#include "firesteel/core/serializer.hpp"

namespace firesteel {

namespace detail {

/// Executes the steps of a CanonicalTree between ranks for partial results of any type and size. A partial
/// travels as a header (its length, or poison) and pieces of at most 1 MiB, so that a rank that cannot hold
/// it can still take it in and pass the failure on.
class PartialExchange {
 public:
  explicit PartialExchange(const Communicator& comm) : comm_(comm) {}
  /// Takes the memory that receive() falls back on. Local; may throw bad_alloc.
  void reserve();

  /// nullopt sends poison.
  void send(std::optional<std::span<const std::byte>> partial, int destination);
  /// nullopt: the sender failed, or memory did not suffice here (then `failure` is set if it was not).
  std::optional<std::vector<std::byte>> receive(int source, std::exception_ptr& failure);
  /// Every rank gets the root's bytes. If any rank has failed the root must pass nullopt: all ranks throw.
  std::vector<std::byte> broadcast(std::optional<std::span<const std::byte>> total, int root,
                                   const std::exception_ptr& failure);

 private:
  Communicator comm_;
  std::vector<std::byte> spare_;
};

/// left = f(left, right), or f(left, right) in place where f returns void.
template <class F, class Left, class Right>
void apply_into(const F& f, Left& left, Right&& right) {
  if constexpr (requires {
                  { f(left, std::forward<Right>(right)) } -> std::same_as<void>;
                })
    f(left, std::forward<Right>(right));
  else
    left = f(std::move(left), std::forward<Right>(right));
}

}  // namespace detail

/// Combines one partial result a block into one total, in the order of CanonicalTree: the same bytes for any
/// number of ranks and threads, for any `merge`, associative or not. block_partial(block) is called once for
/// each own block by any thread; merge(left, right) returns the combination, or changes `left` and returns
/// nothing. No block at all: `identity`. An exception of either is the same error on every rank.
/// Collective. Cost: a rank sends at most its number of maximal subtrees of partials, and takes part in one
/// broadcast. Memory: O(log₂ blocks) partials a thread.
template <Serializable Partial, class BlockPartial, class Merge>
Partial canonical_reduce(const Context& context, const BlockPartition& partition, const Partial& identity,
                         const BlockPartial& block_partial, const Merge& merge) {
  if (partition.blocks() == 0) return identity;
  Communicator& comm = context.comm();
  CanonicalTree tree;
  std::vector<std::optional<Partial>> slots;
  detail::PartialExchange exchange(comm);
  comm.collectively([&] {
    tree = CanonicalTree(partition, comm.rank(), context.threads());
    slots.resize(tree.subtrees.size());
    exchange.reserve();
  });
  std::exception_ptr failure;
  bool poisoned = false;
  const auto guarded = [&](auto&& body) {
    if (poisoned) return;
    try {
      body();
    } catch (...) {
      failure = std::current_exception();
      poisoned = true;
    }
  };

  guarded([&] {
    parallel_for(context.threads(), static_cast<Index>(slots.size()), [&](Index task, int) {
      const auto i = static_cast<std::size_t>(task);
      std::vector<Partial> stack;
      walk_subtree(
          tree.subtrees[i], [&](Index block) { stack.push_back(block_partial(block)); },
          [&] {
            Partial right = std::move(stack.back());
            stack.pop_back();
            detail::apply_into(merge, stack.back(), std::move(right));
          });
      slots[i].emplace(std::move(stack.front()));
    });
  });

  const FloatEnvironment environment;
  const auto serialised = [&](std::size_t slot) {
    ByteWriter out;
    guarded([&] { out.write(*slots[slot]); });
    return out;
  };
  const auto sendable = [&](const ByteWriter& out) {
    return poisoned ? std::nullopt : std::optional(out.buffer());
  };
  for (const auto& step : tree.steps) {
    if (step.kind == CanonicalTree::Step::Kind::merge) {
      guarded([&] {
        detail::apply_into(merge, *slots[step.into], std::move(*slots[step.from]));
        slots[step.from].reset();
      });
    } else if (step.kind == CanonicalTree::Step::Kind::send) {
      const ByteWriter out = serialised(step.from);
      exchange.send(sendable(out), step.peer);
    } else {
      const auto bytes = exchange.receive(step.peer, failure);
      if (!bytes) poisoned = true;
      guarded([&] {
        ByteReader in(*bytes);
        detail::apply_into(merge, *slots[step.into], in.template read<Partial>());
      });
    }
  }
  const ByteWriter out = comm.rank() == tree.root ? serialised(0) : ByteWriter();
  const auto total = exchange.broadcast(sendable(out), tree.root, failure);
  return comm.collectively([&] {
    if (comm.rank() == tree.root) return std::move(*slots[0]);
    ByteReader in(total);
    return in.template read<Partial>();
  });
}

}  // namespace firesteel
