// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/text_output.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>
#include <numeric>
#include <optional>
#include <system_error>
#include <vector>

#include "firesteel/core/error.hpp"
#include "firesteel/core/parallel.hpp"
#include "firesteel/io/output_file.hpp"

namespace firesteel {

namespace {

constexpr Index kChunkRows = 512;
constexpr std::size_t kKeptBytes = std::size_t{256} << 20;
constexpr std::size_t kPieceBytes = std::size_t{4} << 20;
constexpr int kPieceTag = 0x2001;

/// This rank's rows as chunks of text: measured first, then handed out.
class Chunks {
 public:
  Chunks(const Context& context, Index rows, FormatRows format) : rows_(rows), format_(format) {
    const auto kept_bytes = std::min(kKeptBytes, static_cast<std::size_t>(context.memory()->available() / 2));
    const Index count = (rows + kChunkRows - 1) / kChunkRows;
    texts_.resize(static_cast<std::size_t>(count));
    offsets_.assign(static_cast<std::size_t>(count) + 1, 0);
    std::atomic<std::size_t> kept{0};
    parallel_for(context.threads(), count, [&](Index chunk, int) {
      std::string text = make(chunk);
      const auto i = static_cast<std::size_t>(chunk);
      offsets_[i + 1] = static_cast<Index>(text.size());
      if (kept.fetch_add(text.size()) + text.size() <= kept_bytes) texts_[i] = std::move(text);
    });
    std::partial_sum(offsets_.begin(), offsets_.end(), offsets_.begin());
  }

  Index count() const { return static_cast<Index>(texts_.size()); }
  Index bytes() const { return offsets_.back(); }
  Index offset(Index chunk) const { return offsets_[static_cast<std::size_t>(chunk)]; }
  std::string text(Index chunk) {
    std::string& kept = texts_[static_cast<std::size_t>(chunk)];
    return kept.empty() ? make(chunk) : std::move(kept);
  }

 private:
  std::string make(Index chunk) const {
    std::string text;
    format_(chunk * kChunkRows, std::min(rows_, (chunk + 1) * kChunkRows), text);
    return text;
  }

