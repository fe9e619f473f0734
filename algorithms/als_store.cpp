// SPDX-License-Identifier: Apache-2.0
#include "firesteel/algorithms/als_store.hpp"

#include <cmath>
#include <cstring>

#include "firesteel/algorithms/als_blocks.hpp"

namespace firesteel {

namespace {
/// A unit is closed when it has so many: a block of about 100 to 300 KB.
constexpr Index kUnitRatings = 8192;
constexpr Index kRatingBytes = sizeof(double) + sizeof(std::int32_t);
}  // namespace

static_assert(RatingStore::kBlockRatings % kRatingChunk == 0);

RatingStore::RatingStore(const Context& context, std::span<const Index> row_begin) {
  const auto entities = static_cast<Index>(row_begin.size()) - 1;
  Index in_unit = 0;
  const auto close_unit = [&] {
    if (in_unit == 0) return;
    unit_begin_.push_back(static_cast<Index>(small_.size()));
    block_ratings_.push_back(in_unit);
    in_unit = 0;
  };
  for (Index e = 0; e < entities; ++e) {
    count_.push_back(row_begin[at(e + 1)] - row_begin[at(e)]);
    if (count_.back() > kBlockRatings) continue;
    small_.push_back(e);
    in_unit += count_.back();
    if (in_unit >= kUnitRatings) close_unit();
  }
  close_unit();
  for (Index e = 0; e < entities; ++e) {
    if (count_[at(e)] <= kBlockRatings) continue;
    const auto first = static_cast<Index>(block_ratings_.size());
    for (Index left = count_[at(e)]; left > 0; left -= kBlockRatings)
      block_ratings_.push_back(std::min(left, kBlockRatings));
    large_.push_back({e, first, static_cast<Index>(block_ratings_.size())});
  }
  positives_.assign(at(entities), 0);
  non_zero_.assign(at(entities), 0);
  const auto blocks = static_cast<Index>(block_ratings_.size());
  store_ = std::make_unique<BlockStore>(
      context.memory(), context.scratch(),
      BlockStore::AnySizes{blocks, (row_begin.back() - row_begin.front()) * kRatingBytes}, context.threads());
}

void RatingStore::put(Index block, Filling& filling) {
  const std::size_t value_bytes = filling.values.size() * sizeof(double);
  const std::size_t other_bytes = filling.others.size() * sizeof(std::int32_t);
  const PageMemory pages(value_bytes + other_bytes + static_cast<std::size_t>(kScratchAlignment));
  std::memcpy(pages.data(), filling.values.data(), value_bytes);
  std::memcpy(pages.data() + value_bytes, filling.others.data(), other_bytes);
  store_->put(block, pages.data(), static_cast<Index>(value_bytes + other_bytes));
  filling.others.clear();
  filling.values.clear();
}

void RatingStore::add(std::int32_t other, double value) {
  const Index e = entity_;
  const bool is_large = count_[at(e)] > kBlockRatings;
  Filling& filling = is_large ? large_filling_ : small_filling_;
  filling.others.push_back(other);
  filling.values.push_back(value);
  positives_[at(e)] += value > 0 ? 1 : 0;
  if (value != 0) non_zero_[at(e)] = 1;
  largest_ = std::max(largest_, std::fabs(value));
  ++given_;
  if (is_large && (given_ % kBlockRatings == 0 || given_ == count_[at(e)]))
    put(large_[next_large_].first_block + (given_ - 1) / kBlockRatings, large_filling_);
  if (given_ == count_[at(e)]) end_entity();
}

void RatingStore::end_entity() {
  if (count_[at(entity_)] > kBlockRatings)
    ++next_large_;
  else if (static_cast<Index>(small_filling_.values.size()) == block_ratings_[at(unit_)])
    put(unit_++, small_filling_);
  ++entity_;
  given_ = 0;
}

void RatingStore::finish() {
  if (entity_ != static_cast<Index>(count_.size())) throw internal_error("ratings are missing");
  small_filling_ = {};
  large_filling_ = {};
  store_->filled();
}

}  // namespace firesteel
