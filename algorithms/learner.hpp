// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "firesteel/core/class_values.hpp"
#include "firesteel/core/columns.hpp"
#include "firesteel/core/fit_loop.hpp"
#include "firesteel/core/parameters.hpp"
#include "firesteel/core/record.hpp"
#include "firesteel/core/row_blocks.hpp"

namespace firesteel {

/// What a learner reads, predicts and is judged by.
enum class Task { classification, clustering, recommendation };

/// A named figure of merit; NaN where it is undefined (shown as null).
using Metrics = std::vector<std::pair<std::string, double>>;

using LearnerData = std::variant<RowBlocks, Ratings>;

/// What a fit of ratings will hold and read, known once their ids are: see AnyLearner::rating_needs().
struct RatingNeeds {
  Index users = 0;
  Index items = 0;
  Index factor_bytes = 0;   ///< a rank: factors, ids and counts of all users and items
  Index bytes_of_side = 0;  ///< a rating by user, and as many by item
  Index passes = 0;         ///< over either side in an iteration
};

/// A fitted model behind one interface, for the command line and for whoever handles models by name.
/// Replicated. Members that take data are collective.
class AnyModel {
 public:
  virtual ~AnyModel() = default;
  virtual const FitSummary& summary() const = 0;
  virtual const FeatureSchema& schema() const = 0;
  /// Columns expected at scoring; 0 where the learner has none (ALS).
  virtual Index features() const = 0;
  /// A classifier's classes; nullptr where the model is none.
  virtual const ClassValues* classes() const = 0;
  virtual Record to_record() const = 0;
  /// Parameters that may be changed at scoring (threshold, cold_start_strategy).
  virtual void describe_scoring(ParameterVisitor& visitor) = 0;
  virtual ColumnTable predict(const LearnerData& data) const = 0;
  virtual Metrics evaluate(const LearnerData& data) const = 0;
  /// Best `top` items for every user (or users for every item, `for_items`). Throws bad_parameter where a
  /// model does not recommend. The rows are partitioned over the ranks of `context`.
  virtual ColumnTable recommend(const Context& context, Index top, bool for_items) const = 0;
};

/// A learner with its parameters, behind one interface.
class AnyLearner {
 public:
  virtual ~AnyLearner() = default;
  virtual void describe(ParameterVisitor& visitor) = 0;
  virtual std::unique_ptr<AnyModel> fit(const LearnerData& data) const = 0;
  /// Bytes that a fit and the metrics after it keep of each row, beside its features; 0 where that is not
  /// known beforehand.
  virtual Index row_bytes() const = 0;
  /// Counts the ids of the ratings, to say what a fit would take. Collective; throws bad_parameter where the
  /// learner is not of ratings, and as fit() for ids.
  virtual RatingNeeds rating_needs(const Ratings& ratings) const = 0;
};

/// One line of the registry.
struct LearnerEntry {
  std::string_view name;  ///< as on the command line
  Task task;
  std::string_view summary;  ///< one line
  std::function<std::unique_ptr<AnyLearner>()> make;
  std::function<std::unique_ptr<AnyModel>(const Record&)> load;
  /// The parameters that may be changed at scoring, of a model by default; knows no data.
  std::function<void(ParameterVisitor&)> describe_scoring;
};

// Implementation: adapters from a learner struct L with
//   L::Data (RowBlocks or Ratings), L::Model, void describe(ParameterVisitor&), Model fit(const Data&) const
// and a model struct M with
//   FitSummary summary; FeatureSchema schema; Index features() const; void to_record(Record&) const;
//   static M from_record(const Record&); void describe_scoring(ParameterVisitor&);
//   ColumnTable predict(const Data&) const; Metrics evaluate(const Data&) const;
//   ColumnTable recommend(const Context&, Index top, bool for_items) const, ClassLabels classes   (optional)
namespace detail {

void schema_to_record(const FeatureSchema& schema, Record& record);
FeatureSchema schema_from_record(const Record& record);
/// Collective, so that one rank speaks for all.
[[noreturn]] void throw_no_recommendations(const Context& context, std::string_view learner);
[[noreturn]] void throw_wrong_data(std::string_view learner);
[[noreturn]] void throw_wrong_learner(std::string_view expected, std::string_view found);

}  // namespace detail

/// A fitted model as write_model() takes it and `firesteel score` reads it; `learner` is its name in the
/// registry ("logistic", "kmeans", "als"). Local.
template <class Model>
Record model_to_record(std::string_view learner, const Model& model) {
  Record record;
  record.set("learner", std::string(learner));
  model.to_record(record);
  detail::schema_to_record(model.schema, record);
  summary_to_record(model.summary, record);
  return record;
}

/// The way back, from read_model(). Throws bad_input where the record is of another learner or damaged.
/// Local.
template <class Model>
Model model_from_record(std::string_view learner, const Record& record) {
  const auto& found = record.get<std::string>("learner");
  if (found != learner) detail::throw_wrong_learner(learner, found);
  auto model = Model::from_record(record);
  model.schema = detail::schema_from_record(record);
  model.summary = summary_from_record(record);
  return model;
}

namespace detail {

template <class Data>
const Data& data_of(const LearnerData& data, std::string_view learner) {
  if (const Data* typed = std::get_if<Data>(&data)) return *typed;
  throw_wrong_data(learner);
}

template <class Learner>
class ModelAdapter final : public AnyModel {
 public:
  using Model = typename Learner::Model;
  using Data = typename Learner::Data;

