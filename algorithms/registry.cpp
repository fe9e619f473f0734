// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "firesteel/algorithms/als.hpp"
#include "firesteel/algorithms/kmeans.hpp"
#include "firesteel/algorithms/learner.hpp"
#include "firesteel/algorithms/logistic_regression.hpp"

namespace firesteel {

const std::vector<LearnerEntry>& learners() {
  static const std::vector<LearnerEntry> table{
      learner_entry<LogisticRegression>("logistic", Task::classification,
                                        "logistic regression, binary and multinomial, with elastic net"),
      learner_entry<KMeans>("kmeans", Task::clustering, "k-means: Lloyd's algorithm, k-means|| seeding"),
      learner_entry<Als>("als", Task::recommendation, "alternating least squares, explicit or implicit"),
  };
  return table;
}

const LearnerEntry* find_learner(std::string_view name) {
  const auto& table = learners();
  const auto entry =
      std::find_if(table.begin(), table.end(), [&](const LearnerEntry& e) { return e.name == name; });
  return entry == table.end() ? nullptr : &*entry;
}

namespace detail {

void schema_to_record(const FeatureSchema& schema, Record& record) {
  if (!schema.names.empty())
    record.set("feature_names",
               RecordArray<std::string>{{static_cast<Index>(schema.names.size())}, schema.names});
  record.set("missing", schema.missing);
  if (!schema.missing_means.empty()) record.set_vector("missing_means", schema.missing_means);
}

FeatureSchema schema_from_record(const Record& record) {
  FeatureSchema schema;
  if (record.contains("feature_names"))
    schema.names = record.get<RecordArray<std::string>>("feature_names").values;
  schema.missing = record.get<std::string>("missing");
  if (record.contains("missing_means")) schema.missing_means = record.vector("missing_means", -1).values;
  return schema;
}

void throw_no_recommendations(const Context& context, std::string_view learner) {
  const Error error = bad_parameter("--top: a model of learner '" + std::string(learner) +
                                    "' does not recommend; models of 'als' do");
  context.comm().agree(std::make_exception_ptr(error));
  throw error;  // not reached: agree() throws
}

void throw_wrong_learner(std::string_view expected, std::string_view found) {
  throw bad_input("expected a model of learner '" + std::string(expected) + "', got one of '" +
                  std::string(found) + "'");
}

void throw_wrong_data(std::string_view learner) {
  throw bad_parameter("learner '" + std::string(learner) + "' was given data of another kind");
}

}  // namespace detail

}  // namespace firesteel
