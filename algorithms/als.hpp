// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "firesteel/algorithms/als_ids.hpp"
#include "firesteel/algorithms/learner.hpp"

namespace firesteel {

struct AlsModel;

/// Alternating least squares: ratings R ≈ U Vᵀ. Minimises
///   explicit  Σ_rated (r − u·v)² + λ (Σ_u n_u ‖u‖² + Σ_i n_i ‖v_i‖²),    n = ratings of the user or item
///   implicit  Σ_all c (p − u·v)² + the same penalty,  c = 1 + α|r|, p = [r > 0],  n = positive ratings
/// One iteration solves for all item factors, then for all user factors. A pair rated twice counts twice.
/// Notation: U users x rank, V items x rank, partitioned by ranges of ids while fitting, replicated in the
/// model | ratings partitioned twice, by user and by item.
/// Source: Zhou et al. 2008, doi:10.1007/978-3-540-68880-8_32; Hu, Koren & Volinsky 2008,
/// doi:10.1109/ICDM.2008.22. Cost of an iteration: 2·ratings·rank² + (users + items)·rank³/3 flops; each
/// factor row is sent once to each rank that needs it. See docs/learners/als.md.
struct Als {
  Index rank = 10;
  Index max_iter = 10;
  double reg_param = 0.1;
  bool implicit_prefs = false;
  double alpha = 1.0;
  bool nonnegative = false;
  std::string solver = "cholesky";          ///< of the normal equations: "cholesky" or "cg"
  Index cg_steps = 3;                       ///< of conjugate gradients, an entity and half-step
  std::string cold_start_strategy = "nan";  ///< "nan" or "drop"
  std::uint64_t seed = 0;

  using Data = Ratings;
  using Model = AlsModel;

  void describe(ParameterVisitor& visitor);
  /// Collective. Throws bad_parameter for a parameter out of range; bad_input where there are no ratings, a
  /// rating is not finite, ids are neither whole numbers nor texts, or numbers overflow.
  AlsModel fit(const Ratings& data) const;
  /// What fit() would hold and read of these ratings. Collective; throws as fit() does for ids. Cost: a sweep
  /// over the ids.
  RatingNeeds rating_needs(const Ratings& data) const;
};

/// Factors of all users and items, by ascending id. Replicated.
struct AlsModel {
  Als parameters;
  IdList user_ids;
  IdList item_ids;
  std::vector<double> user_factors;  ///< users x rank, row-major
  std::vector<double> item_factors;  ///< items x rank, row-major
  std::string user_name = "user";    ///< column names of the training data
  std::string item_name = "item";
  Index num_ratings = 0;
  FitSummary summary;
  FeatureSchema schema;

  Index features() const { return 0; }
  Index num_users() const { return id_count(user_ids); }
  Index num_items() const { return id_count(item_ids); }

  void to_record(Record& record) const;
  /// Throws bad_input where shapes do not fit or ids are not ascending.
  static AlsModel from_record(const Record& record);
  void describe_scoring(ParameterVisitor& visitor);

  /// u·v for each local row, coordinates ascending; NaN where the user or the item is unknown. Throws
  /// bad_input for columns of different lengths. Local.
  std::vector<double> predictions(const Ratings& data) const;
  /// Columns user and item (as in the data, under its names) and `prediction`, one row a row. Rows of an
  /// unknown user or item are left out under cold_start_strategy "drop". Collective.
  ColumnTable predict(const Ratings& data) const;

  /// Over the rows whose user and item are known (`rows_scored` of them). Explicit: rmse, mse, mae, r2.
  /// Implicit: map_at_10, ndcg_at_10: all items of the model are ranked by prediction for each user (ties by
  /// id); relevant are the user's distinct items rated above 0; mean over users that have any. Undefined:
  /// NaN. Collective.
  Metrics evaluate(const Ratings& data) const;

  /// The `top` items (all, if fewer) of the largest prediction for every user, or users for every item. Rows
  /// by ascending id of whom is recommended to, best first, ties by id; columns user, item, prediction. The
  /// rows are partitioned over the ranks. Collective.
  ColumnTable recommend(const Context& context, Index top, bool for_items) const;
};

}  // namespace firesteel
