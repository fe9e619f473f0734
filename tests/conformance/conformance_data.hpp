// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "firesteel/algorithms/learner.hpp"

namespace firesteel::conformance {

/// How a data set of the suite is stored.
enum class Storage { dense, dense_single, sparse, sparse_single };

/// Small data of the kind that a task reads, the same global rows for any communicator: three clusters of
/// points with a label each, or ratings of users for items (single ones where the storage is). Seeded; rows 0
/// … rows − 1.
LearnerData make_data(const Context& context, Task task, Index rows, Storage storage = Storage::dense);

/// As make_data for tasks that read features, with one column constant and every row twice.
RowBlocks make_degenerate_rows(const Context& context, Index rows);

}  // namespace firesteel::conformance
