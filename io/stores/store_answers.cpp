// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/stores/store_answers.hpp"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <pugixml.hpp>

#include "firesteel/core/error.hpp"
#include "firesteel/io/stores/http_ranges.hpp"
#include "firesteel/io/stores/url.hpp"

namespace firesteel {

namespace {

using Json = nlohmann::json;

constexpr std::size_t kMostMessage = 300;

Error no_answer(const std::string& what) {
  return {ErrorCode::io_failed, "the store's answer is not what was expected: " + what};
}

bool load(pugi::xml_document& document, std::string_view xml) {
  return static_cast<bool>(
      document.load_buffer(xml.data(), xml.size(), pugi::parse_default, pugi::encoding_utf8));
}

/// One line of bounded length, whatever a server says.
std::string one_line(std::string text) {
  if (text.size() > kMostMessage) text = text.substr(0, kMostMessage) + "...";
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  return text;
}

Json parse_json(std::string_view text) {
  Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded() || !json.is_object()) throw no_answer("no JSON object");
  return json;
}

const Json& member(const Json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end()) throw no_answer(std::string("no '") + name + "' in it");
  return *found;
}

Index whole(const Json& object, const char* name) {
  const Json& value = member(object, name);
  if (!value.is_number_integer() && !value.is_number_unsigned())
    throw no_answer(std::string("'") + name + "' is no number");
  if (value.is_number_unsigned() && value.get<std::uint64_t>() > std::uint64_t{1} << 62)
    throw no_answer("an impossible number");
  const auto number = value.get<std::int64_t>();
  if (number < 0) throw no_answer(std::string("'") + name + "' is negative");
  return number;
}

HdfsStatus status_of(const Json& json) {
  if (!json.is_object()) throw no_answer("a file's status is no object");
  HdfsStatus status;
  const Json& name = member(json, "pathSuffix");
  const Json& type = member(json, "type");
  if (!name.is_string() || !type.is_string()) throw no_answer("a file's name or type is no text");
  status.name = name.get<std::string>();
  if (status.name.find('\0') != std::string::npos) throw no_answer("a file's name has a zero byte");
  status.directory = type.get<std::string>() == "DIRECTORY";
  status.bytes = whole(json, "length");
  status.modified_ms = whole(json, "modificationTime");
  if (const auto id = json.find("fileId"); id != json.end() && id->is_number_integer())
    status.id = whole(json, "fileId");
  return status;
}

/// Adds the texts of an array, without the ports that they may end with.
void add_hosts(const Json& block, const char* name, std::vector<std::string>& hosts) {
  const auto list = block.find(name);
  if (list == block.end() || !list->is_array()) return;
  for (const auto& each : *list) {
    if (!each.is_string()) throw no_answer("a host's name is no text");
    std::string host = each.get<std::string>();
    const auto colon = host.rfind(':');
    const bool port = colon != std::string::npos && colon + 1 < host.size() &&
                      host.find_first_not_of("0123456789", colon + 1) == std::string::npos;
    // An address of IPv6 has colons of its own, and a port only behind brackets.
    if (port && (host.find(':') == colon || host[colon - 1] == ']')) host.resize(colon);
    if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
    if (!host.empty()) hosts.push_back(std::move(host));
  }
}

StoredBlock block_of(const Json& json) {
  if (!json.is_object()) throw no_answer("a block is no object");
  StoredBlock block;
  block.begin = whole(json, "offset");
  const Index length = whole(json, "length");
  if (length > std::numeric_limits<Index>::max() - block.begin) throw no_answer("an impossible number");
  block.end = block.begin + length;
  const auto corrupt = json.find("corrupt");
  if (corrupt != json.end() && corrupt->is_boolean() && corrupt->get<bool>()) return block;
  add_hosts(json, "hosts", block.hosts);
  add_hosts(json, "names", block.hosts);
  return block;
}

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

}  // namespace

