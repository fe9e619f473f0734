// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "firesteel/core/context.hpp"
#include "firesteel/io/read_options.hpp"
#include "firesteel/io/table.hpp"

namespace firesteel {

/// The probabilities of a summary's quantiles.
inline constexpr double kSummaryQuantiles[] = {0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99};
/// Different values of a column that are counted one by one.
inline constexpr Index kMostDistinct = 65'536;
/// Numbers, of all columns and ranks together, up to which quantiles are exact: 8 bytes each.
inline constexpr Index kMostExactNumbers = Index{1} << 25;
/// Beyond: quantiles within this share of the value.
inline constexpr double kSketchAccuracy = 1.0 / 256;

/// What one column holds. Missing values are counted and else left out; numbers that are undefined are NaN.
struct ColumnSummary {
  std::string name;
  TableKind kind = TableKind::real;
  Index values = 0;  ///< that are not missing
  Index missing = 0;

  // Of numbers.
  double mean = 0;  ///< of the exact sum
  double sd = 0;    ///< of a sample: √(Σ(x − mean)² / (n − 1)), from exact sums; NaN for n < 2
  double min = 0;
  double max = 0;
  Index zeros = 0;
  std::vector<double> quantiles;  ///< at kSummaryQuantiles, by linear interpolation (type 7)
  bool exact_quantiles = true;

  // Of texts: lengths in bytes.
  Index shortest = 0;
  Index longest = 0;

  // Of texts and whole numbers.
  Index distinct = 0;          ///< exact up to kMostDistinct, beyond an estimate (standard error 0.4 %)
  bool exact_distinct = true;  ///< then `top` holds all values
  struct Counted {
    std::string value;
    Index count = 0;
  };
  std::vector<Counted> top;  ///< the most frequent first, of equals the smaller; none beyond kMostDistinct
};

struct DataSummary {
  std::string format;
  Index rows = 0;
  bool sparse = false;
  Index nonzeros = 0;  ///< of sparse rows: entries that are stored
  std::vector<ColumnSummary> columns;
};

/// Describes every column of a data set: files of named columns with all of them, other formats with features
/// (f0, f1, … without names), label and weight. The same numbers to the bit for any ranks and threads. Memory
/// of a rank, from the pool: 8 bytes for each of its numbers up to kMostExactNumbers of all ranks, beyond at
/// most 4 MB a column. `top`: so many values. Sparse rows of more than kMostSparseColumns columns have no
/// summaries of columns. Collective; throws as reading does.
inline constexpr Index kMostSparseColumns = 10'000;
DataSummary describe_data(const Context& context, const ReadOptions& options, Index top);

}  // namespace firesteel
