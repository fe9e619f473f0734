// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "firesteel/core/context.hpp"

namespace firesteel {

/// The ranks of `context` with new numbers, so that as many bytes of the inputs as can be lie on the disks of
/// the host that reads them: rows lie in rank order, so the rank with number r reads the r-th of P equal
/// shares of the bytes, and HDFS says which hosts hold its blocks. Results do not depend on who holds which
/// rows. Rank 0 stays, since it speaks and writes. `inputs` are paths, directories, patterns and URLs, as
/// find_inputs() takes them.
///
/// Returns `context` itself where that would bring less than a 20th of the bytes nearer: on one host, for
/// other stores, where the NameNode does not say where blocks are (Hadoop before 3.3), where inputs are not
/// to be found, which reading them will say. A rank's host is known by its name and addresses, or by
/// FIRESTEEL_HOST.
/// --verbose shows what was found (Monitor::note). Collective; throws 69 where a store does not answer. Cost:
/// a request a file, spread over the ranks.
Context near_blocks(const Context& context, const std::vector<std::string>& inputs);

}  // namespace firesteel
