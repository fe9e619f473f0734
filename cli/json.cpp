// SPDX-License-Identifier: Apache-2.0
#include "firesteel/cli/json.hpp"

#include <cmath>

namespace firesteel::cli {

namespace {

Json json_scalar(double value) { return json_number(value); }
template <class T>
Json json_scalar(const T& value) {
  return value;
}

/// The values of dimension `dimension` on, from `next` on, as nested lists.
template <class T>
Json json_nested(const RecordArray<T>& array, std::size_t dimension, std::size_t& next) {
  if (dimension == array.shape.size()) return json_scalar(array.values[next++]);
  Json list = Json::array();
  for (Index i = 0; i < array.shape[dimension]; ++i) list.push_back(json_nested(array, dimension + 1, next));
  return list;
}

template <class T>
Json to_json(const T& value) {
  return json_scalar(value);
}
template <class T>
Json to_json(const RecordArray<T>& array) {
  std::size_t next = 0;
  return json_nested(array, 0, next);
}

}  // namespace

Json json_number(double value) {
  if (!std::isfinite(value)) return nullptr;
  return value;
}

Json json_metrics(const Metrics& metrics) {
  Json object = Json::object();
  for (const auto& [name, value] : metrics) object[name] = json_number(value);
  return object;
}

Json json_value(const RecordValue& value) {
  return std::visit([](const auto& typed) { return to_json(typed); }, value);
}

std::string json_text(const Json& object) {
  return object.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace firesteel::cli
