// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/parts_manifest.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "firesteel/core/error.hpp"

namespace firesteel {

namespace {

using Json = nlohmann::ordered_json;

constexpr int kVersion = 1;
constexpr Index kMostBytes = Index{256} << 20;

std::string in_directory(const std::string& directory, const std::string& name) {
  return directory + (directory.ends_with('/') ? "" : "/") + name;
}

}  // namespace

std::string part_number(int rank) {
  std::string number = std::to_string(rank);
  number.insert(0, number.size() < 5 ? 5 - number.size() : 0, '0');
  return number;
}

std::string manifest_text(const std::vector<ManifestPart>& parts) {
  Index rows = 0;
  for (const auto& part : parts) rows += part.rows;
  Json manifest = Json::object();
  manifest["firesteel_parts"] = kVersion;
  manifest["rows"] = rows;
  manifest["parts"] = Json::array();
  for (const auto& part : parts)
    manifest["parts"].push_back({{"file", part.file}, {"rows", part.rows}, {"bytes", part.bytes}});
  return manifest.dump(1) + "\n";
}

std::vector<ManifestPart> parse_manifest(std::string_view text, const std::string& path) {
  const auto damaged = [&](const std::string& why) {
    return bad_input(path + " is damaged: " + why + "; remove it to read the directory's files by name");
  };
  const Json manifest = Json::parse(text, nullptr, false);
  if (!manifest.is_object() || !manifest.contains("firesteel_parts")) throw damaged("it is no list of parts");
  if (manifest["firesteel_parts"] != kVersion)
    throw damaged("it is of a version that this program does not know");
  if (!manifest.contains("parts") || !manifest["parts"].is_array()) throw damaged("it has no parts");
  std::vector<ManifestPart> parts;
  for (const auto& part : manifest["parts"]) {
    const auto whole_number = [&](const char* name) {
      return part.contains(name) && part[name].is_number_integer() ? part[name].get<Index>() : Index{-1};
    };
    ManifestPart named;
    if (part.is_object()) {
      if (part.contains("file") && part["file"].is_string()) named.file = part["file"].get<std::string>();
      named.bytes = whole_number("bytes");
      named.rows = std::max<Index>(0, whole_number("rows"));
    }
    if (named.file.empty() || named.file.find('/') != std::string::npos || named.bytes < 0)
      throw damaged("a part has no name or size");
    parts.push_back(std::move(named));
  }
  if (parts.empty()) throw damaged("it has no parts");
  return parts;
}

std::string name_in_directory(const StoredFile& file) {
  std::string path = file.path;
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path.substr(path.rfind('/') + 1);
}

const StoredFile* find_file(const std::vector<StoredFile>& entries, std::string_view name) {
  const auto found = std::find_if(entries.begin(), entries.end(), [&](const StoredFile& entry) {
    return !entry.directory && !entry.version.empty() && name_in_directory(entry) == name;
  });
  return found == entries.end() ? nullptr : &*found;
}

std::string read_manifest(Store& store, const StoredFile& manifest) {
  if (manifest.bytes > kMostBytes)
    throw bad_input(manifest.path +
                    " is damaged: it is no list of parts; remove it to read the directory's "
                    "files by name");
  std::string text(static_cast<std::size_t>(manifest.bytes), '\0');
  // Not by open_input(), which would remember this one where another has taken its place since.
  text.resize(store.open(manifest)->read_at(0, text));
  return text;
}

std::vector<StoredFile> files_of_manifest(Store& store, const std::string& directory,
                                          const std::vector<StoredFile>& entries) {
  const StoredFile* const manifest = find_file(entries, kManifestName);
  if (manifest == nullptr) {
    for (const auto& entry : entries)
      if (name_in_directory(entry).starts_with(kUnfinishedName))
        throw Error(ErrorCode::no_input, "cannot read '" + directory +
                                             "': its parts are not all there: a job is writing them, or was "
                                             "killed (then let it run again, or remove " +
                                             entry.path + ")");
    return {};
  }
  std::vector<std::pair<std::string, const StoredFile*>> by_name;
  for (const auto& entry : entries)
    if (!entry.directory && !entry.version.empty()) by_name.emplace_back(name_in_directory(entry), &entry);
  std::sort(by_name.begin(), by_name.end());
  std::vector<StoredFile> files;
  for (const auto& part : parse_manifest(read_manifest(store, *manifest), manifest->path)) {
    const auto found = std::lower_bound(by_name.begin(), by_name.end(), part.file,
                                        [](const auto& each, const auto& name) { return each.first < name; });
    const std::string path = in_directory(directory, part.file);
    if (found == by_name.end() || found->first != part.file)
      throw Error(ErrorCode::no_input,
                  "cannot read '" + path + "', which " + manifest->path + " names: it does not exist");
    if (found->second->bytes != part.bytes)
      throw bad_input(path + " has " + std::to_string(found->second->bytes) + " bytes, but " +
                      manifest->path + " says " + std::to_string(part.bytes) +
                      ": a part was changed or cut short");
    files.push_back(*found->second);
  }
  return files;
}

}  // namespace firesteel
