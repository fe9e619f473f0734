// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "firesteel/algorithms/learner.hpp"
#include "firesteel/core/record.hpp"

namespace firesteel::cli {

using Json = nlohmann::ordered_json;

/// A number that reads back to the same double; null where it is not finite.
Json json_number(double value);
/// Metrics as an object, in their order.
Json json_metrics(const Metrics& metrics);
/// A record's value: arrays as nested lists by their shape.
Json json_value(const RecordValue& value);
/// One line; text that is no UTF-8 is shown with replacement characters.
std::string json_text(const Json& object);

}  // namespace firesteel::cli
