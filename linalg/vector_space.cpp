// SPDX-License-Identifier: Apache-2.0
#include "firesteel/linalg/vector_space.hpp"

#include <algorithm>
#include <cmath>

#include "firesteel/core/parallel.hpp"
#include "firesteel/linalg/vector_kernels.hpp"

namespace firesteel {

VectorSpace::VectorSpace(const Context& context, const BlockPartition& slices, Index width)
    : size_(slices.rows() * width),
      local_size_(static_cast<std::size_t>(slices.local_rows(context.rank()) * width)),
      block_size_(static_cast<std::size_t>(slices.block_rows() * width)),
      first_block_(slices.first_block(context.rank())),
      blocks_(slices.end_block(context.rank()) - first_block_),
      threads_(context.threads()),
      sum_(std::make_unique<CanonicalSum>(context.comm(), slices, 1, context.threads())) {}

double VectorSpace::sum(FunctionRef<double(std::size_t, std::size_t)> part) const {
  if (!sliced()) return part(0, local_size_);
  return (*sum_)([&](Index block, std::span<double> out) {
    const std::size_t begin = static_cast<std::size_t>(block - first_block_) * block_size_;
    out[0] = part(begin, std::min(begin + block_size_, local_size_));
  })[0];
}

double VectorSpace::dot(std::span<const double> x, std::span<const double> y) const {
  return sum([&](std::size_t begin, std::size_t end) {
    return firesteel::dot(x.subspan(begin, end - begin), y.subspan(begin, end - begin));
  });
}

double VectorSpace::norm(std::span<const double> x) const { return std::sqrt(dot(x, x)); }

void VectorSpace::add_scaled(double alpha, std::span<const double> x, std::span<double> y) const {
  if (!sliced()) {
    firesteel::add_scaled(alpha, x, y);
    return;
  }
  parallel_for(threads_, blocks_, [&](Index block, int) {
    const std::size_t begin = static_cast<std::size_t>(block) * block_size_;
    const std::size_t count = std::min(block_size_, local_size_ - begin);
    firesteel::add_scaled(alpha, x.subspan(begin, count), y.subspan(begin, count));
  });
}

double VectorSpace::add_scaled_dot(double alpha, std::span<const double> x, std::span<double> y,
                                   std::span<const double> z) const {
  return sum([&](std::size_t begin, std::size_t end) {
    // Chunk by chunk, so that the dot finds y in the cache; chunk sums one after another, as dot() has them.
    double total = 0;
    for (std::size_t first = begin; first < end; first += kDotChunk) {
      const std::size_t count = std::min(kDotChunk, end - first);
      firesteel::add_scaled(alpha, x.subspan(first, count), y.subspan(first, count));
      total += firesteel::dot(z.subspan(first, count), y.subspan(first, count));
    }
    return total;
  });
}

void VectorSpace::describe(StateVisitor& visitor, std::string_view name, std::vector<double>& vector) const {
  if (sliced())
    visitor.partitioned(name, vector, 1);
  else
    visitor.replicated(name, vector);
}

void VectorSpace::describe_if_present(StateVisitor& visitor, std::string_view name,
                                      std::vector<double>& vector) const {
  if (sliced())
    visitor.partitioned(name, vector, 1);
  else
    visitor.history(name, vector, size_, 1);
}

}  // namespace firesteel
