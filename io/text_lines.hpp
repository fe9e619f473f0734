// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "firesteel/core/dataset.hpp"

namespace firesteel {

/// The lines of a text file, or of a URL (store.hpp), in order, without their ends ("\n" or "\r\n"); a last
/// line without an end counts. Every rank reads its own byte range: once now, to number the lines, and block
/// by block whenever an action runs, so that the file need not fit in memory. Errors of functions on lines
/// name file and line
/// ("words.txt:18: …"). Collective; throws 66 where the file cannot be read, 74 where reading fails midway or
/// the file has changed since. Cost: two sweeps over the file; memory: 8 bytes a block, one block a thread.
Dataset<std::string> read_lines(const Context& context, const std::string& path);

}  // namespace firesteel
