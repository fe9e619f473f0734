// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "firesteel/algorithms/als_blocks.hpp"
#include "firesteel/algorithms/als_ids.hpp"
#include "firesteel/core/row_blocks.hpp"

namespace firesteel {

/// The distinct ids of ratings that lie in scratch (Ratings::chunks), of users or of items: as index_ids()
/// gives them for a column in memory. Collective. Memory: the distinct ids.
IdList index_chunked_ids(const Context& context, const Ratings& ratings, bool users);

/// As deal_ratings(), for ratings that lie in scratch: they travel by and by, are sorted outside of memory,
/// and lie in scratch again, by user and by item (RatingSide::store), in the same order. Collective. Throws
/// bad_input where a rating is not finite; 73, 74, 71. Cost: each rating is written four times and read four
/// times, 16 to 24 bytes. `ones`: every row counts as a rating of 1.
RatingSides deal_chunks(const Context& context, const Ratings& ratings, const IdList& users,
                        const IdList& items, bool ones, Index rank);

}  // namespace firesteel
