// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "firesteel/core/columns.hpp"
#include "firesteel/core/context.hpp"

namespace firesteel {

/// Ids of users or items: distinct, ascending (numbers by value, texts by byte). Replicated.
using IdList = std::variant<std::vector<std::int64_t>, std::vector<std::string>>;

Index id_count(const IdList& ids);

/// The ids `which` (positions) as a column.
ColumnValues ids_at(const IdList& ids, const std::vector<std::int32_t>& which);

/// The distinct ids of a column over all ranks, and where each local row's id stands among them.
struct IndexedIds {
  IdList ids;                       ///< replicated
  std::vector<std::int32_t> index;  ///< one a local row
};

/// Numbers the ids of one column of all ranks. Every rank finds its distinct ids, deals them by value ranges
/// (splitters from samples), sorts and joins: the list is a function of the data alone. Collective. Throws
/// bad_input for a column that is neither whole numbers nor texts, and for more than 2³¹ − 1 ids.
/// Communication a rank: its distinct ids once, then the list.
IndexedIds index_ids(const Context& context, const ColumnValues& column, std::string_view what);

/// The position in `ids` of every id of `column`, −1 where there is none. Where one side is numbers and the
/// other texts they are compared as texts: 7 is "7", not "07". Local.
std::vector<std::int32_t> find_ids(const IdList& ids, const ColumnValues& column, int threads);

/// The first random key of an id: the number itself, or a 64-bit hash (FNV-1a) of the text.
std::uint64_t id_key(const IdList& ids, Index position);

}  // namespace firesteel