S3Listing parse_s3_listing(std::string_view xml) {
  pugi::xml_document document;
  if (!load(document, xml)) throw no_answer("no XML");
  const pugi::xml_node top = document.child("ListBucketResult");
  if (!top) throw no_answer("no list of a bucket");
  const bool encoded = std::string_view(top.child_value("EncodingType")) == "url";
  const auto name = [&](const char* text) { return encoded ? percent_decode(text) : std::string(text); };
  S3Listing listing;
  for (const pugi::xml_node node : top.children("Contents")) {
    S3Listing::Object object{name(node.child_value("Key")), parse_length(node.child_value("Size")),
                             node.child_value("ETag"), node.child_value("LastModified")};
    if (object.key.empty() || object.bytes < 0 || object.key.find('\0') != std::string::npos)
      throw no_answer("an object without key or size");
    listing.objects.push_back(std::move(object));
  }
  for (const pugi::xml_node node : top.children("CommonPrefixes")) {
    listing.prefixes.push_back(name(node.child_value("Prefix")));
    if (listing.prefixes.back().find('\0') != std::string::npos) throw no_answer("a prefix with a zero byte");
  }
  if (std::string_view(top.child_value("IsTruncated")) == "true") {
    listing.next = top.child_value("NextContinuationToken");
    if (listing.next.empty()) throw no_answer("a list that goes on, without saying where");
  }
  return listing;
}

std::string parse_s3_error(std::string_view xml) {
  pugi::xml_document document;
  if (!load(document, xml)) return {};
  const pugi::xml_node error = document.child("Error");
  if (!error) return {};
  return one_line(std::string(error.child_value("Code")) + ": " + error.child_value("Message"));
}

std::string xml_element(std::string_view xml, const char* name) {
  pugi::xml_document document;
  if (!load(document, xml)) return {};
  return document.document_element().child_value(name);
}

HdfsStatus parse_hdfs_status(std::string_view json) {
  return status_of(member(parse_json(json), "FileStatus"));
}

std::vector<HdfsStatus> parse_hdfs_list(std::string_view text) {
  const Json json = parse_json(text);
  const Json& outer = member(json, "FileStatuses");
  if (!outer.is_object()) throw no_answer("no list of files");
  const Json& list = member(outer, "FileStatus");
  if (!list.is_array()) throw no_answer("no list of files");
  std::vector<HdfsStatus> found;
  for (const auto& each : list) found.push_back(status_of(each));
  return found;
}

std::vector<StoredBlock> parse_hdfs_blocks(std::string_view text) {
  const Json json = parse_json(text);
  const Json& outer = member(json, "BlockLocations");
  if (!outer.is_object()) throw no_answer("no list of blocks");
  const Json& list = member(outer, "BlockLocation");
  if (!list.is_array()) throw no_answer("no list of blocks");
  std::vector<StoredBlock> found;
  for (const auto& each : list) found.push_back(block_of(each));
  return found;
}

Index parse_hdfs_block_bytes(std::string_view text) {
  try {
    const Json json = parse_json(text);
    const Json& defaults = member(json, "FsServerDefaults");
    return defaults.is_object() ? whole(defaults, "blockSize") : 0;
  } catch (const Error&) {
    return 0;
  }
}

bool parse_hdfs_boolean(std::string_view text) {
  const Json json = parse_json(text);
  const Json& value = member(json, "boolean");
  return value.is_boolean() && value.get<bool>();
}

std::string parse_hdfs_error(std::string_view text) {
  const Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded() || !json.is_object()) return {};
  const auto found = json.find("RemoteException");
  if (found == json.end() || !found->is_object()) return {};
  const auto said = [&](const char* name) {
    const auto value = found->find(name);
    return value != found->end() && value->is_string() ? value->get<std::string>() : std::string();
  };
  std::string message = said("message");
  message = message.substr(0, message.find('\n'));
  return one_line(said("exception") + ": " + message);
}

std::vector<std::pair<std::string, std::string>> parse_ini_section(std::string_view text,
                                                                   const std::vector<std::string>& sections) {
  std::vector<std::vector<std::pair<std::string, std::string>>> found(sections.size());
  auto current = sections.end();
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    const bool indented = text.front() == ' ' || text.front() == '\t';  // part of a nested value
    const std::string_view line = trimmed(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty() || line.front() == '#' || line.front() == ';') continue;
    if (line.front() == '[') {
      const std::string name(
          trimmed(line.substr(1, line.find(']') == std::string_view::npos ? 0 : line.find(']') - 1)));
      current = std::find(sections.begin(), sections.end(), name);
      continue;
    }
    const auto equals = line.find('=');
    if (current == sections.end() || indented || equals == std::string_view::npos) continue;
    found[static_cast<std::size_t>(current - sections.begin())].emplace_back(
        trimmed(line.substr(0, equals)), trimmed(line.substr(equals + 1)));
  }
  for (auto& section : found)
    if (!section.empty()) return std::move(section);
  return {};
}

}  // namespace firesteel
