// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "firesteel/core/row_blocks.hpp"

namespace firesteel {

/// Throws bad_input unless the rows are what learners count on: storage, labels, weights and marks of dropped
/// rows of the lengths that RowBlocks promises, of one kind on all ranks; features finite; weights finite and
/// >= 0; sparse indices ascending and below the columns. Names the first global row that is not so. Readers
/// and pack_rows make no others, but a program may fill RowBlocks itself, and no sum would show a NaN there.
/// Collective. Cost: one pass over the features, and one allreduce of 8 integers.
void check_rows(const RowBlocks& data);

/// The same without a look at the features of dense rows, for those who find by a sum over all of them that
/// one is not finite, and then call the above. Collective.
void check_rows_but_dense_features(const RowBlocks& data);

/// Throws bad_input unless users, items and, where there are any, ratings are as many. Local.
void check_lengths(const Ratings& data);

}  // namespace firesteel
