// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "firesteel/core/communicator.hpp"
#include "firesteel/io/output_file.hpp"

namespace firesteel {

/// A file that ranks have written in ranges, each into a local file of its own at the place that a range has
/// in the whole, on its way to a store. Where the store takes pieces, each is sent by the rank that has most
/// of it; other ranks give it what they have, so that next to nothing goes through rank 0. Else rank 0 gets
/// all and sends it.
///
/// Cost: the bytes of pieces that lie across ranks travel once between ranks; a rank's scratch holds what it
/// has written and what it sends.
class SharedUpload {
 public:
  using Run = std::pair<Index, Index>;  ///< bytes [first, second)

  /// `own`: this rank's file; `runs`: what of it this rank has written, in order. A byte is another rank's
  /// where rank 0 and that one have written it. Collective.
  SharedUpload(Communicator& comm, const OutputFile& own, const std::vector<Run>& runs);

  /// Makes the file appear. Collective; throws 74 on all ranks.
  void send();

 private:
  struct Range {
    Index begin = 0;
    Index end = 0;
    int rank = 0;
  };
  /// A piece of the file and the rank that sends it.
  using Piece = Range;

  void find_owners(const std::vector<Run>& runs);
  std::vector<Piece> cut(Index piece_bytes) const;
  void bring(const std::vector<Piece>& pieces);
  std::vector<std::string> put(const std::vector<Piece>& pieces, const std::string& id);
  bool send_in_pieces(const std::string& id, Index piece_bytes);

  Communicator& comm_;
  const OutputFile& own_;
  Index bytes_ = 0;           ///< of the whole file
  std::vector<Range> owned_;  ///< by place; they do not overlap
};

}  // namespace firesteel
