// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "firesteel/core/index.hpp"

namespace firesteel {

/// A file open for reading at any place, of a disk or of a store with a URL. Local; threads may read at the
/// same time.
class InputFile {
 public:
  InputFile(std::string path, Index bytes) : path_(std::move(path)), bytes_(bytes) {}
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;
  virtual ~InputFile() = default;

  /// As messages name it.
  const std::string& path() const { return path_; }
  /// What it had when it was opened.
  Index bytes() const { return bytes_; }

  /// Fills `out` from byte `offset` on; returns how much of it, which is less only where the file ends.
  /// Throws io_failed (74) with the path, at place {file, offset}.
  virtual std::size_t read_at(Index offset, std::span<char> out, Index file = 0) const = 0;

  /// Says that this process will read the bytes [begin, end): a store starts to fetch them.
  virtual void expect(Index begin, Index end) const;
  /// Says that this process has read the bytes [begin, end) for the last time: what a store keeps of them may
  /// go. Read again they are fetched again.
  virtual void let_go(Index begin, Index end) const;
  /// Of a file of this machine, to be mapped; −1 where it is none.
  virtual int descriptor() const { return -1; }

 private:
  std::string path_;
  Index bytes_;
};

/// What a store says of a path.
struct StoredFile {
  std::string path;
  bool directory = false;
  Index bytes = 0;
  std::string version;  ///< another one where the file has changed; of a form that its store knows
};

/// A part of a file that machines of the store hold on their own disks.
struct StoredBlock {
  Index begin = 0;
  Index end = 0;
  std::vector<std::string> hosts;  ///< their names and addresses, without ports
};

/// A file that several processes bring to a store in pieces, numbered from 0, of which the last may be
/// shorter.
struct PiecesBegun {
  std::string id;         ///< by which the store knows it
  Index piece_bytes = 0;  ///< 0: it takes the file by put() alone
};

/// Where files lie: a file system, a web server, a bucket, HDFS. Local; every failure is an Error that names
/// the path: 66 absent or refused, 69 no answer, 73, 74.
class Store {
 public:
  virtual ~Store() = default;

  /// What lies at the path; nullopt where nothing does. Throws 66 where it cannot be read.
  virtual std::optional<StoredFile> look_at(const std::string& path) = 0;
  /// What is in a directory, in any order; what is neither a file nor a directory has no version.
  virtual std::vector<StoredFile> list(const std::string& directory) = 0;
  /// False where directories and patterns mean nothing.
  virtual bool lists() const { return true; }
  virtual std::shared_ptr<const InputFile> open(const StoredFile& file) = 0;

  /// The blocks that bytes [begin, end) of a file lie in; nothing where the store does not say.
  virtual std::vector<StoredBlock> blocks(const std::string& /*path*/, Index /*begin*/, Index /*end*/) {
    return {};
  }

  /// Throws 73 where nothing can be written at the path, as far as can be told beforehand.
  virtual void check_can_create(const std::string& path) = 0;
  /// Makes a file of the bytes of a local one, so that it appears whole or not at all. Throws 73, 74.
  virtual void put(const std::string& path, const std::string& local) = 0;
  /// Begins a file of so many bytes, for so many processes. Throws 74.
  virtual PiecesBegun begin_pieces(const std::string& /*path*/, Index /*bytes*/, int /*processes*/) {
    return {};
  }
  /// Brings bytes [begin, end) of a local file as a piece; by any process, in any order. Returns what
  /// join_pieces() must know of it. Throws 74.
  virtual std::string put_piece(const std::string& path, const std::string& id, Index number,
                                const std::string& local, Index begin, Index end);
  /// Makes the file appear, whole or not at all, when all pieces are there: `told` is what put_piece() has
  /// returned of each. False where this store does not put them together. Throws 74.
  virtual bool join_pieces(const std::string& path, const std::string& id,
                           const std::vector<std::string>& told);
  /// Removes pieces that were not joined, as far as that is possible.
  virtual void give_up_pieces(const std::string& path, const std::string& id, Index count) noexcept;
  /// Removes a file; nothing happens where there is none. Throws 74.
  virtual void remove(const std::string& path) = 0;
  /// Removes a directory that is empty, where the store has such things. Throws 74 where it is not empty.
  virtual void remove_directory(const std::string& /*path*/) {}
};

/// True for scheme://…
bool is_url(const std::string& path);

/// The store that holds a path. Throws 64 where a URL is wrong or of a scheme that is not known, 69 where
/// this build has no stores.
Store& store_of(const std::string& path);

/// Opens a file for reading. A URL is looked at once in a process, unless adopt_input() has said what it is:
/// all who open it share what was fetched. Throws 66, 69, at place {file, 0}.
std::shared_ptr<const InputFile> open_input(const std::string& path, Index file = 0);

/// Tells this process what another one has found at a URL, so that all read the same version.
void adopt_input(const StoredFile& found);

/// Lets go of what open_input() keeps.
void forget_inputs();

/// The directory for what is fetched from stores, and for what goes to them; $TMPDIR or /tmp until then.
void set_store_scratch(const std::string& directory);
const std::string& store_scratch();

/// The name by which messages may call a URL: without what a query may hold in secrets. Paths stay as they
/// are. store_of() and open_input() know the URL by it.
std::string shown_name(const std::string& path);
/// The URL itself.
std::string full_url(const std::string& shown);

/// Keeps the exception that is being handled where a C library stands between reader and store; thrown again
/// by rethrow_failed_read() of the same thread.
void keep_failed_read() noexcept;
void rethrow_failed_read();

}  // namespace firesteel
