// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <string>

#include "firesteel/core/serializer.hpp"

namespace firesteel::detail {

/// Looks at one record of many before they travel or go to scratch: what its Serializer reads must be what it
/// writes, or the records behind it would be read wrongly. Local; throws internal_error.
template <Serializable T>
void check_round_trip(const T& record) {
  if constexpr (!Flat<T>) {
    ByteWriter written(true);
    written.write(record);
    ByteWriter travels;
    travels.write(record);
    ByteReader in(travels.buffer());
    const T back = in.template read<T>();
    const auto left = in.left();
    ByteWriter again(true);
    again.write(back);
    if (left == 0 && std::ranges::equal(written.buffer(), again.buffer())) return;
    throw internal_error("a record of " + std::to_string(written.buffer().size()) + " bytes comes back as " +
                         std::to_string(again.buffer().size()) +
                         (left == 0 ? "" : ", some bytes were not read") +
                         ": its Serializer does not read what it writes");
  }
}

}  // namespace firesteel::detail
