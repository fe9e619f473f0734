// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "firesteel/core/index.hpp"
#include "firesteel/io/store.hpp"

namespace firesteel {

/// One page of a bucket's list (ListObjectsV2).
struct S3Listing {
  struct Object {
    std::string key;
    Index bytes = 0;
    std::string entity_tag;
    std::string modified;
  };
  std::vector<Object> objects;
  std::vector<std::string> prefixes;  ///< "folders", with their slash
  std::string next;                   ///< token of the next page; empty: this was the last
};

/// Throws io_failed (74) where the text is no such list.
S3Listing parse_s3_listing(std::string_view xml);

/// Code and message of an error of S3, "AccessDenied: …"; empty where the text is none.
std::string parse_s3_error(std::string_view xml);

/// Text of an element of the document's top element, as UploadId; empty where there is none.
std::string xml_element(std::string_view xml, const char* name);

/// Of a file or directory of HDFS (FileStatus).
struct HdfsStatus {
  std::string name;  ///< empty: of the path that was asked for
  bool directory = false;
  Index bytes = 0;
  Index modified_ms = 0;
  Index id = 0;  ///< by which HDFS knows a file also under another name; 0: the server does not say
};

/// The answers to GETFILESTATUS and LISTSTATUS. Throw io_failed (74) where the text is no such thing.
HdfsStatus parse_hdfs_status(std::string_view json);
std::vector<HdfsStatus> parse_hdfs_list(std::string_view json);
/// The answer to GETFILEBLOCKLOCATIONS, blocks that are corrupt left out. Throws io_failed (74).
std::vector<StoredBlock> parse_hdfs_blocks(std::string_view json);
/// Bytes of a block of new files, of the answer to GETSERVERDEFAULTS; 0 where the text does not say.
Index parse_hdfs_block_bytes(std::string_view json);
/// {"boolean": true}
bool parse_hdfs_boolean(std::string_view json);

/// "FileNotFoundException: …" of a RemoteException; empty where the text is none.
std::string parse_hdfs_error(std::string_view json);

/// Keys and values of one section of a file such as ~/.aws/credentials; `sections` are its names, the first
/// that is there counts.
std::vector<std::pair<std::string, std::string>> parse_ini_section(std::string_view text,
                                                                   const std::vector<std::string>& sections);

}  // namespace firesteel