  ModelAdapter(std::string_view name, Model model) : name_(name), model_(std::move(model)) {}

  const FitSummary& summary() const override { return model_.summary; }
  const FeatureSchema& schema() const override { return model_.schema; }
  Index features() const override { return model_.features(); }
  const ClassValues* classes() const override {
    if constexpr (requires { model_.classes.values(); })
      return &model_.classes.values();
    else
      return nullptr;
  }
  Record to_record() const override { return model_to_record(name_, model_); }
  void describe_scoring(ParameterVisitor& visitor) override { model_.describe_scoring(visitor); }
  ColumnTable predict(const LearnerData& data) const override {
    return model_.predict(data_of<Data>(data, name_));
  }
  Metrics evaluate(const LearnerData& data) const override {
    return model_.evaluate(data_of<Data>(data, name_));
  }
  ColumnTable recommend(const Context& context, Index top, bool for_items) const override {
    if constexpr (requires { model_.recommend(context, top, for_items); })
      return model_.recommend(context, top, for_items);
    else
      throw_no_recommendations(context, name_);
  }

 private:
  std::string_view name_;
  Model model_;
};

template <class Learner>
class LearnerAdapter final : public AnyLearner {
 public:
  explicit LearnerAdapter(std::string_view name) : name_(name) {}
  void describe(ParameterVisitor& visitor) override { learner_.describe(visitor); }
  std::unique_ptr<AnyModel> fit(const LearnerData& data) const override {
    return std::make_unique<ModelAdapter<Learner>>(
        name_, learner_.fit(data_of<typename Learner::Data>(data, name_)));
  }
  Index row_bytes() const override {
    if constexpr (requires { learner_.row_bytes(); })
      return learner_.row_bytes();
    else
      return 0;
  }
  RatingNeeds rating_needs(const Ratings& ratings) const override {
    if constexpr (requires { learner_.rating_needs(ratings); })
      return learner_.rating_needs(ratings);
    else
      throw_wrong_data(name_);
  }

 private:
  std::string_view name_;
  Learner learner_;
};

}  // namespace detail

/// The registry line of a learner.
template <class Learner>
LearnerEntry learner_entry(std::string_view name, Task task, std::string_view summary) {
  return {name,
          task,
          summary,
          [name]() -> std::unique_ptr<AnyLearner> {
            return std::make_unique<detail::LearnerAdapter<Learner>>(name);
          },
          [name](const Record& record) -> std::unique_ptr<AnyModel> {
            return std::make_unique<detail::ModelAdapter<Learner>>(
                name, model_from_record<typename Learner::Model>(name, record));
          },
          [](ParameterVisitor& visitor) {
            typename Learner::Model model{};
            model.describe_scoring(visitor);
          }};
}

/// All learners, by name. An explicit table: static initialisers would be dropped by static linking.
const std::vector<LearnerEntry>& learners();
/// The entry of that name; nullptr if there is none.
const LearnerEntry* find_learner(std::string_view name);

}  // namespace firesteel
