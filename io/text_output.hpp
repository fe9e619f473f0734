// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "firesteel/core/context.hpp"
#include "firesteel/core/function_ref.hpp"

namespace firesteel {

/// Appends the shortest decimals that read back to the same double, as number_text().
void append_number(std::string& out, double value);
void append_number(std::string& out, std::int64_t value);

/// Appends a CSV field, quoted where a reader would otherwise lose something: delimiters, quotes, line
/// breaks, blanks at either end.
void append_field(std::string& out, std::string_view text, char delimiter);

/// Appends the text of this rank's rows [first, end), line breaks included. Called more than once for the
/// same rows and by several threads at once; must give the same text each time.
using FormatRows = FunctionRef<void(Index first, Index end, std::string& out)>;

/// Writes a header and then all ranks' rows, in rank order, as one text file that appears whole or not at
/// all;
/// "-" is standard output. Every rank formats and writes its own rows, in parallel. Text is kept between
/// measuring and writing up to 256 MB a rank, or half of what its account of memory has left, and formatted
/// again beyond that. Collective; throws 73, 74.
void write_text(const Context& context, const std::string& path, const std::string& header, Index local_rows,
                FormatRows format);

/// Some rows and what formats them, as FormatRows; holds what it needs of them.
struct TextRows {
  Index count = 0;
  std::function<void(Index first, Index end, std::string& out)> format;
};

/// The same of rows that do not lie in memory all at once: this rank's are those of part(0), part(1), …, each
/// of which is made twice, to be measured and to be written. Collective; throws 73, 74.
void write_text(const Context& context, const std::string& path, const std::string& header, Index parts,
                FunctionRef<TextRows(Index part)> part);

}  // namespace firesteel
