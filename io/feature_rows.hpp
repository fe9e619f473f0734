// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "firesteel/io/read_options.hpp"
#include "firesteel/io/typed_rows.hpp"

namespace firesteel {

/// Rows of features as typed ones: dense features are columns, then `label` and `weight` where there are any,
/// then what was kept beside them; sparse features stay sparse. Packed where they are looked at, so that rows
/// in scratch stay there. Collective.
TypedRows rows_of_features(const Context& context, RowInput input, const std::string& source);

}  // namespace firesteel
