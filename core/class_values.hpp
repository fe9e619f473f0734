// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace firesteel {

/// The labels of classes: whole numbers in numeric order, or texts in byte order.
using ClassValues = std::variant<std::vector<std::int64_t>, std::vector<std::string>>;

}  // namespace firesteel
