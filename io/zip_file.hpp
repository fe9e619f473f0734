// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "firesteel/core/index.hpp"
#include "firesteel/io/store.hpp"

namespace firesteel {

/// A file of a zip archive: stored as it is, or deflated.
struct ZipMember {
  std::string name;
  bool deflated = false;
  Index begin = 0;  ///< of its bytes in the archive
  Index packed_bytes = 0;
  Index bytes = 0;
};

/// A zip archive of anybody's, with and without 64-bit sizes, or another file as the one member of an
/// archive. Lengths and places are checked against the file before they are used. Local; throws bad_input
/// (65) with the path, 66, 74.
class ZipFile {
 public:
  /// A file that does not begin as an archive does is a single member called `whole_file`.
  ZipFile(std::string path, Index file_number, const std::string& whole_file);
  ~ZipFile();
  ZipFile(const ZipFile&) = delete;
  ZipFile& operator=(const ZipFile&) = delete;

  const std::vector<ZipMember>& members() const { return members_; }
  Index bytes() const { return bytes_; }

  /// Bytes [begin, begin + out.size()) of a member. Of a deflated one, reading on from where the last read
  /// ended costs nothing more; reading from before it begins anew.
  void read(const ZipMember& member, Index begin, std::span<unsigned char> out) const;
  /// Bytes of the archive itself.
  void read_bytes(Index begin, std::span<unsigned char> out) const;

 private:
  class Inflating;
  [[noreturn]] void fail(const std::string& what) const;
  void read_directory(Index begin, Index bytes, Index count);
  Index find_directory(Index& bytes, Index& count) const;
  void locate(ZipMember& member, Index header) const;

  std::string path_;
  Index file_number_;
  std::shared_ptr<const InputFile> file_;
  Index bytes_ = 0;
  std::vector<ZipMember> members_;
  mutable std::map<const ZipMember*, std::unique_ptr<Inflating>> inflating_;  // where each was left
};

}  // namespace firesteel
