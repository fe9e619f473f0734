// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "firesteel/io/store.hpp"

namespace firesteel {

/// Store::put() of HDFS: a temporary file beside the target, renamed over it.
void hdfs_put(const std::string& path, const std::string& local);

/// Pieces of HDFS: temporary files beside the target, put together by CONCAT, and renamed over it. A piece is
/// what one process of many has of the file, or a block where that is more, so that a file has few blocks
/// that are not full. As Store has them.
PiecesBegun hdfs_begin_pieces(const std::string& path, Index bytes, int processes);
std::string hdfs_put_piece(const std::string& path, const std::string& id, Index number,
                           const std::string& local, Index begin, Index end);
/// False where the server refuses CONCAT: HDFS before 2.7 does for blocks that are not full, encryption zones
/// and gateways to other stores do always.
bool hdfs_join_pieces(const std::string& path, const std::string& id, const std::vector<std::string>& told);
void hdfs_give_up_pieces(const std::string& path, const std::string& id, Index count) noexcept;

}  // namespace firesteel
