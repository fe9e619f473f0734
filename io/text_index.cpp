// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/text_index.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "firesteel/core/error.hpp"
#include "firesteel/core/parallel.hpp"
#include "firesteel/io/libsvm_scan.hpp"

namespace firesteel {

namespace {

constexpr Index kMinPieceBytes = 64;
constexpr Index kMaxPieceBytes = Index{1} << 20;
constexpr Index kLeastForcedBytes = 4;  // a byte-order mark is not cut
constexpr Index kPiecesPerRank = 64;
constexpr Index kMaxPieces = Index{1} << 18;

std::size_t size(Index i) { return static_cast<std::size_t>(i); }

/// Tests cut texts at places of their own by FIRESTEEL_PIECE_BYTES, the same on every rank; 0: not set.
Index forced_piece_bytes() {
  const char* forced = std::getenv("FIRESTEEL_PIECE_BYTES");
  if (forced == nullptr || *forced == '\0') return 0;
  char* end = nullptr;
  const Index bytes = std::strtoll(forced, &end, 10);
  if (*end != '\0' || bytes < kLeastForcedBytes || bytes > kMaxPieceBytes)
    throw bad_parameter("FIRESTEEL_PIECE_BYTES must be in 4 … " + std::to_string(kMaxPieceBytes) + ", got '" +
                        std::string(forced) + "'");
  return bytes;
}

/// What a piece holds once the state it is entered in is known.
struct Piece {
  Index line_start = -1;  ///< offset in the file of the first line that starts here, −1: none
  Index records_before = 0;
  Index records = 0;
  Index line_breaks = 0;
  Index entries = 0;
  Index largest_index = -1;
};

struct PieceCandidates {
  std::array<PieceScan, kLineStates> scans;
  Index base = 0;  ///< offset in the file where the scanned text begins
  Index line_breaks = 0;
  LibsvmCount libsvm;
};

/// Cuts files into pieces and deals pieces to ranks.
class Pieces {
 public:
  Pieces(const TextFiles& files, int ranks) : files_(files) {
    const Index total = files.total_bytes();
    piece_bytes = std::clamp(total / (ranks * kPiecesPerRank), kMinPieceBytes, kMaxPieceBytes);
    if (const Index forced = forced_piece_bytes(); forced > 0) piece_bytes = forced;
    piece_bytes = std::max(piece_bytes, total / kMaxPieces);
    first.push_back(0);
    for (const Index bytes : files.sizes)
      first.push_back(first.back() + (bytes + piece_bytes - 1) / piece_bytes);
  }
  Index count() const { return first.back(); }
  Index file_of(Index piece) const {
    return std::upper_bound(first.begin(), first.end(), piece) - first.begin() - 1;
  }
  Index begin(Index piece) const { return (piece - first[size(file_of(piece))]) * piece_bytes; }
  Index end(Index piece) const { return std::min(begin(piece) + piece_bytes, files_.size(file_of(piece))); }

  Index piece_bytes;
  std::vector<Index> first;

