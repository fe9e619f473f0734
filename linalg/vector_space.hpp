// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "firesteel/core/canonical_sum.hpp"
#include "firesteel/core/context.hpp"
#include "firesteel/core/function_ref.hpp"
#include "firesteel/core/state_visitor.hpp"

namespace firesteel {

/// The vectors that an optimiser works on, and where they live: replicated, every rank with all coordinates,
/// or sliced, every rank with a run of them. Sums over coordinates have a fixed order in either case, a
/// function of the size alone: replicated, chunks of 4,096 coordinates one after another; sliced, the tree of
/// CanonicalSum over the blocks of `slices`. So the path of an optimiser does not depend on ranks.
///
/// Functions that return a number are collective where vectors are sliced; spans are this rank's part.
class VectorSpace {
 public:
  /// Replicated vectors.
  explicit VectorSpace(Index size) : size_(size), local_size_(static_cast<std::size_t>(size)) {}
  /// Sliced vectors: `width` coordinates for each "row" of `slices`. Collective.
  VectorSpace(const Context& context, const BlockPartition& slices, Index width);

  Index size() const { return size_; }                    ///< coordinates, all ranks
  std::size_t local_size() const { return local_size_; }  ///< of this rank's part
  bool sliced() const { return sum_ != nullptr; }

  /// Σ over coordinates: part(begin, end) sums over local coordinates [begin, end) in ascending order; it may
  /// write to those coordinates of vectors, and is called by any thread.
  double sum(FunctionRef<double(std::size_t begin, std::size_t end)> part) const;
  double dot(std::span<const double> x, std::span<const double> y) const;
  double norm(std::span<const double> x) const;
  /// y ← alpha·x + y. Local.
  void add_scaled(double alpha, std::span<const double> x, std::span<double> y) const;
  /// y ← alpha·x + y, then z·y: one pass over memory for both.
  double add_scaled_dot(double alpha, std::span<const double> x, std::span<double> y,
                        std::span<const double> z) const;

  /// Names a vector of this space to a visitor of states.
  void describe(StateVisitor& visitor, std::string_view name, std::vector<double>& vector) const;
  /// The same for a vector that, where it is replicated, may be empty so far.
  void describe_if_present(StateVisitor& visitor, std::string_view name, std::vector<double>& vector) const;

 private:
  Index size_;
  std::size_t local_size_;
  std::size_t block_size_ = 0;  ///< coordinates a block of the slices
  Index first_block_ = 0;
  Index blocks_ = 0;
  int threads_ = 1;
  std::unique_ptr<CanonicalSum> sum_;  ///< sliced only
};

}  // namespace firesteel