  Index rows_;
  FormatRows format_;
  std::vector<std::string> texts_;
  std::vector<Index> offsets_;
};

void write_stdout(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(STDOUT_FILENO, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0)
      throw Error(ErrorCode::io_failed,
                  "writing to standard output failed: " + std::generic_category().message(errno));
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

/// This rank's text from the beginning, some more at each call.
using NextText = FunctionRef<std::string()>;

/// Rank 0 prints its own text, `bytes` of it, then that of the others as it arrives in pieces. After a
/// failure it still receives, so that nobody waits.
void print_in_rank_order(Communicator& comm, const std::string& header, Index bytes, NextText next) {
  const auto sizes = comm.allgather(bytes);
  std::exception_ptr failure;
  const auto guarded = [&](auto&& body) {
    try {
      if (!failure) body();
    } catch (...) {
      failure = std::current_exception();
    }
  };
  std::vector<char> buffer = comm.collectively([&] { return std::vector<char>(kPieceBytes); });
  if (comm.rank() == 0) {
    guarded([&] {
      write_stdout(header);
      for (Index left = bytes; left > 0;) {
        const std::string text = next();
        write_stdout(text);
        left -= static_cast<Index>(text.size());
      }
    });
    for (int peer = 1; peer < comm.size(); ++peer) {
      for (Index left = sizes[static_cast<std::size_t>(peer)]; left > 0;) {
        const std::size_t length = comm.receive(std::as_writable_bytes(std::span(buffer)), peer, kPieceTag);
        guarded([&] { write_stdout({buffer.data(), length}); });
        left -= static_cast<Index>(length);
      }
    }
  } else {
    std::string text;
    for (Index left = bytes; left > 0;) {
      const auto length = std::min<std::size_t>(kPieceBytes, static_cast<std::size_t>(left));
      guarded([&] {
        while (text.size() < length) text += next();
        std::memcpy(buffer.data(), text.data(), length);
        text.erase(0, length);
      });
      comm.send(std::as_bytes(std::span(buffer.data(), length)), 0, kPieceTag);
      left -= static_cast<Index>(length);
    }
  }
  comm.agree(failure);
}

/// From byte `begin` of the file on. Local.
void write_chunks(const Context& context, SharedOutputFile& file, Index begin, Chunks& chunks) {
  parallel_for(context.threads(), chunks.count(), [&](Index chunk, int) {
    const std::string text = chunks.text(chunk);
    file.write_at(begin + chunks.offset(chunk), std::as_bytes(std::span(text)));
  });
}

}  // namespace

void append_number(std::string& out, double value) {
  if (std::isnan(value)) {
    out += "nan";
  } else if (std::isinf(value)) {
    out += value > 0 ? "inf" : "-inf";
  } else {
    std::array<char, 32> text;
    out.append(text.data(), std::to_chars(text.data(), text.data() + text.size(), value).ptr);
  }
}

void append_number(std::string& out, std::int64_t value) {
  std::array<char, 24> text;
  out.append(text.data(), std::to_chars(text.data(), text.data() + text.size(), value).ptr);
}

void append_field(std::string& out, std::string_view text, char delimiter) {
  const auto blank = [](char c) { return c == ' ' || c == '\t'; };
  const bool plain = text.find_first_of("\"\r\n") == std::string_view::npos &&
                     text.find(delimiter) == std::string_view::npos &&
                     (text.empty() || (!blank(text.front()) && !blank(text.back())));
  if (plain) {
    out += text;
    return;
  }
  out += '"';
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  out += '"';
}

void write_text(const Context& context, const std::string& path, const std::string& header, Index local_rows,
                FormatRows format) {
  Communicator& comm = context.comm();
  if (path == "-") {
    Chunks chunks = comm.collectively([&] { return Chunks(context, local_rows, format); });
    Index chunk = 0;
    return print_in_rank_order(comm, header, chunks.bytes(), [&] { return chunks.text(chunk++); });
  }
  SharedOutputFile file(comm, path);
  Chunks chunks = comm.collectively([&] { return Chunks(context, local_rows, format); });
  const Index begin = static_cast<Index>(header.size()) + comm.exclusive_scan(chunks.bytes());
  comm.collectively([&] {
    if (comm.rank() == 0) file.write_at(0, std::as_bytes(std::span(header)));
    write_chunks(context, file, begin, chunks);
  });
  file.commit();
}

void write_text(const Context& context, const std::string& path, const std::string& header, Index parts,
                FunctionRef<TextRows(Index part)> part) {
  Communicator& comm = context.comm();
  std::optional<SharedOutputFile> file;
  if (path != "-") file.emplace(comm, path);
  const Index bytes = comm.collectively([&] {
    Index sum = 0;
    for (Index p = 0; p < parts; ++p) {
      const TextRows rows = part(p);
      sum += Chunks(context, rows.count, rows.format).bytes();
    }
    return sum;
  });
  if (!file) {
    Index next = 0;
    return print_in_rank_order(comm, header, bytes, [&] {
      std::string text;
      const TextRows rows = part(next++);
      rows.format(0, rows.count, text);
      return text;
    });
  }
  Index begin = static_cast<Index>(header.size()) + comm.exclusive_scan(bytes);
  comm.collectively([&] {
    if (comm.rank() == 0) file->write_at(0, std::as_bytes(std::span(header)));
    for (Index p = 0; p < parts; ++p) {
      const TextRows rows = part(p);
      Chunks chunks(context, rows.count, rows.format);
      write_chunks(context, *file, begin, chunks);
      begin += chunks.bytes();
    }
  });
  file->commit();
}

}  // namespace firesteel