 private:
  const TextFiles& files_;
};

/// Announces the bytes of pieces [begin, end).
void expect_pieces(const TextFiles& files, const Pieces& pieces, Index begin, Index end) {
  for (Index piece = begin; piece < end;) {
    const Index file = pieces.file_of(piece);
    const Index next = std::min(end, pieces.first[size(file) + 1]);
    files.expect(file, pieces.begin(piece), pieces.end(next - 1));
    piece = next;
  }
}

PieceCandidates scan_one(const Pieces& pieces, Index number, TextReader& reader, const TextDialect& dialect) {
  const Index file = pieces.file_of(number);
  const Index begin = pieces.begin(number);
  // An index may be cut by the piece's begin, so its digits are looked for before it.
  Index lead = dialect.comments ? std::min<Index>(begin, kLibsvmLeadBytes) : 0;
  auto text = reader.read(file, begin - lead, pieces.end(number));
  PieceCandidates result;
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  bool marked = begin == lead && std::string_view(text.data(), text.size()).starts_with(kByteOrderMark);
  if (marked) text = text.subspan(kByteOrderMark.size());
  if (marked && lead > 0) {  // a piece holds a mark whole or not at all
    lead -= static_cast<Index>(kByteOrderMark.size());
    marked = false;
  }
  if (dialect.comments) result.libsvm = count_libsvm(text, static_cast<std::size_t>(lead));
  text = text.subspan(size(lead));
  result.line_breaks = count_line_breaks(text);
  result.base = begin + (marked ? static_cast<Index>(kByteOrderMark.size()) : 0);
  result.scans = scan_piece(text, dialect);
  return result;
}

/// The state in which this rank's first piece is entered: the ranks' transitions, composed.
LineState entry_state(Communicator& comm, const Pieces& pieces, Index begin,
                      const std::vector<PieceCandidates>& own) {
  std::array<LineState, kLineStates> transition{};
  for (std::size_t s = 0; s < transition.size(); ++s) {
    auto state = static_cast<LineState>(s);
    for (std::size_t i = 0; i < own.size(); ++i) {
      if (pieces.begin(begin + static_cast<Index>(i)) == 0) state = LineState::line_start;
      state = own[i].scans[static_cast<std::size_t>(state)].end;
    }
    transition[s] = state;
  }
  const auto all = comm.allgather(transition);
  LineState state = LineState::line_start;
  for (int rank = 0; rank < comm.rank(); ++rank) state = all[size(rank)][static_cast<std::size_t>(state)];
  return state;
}

std::vector<Piece> settle(const Pieces& pieces, Index begin, const std::vector<PieceCandidates>& own,
                          LineState state) {
  std::vector<Piece> settled;
  for (std::size_t i = 0; i < own.size(); ++i) {
    if (pieces.begin(begin + static_cast<Index>(i)) == 0) state = LineState::line_start;
    const PieceScan& scan = own[i].scans[static_cast<std::size_t>(state)];
    const LibsvmCount& libsvm = own[i].libsvm;
    settled.push_back({.line_start = scan.line_start < 0 ? -1 : own[i].base + scan.line_start,
                       .records_before = scan.record_before ? 1 : 0,
                       .records = scan.records,
                       .line_breaks = own[i].line_breaks,
                       .entries = libsvm.entries,
                       .largest_index = std::max(libsvm.largest_index,
                                                 state == LineState::quoted ? -1 : libsvm.first_line_index)});
    state = scan.end;
  }
  return settled;
}

/// Joins pieces to extents that begin at line starts.
TextIndex join(const TextFiles& files, const TextDialect& dialect, const Pieces& pieces,
               const std::vector<Piece>& all) {
  TextIndex index{.dialect = dialect, .piece_bytes = pieces.piece_bytes, .first_piece = pieces.first};
  index.file_rows.resize(files.sizes.size());
  index.line_breaks.resize(all.size());
  for (std::size_t i = 0; i < all.size(); ++i) {
    const Piece& piece = all[i];
    const Index file = pieces.file_of(static_cast<Index>(i));
    index.line_breaks[i] = piece.line_breaks;
    index.largest_index = std::max(index.largest_index, piece.largest_index);
    const bool continues = !index.extents.empty() && index.extents.back().file == file;
    if (continues) {
      index.extents.back().rows += piece.records_before;
      index.extent_entries.back() += piece.entries;
      index.extents.back().end = piece.line_start < 0 ? pieces.end(static_cast<Index>(i)) : piece.line_start;
    }
    if (piece.line_start >= 0) {
      index.extents.push_back({file, piece.line_start, pieces.end(static_cast<Index>(i)), 0, piece.records});
      index.extent_entries.push_back(piece.entries);
    }
  }
  for (auto& extent : index.extents) {
    extent.first_row = index.rows;
    index.rows += extent.rows;
    index.file_rows[size(extent.file)] += extent.rows;
  }
  return index;
}

/// Text of two or four bytes a character has a byte order mark, or a zero beside its first character.
void refuse_wide_characters(const TextFiles& files, Index file, TextReader& reader) {
  const auto text = reader.read(file, 0, std::min<Index>(4, files.size(file)));
  const std::string_view bytes(text.data(), text.size());
  using namespace std::string_view_literals;
  const char* name = nullptr;
  if (bytes == "\xff\xfe\0\0"sv || bytes == "\0\0\xfe\xff"sv)
    name = "UTF-32";
  else if (bytes.starts_with("\xff\xfe"sv) || bytes.starts_with("\xfe\xff"sv) ||
           (bytes.size() >= 2 && (bytes[0] == '\0') != (bytes[1] == '\0')))
    name = "UTF-16";
  if (name != nullptr)
    throw bad_input(files.path(file) + " is " + name + " text, expected UTF-8: convert it by iconv -f " +
                        name + " -t UTF-8 " + files.path(file) + " > FILE",
                    {file, 0});
}

/// Lines that end with a carriage return alone, as old Mac OS wrote them: the file would be one line.
void refuse_bare_returns(const TextFiles& files, Index file, TextReader& reader) {
  constexpr Index kLooked = 4096;
  const auto text = reader.read(file, 0, std::min(kLooked, files.size(file)));
  if (std::find(text.begin(), text.end(), '\n') != text.end()) return;
  bool quoted = false;
  for (std::size_t i = 0; i + 1 < text.size(); ++i) {
    if (text[i] == '"') quoted = !quoted;
    if (text[i] == '\r' && !quoted)
      throw bad_input(files.path(file) +
                          ": its lines end with a bare carriage return, expected a line feed: convert it by "
                          "tr '\\r' '\\n' < " +
                          files.path(file) + " > FILE",
                      {file, 0});
  }
}

/// A record is read as one piece: none may be longer than this, so that no text makes a rank take more.
Index most_record_bytes(const Context& context) {
  constexpr Index kMost = Index{256} << 20;
  constexpr Index kLeast = Index{4} << 20;
  if (!context.memory()->strict()) return kMost;
  return std::clamp(context.memory()->limit() / 32, kLeast, kMost);
}

/// Where the last record of an extent begins, which goes on beyond its first piece.
Index last_record_begin(const TextFiles& files, const TextIndex& index, const TextExtent& extent) {
  TextReader reader(files);
  const Index end = std::min(extent.end, (extent.begin / index.piece_bytes + 1) * index.piece_bytes);
  const auto text = reader.read(extent.file, extent.begin, end);
  const char* const text_end = text.data() + text.size();
  const char* p = text.data();
  for (const char* next = p; next < text_end; next = skip_records(p, text_end, 1, index.dialect)) p = next;
  return extent.begin + (p - text.data());
}

void refuse_long_records(const TextFiles& files, const TextIndex& index, Index most) {
  for (const auto& extent : index.extents) {
    if (extent.end - extent.begin <= most + index.piece_bytes) continue;
    const Index begin = last_record_begin(files, index, extent);
    throw bad_input(
        files.path(extent.file) + ":" + std::to_string(line_of(files, index, extent.file, begin)) +
            ": a record from here on is longer than " + bytes_text(most) +
            (index.dialect.quotes ? ": is a quote not closed, or is it no text?" : ": is it text?"),
        {extent.file, begin});
  }
}

}  // namespace

TextIndex index_text(const Context& context, const TextFiles& files, const TextDialect& dialect) {
  Communicator& comm = context.comm();
  const Pieces pieces = comm.collectively([&] { return Pieces(files, comm.size()); });
  const Index begin = pieces.count() * comm.rank() / comm.size();
  const Index end = pieces.count() * (comm.rank() + 1) / comm.size();
  std::vector<PieceCandidates> own;
  comm.collectively([&] {
    TextReader reader(files);
    for (Index file = comm.rank(); file < files.count(); file += comm.size()) {
      refuse_wide_characters(files, file, reader);
      refuse_bare_returns(files, file, reader);
    }
  });
  comm.collectively([&] {
    own.resize(size(end - begin));
    expect_pieces(files, pieces, begin, end);
    std::vector<TextReader> readers;
    for (int thread = 0; thread < context.threads(); ++thread) readers.emplace_back(files);
    ReadProgress progress(context, false, (end - begin) * pieces.piece_bytes);
    parallel_for(context.threads(), end - begin, [&](Index i, int thread) {
      own[size(i)] = scan_one(pieces, begin + i, readers[size(thread)], dialect);
      progress.add(pieces.piece_bytes, thread);
    });
  });
  const LineState state = entry_state(comm, pieces, begin, own);
  const auto settled = comm.collectively([&] { return settle(pieces, begin, own, state); });
  const auto all = comm.allgatherv(std::span<const Piece>(settled));
  const Index most = most_record_bytes(context);
  return comm.collectively([&] {
    TextIndex index = join(files, dialect, pieces, all);
    refuse_long_records(files, index, most);
    return index;
  });
}

void drop_headers(TextIndex& index, const std::vector<Index>& header_ends) {
  index.rows = 0;
  std::fill(index.file_rows.begin(), index.file_rows.end(), 0);
  for (auto& extent : index.extents) {
    const Index header_end = header_ends[size(extent.file)];
    if (extent.begin < header_end) {
      extent.rows = std::max<Index>(0, extent.rows - 1);
      extent.begin = std::min(header_end, extent.end);
    }
    extent.first_row = index.rows;
    index.rows += extent.rows;
    index.file_rows[size(extent.file)] += extent.rows;
  }
}

std::pair<std::size_t, std::size_t> extents_of_rows(const TextIndex& index, Index first_row, Index end_row) {
  const auto& extents = index.extents;
  if (first_row >= end_row) return {0, 0};
  const auto begin = std::partition_point(extents.begin(), extents.end(), [&](const TextExtent& extent) {
    return extent.first_row + extent.rows <= first_row;
  });
  const auto end = std::partition_point(begin, extents.end(),
                                        [&](const TextExtent& extent) { return extent.first_row < end_row; });
  return {static_cast<std::size_t>(begin - extents.begin()), static_cast<std::size_t>(end - extents.begin())};
}

Index line_of(const TextFiles& files, const TextIndex& index, Index file, Index offset) {
  const Index first = index.first_piece[size(file)];
  const Index piece = first + offset / index.piece_bytes;
  Index line = 1;
  for (Index i = first; i < piece; ++i) line += index.line_breaks[size(i)];
  TextReader reader(files);
  return line + count_line_breaks(reader.read(file, offset / index.piece_bytes * index.piece_bytes, offset));
}

void ReadProgress::add(Index bytes, int thread) {
  const Index done = done_.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  context_->comm().activity().tick();
  if (thread == 0) context_->monitor().progress("reading", std::min(done, total_), total_);
}

}  // namespace firesteel
