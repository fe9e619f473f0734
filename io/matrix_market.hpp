// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "firesteel/core/index.hpp"

namespace firesteel {

/// The header of a Matrix Market file: its banner, comments and sizes.
struct MatrixMarketHeader {
  enum class Symmetry { general, symmetric, skew_symmetric };

  bool coordinate = false;  ///< entries with their places; else all values, column by column
  bool pattern = false;     ///< entries without values: 1 each
  Symmetry symmetry = Symmetry::general;
  Index rows = 0;
  Index columns = 0;
  Index records = 0;         ///< lines of data that follow
  Index header_records = 0;  ///< lines that are not blank before them
};

inline constexpr std::string_view kMatrixMarketBanner = "%%MatrixMarket";

/// Parses the begin of a file; `text` must hold the whole header. Throws bad_input without a place: another
/// kind of file, complex or hermitian values, sizes that are none.
MatrixMarketHeader parse_matrix_market(std::string_view text);

}  // namespace firesteel
