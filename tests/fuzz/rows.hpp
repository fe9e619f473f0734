// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "firesteel/io/read_options.hpp"

namespace firesteel::fuzz {

/// All that read_rows / read_ratings gave, of all ranks in row order, as one text in which every bit counts.
/// Collective over the context that read.
std::string text_of(const RowInput& input);
std::string text_of(const RatingInput& input);

/// Reads rows with the whole file in one piece on one rank (the reference), then in pieces of `piece_bytes`
/// on all ranks: both must give the same rows or the same error. Returns the outcome.
std::string read_rows_both_ways(const ReadOptions& options, std::size_t piece_bytes);
std::string read_ratings_both_ways(const ReadOptions& options, std::size_t piece_bytes);

}  // namespace firesteel::fuzz
