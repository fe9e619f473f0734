// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/checkpoint_format.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "firesteel/core/file_lock.hpp"
#include "firesteel/core/fit_loop.hpp"

namespace firesteel {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kNamePrefix = "iteration-";
constexpr std::string_view kNameSuffix = ".fsc";

std::uint64_t mix(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

Json to_json(const CheckpointHeader& header) {
  // Made as what they are: null that becomes an object or array is left broken where memory gives out.
  Json parameter_values = Json::object();
  for (const auto& [name, text] : header.identity.parameter_texts) parameter_values[name] = text;
  Json parts = Json::array();
  for (const auto& part : header.parts)
    parts.push_back(Json{{"name", part.name},
                         {"partitioned", part.partitioned},
                         {"value_bytes", part.value_bytes},
                         {"count", part.count},
                         {"offset", part.offset},
                         {"checksum", part.checksum}});
  return Json{{"learner", header.identity.learner},
              {"parameters", header.identity.parameters},
              {"data", header.identity.data},
              {"iteration", header.iteration},
              {"parameter_values", std::move(parameter_values)},
              {"parts", std::move(parts)}};
}

/// Parts follow one another, so that together they are no larger than the file.
bool part_fits(const PartEntry& part, Index data_begin, Index file_bytes) {
  if (part.value_bytes != 4 && part.value_bytes != 8) return false;
  if (part.count < 0 || part.offset < data_begin || part.offset > file_bytes) return false;
  return part.count <= (file_bytes - part.offset) / part.value_bytes;
}

/// A whole number; a conversion from a large floating-point number would be undefined.
Index whole(const Json& json, const char* name) {
  const Json& value = json.at(name);
  if (!value.is_number_integer() ||
      (value.is_number_unsigned() &&
       value.get<std::uint64_t>() > static_cast<std::uint64_t>(std::numeric_limits<Index>::max())))
    return -1;  // nothing that is counted here is negative
  return value.get<Index>();
}

std::optional<PartEntry> part_of(const Json& entry) {
  const Json& checksum = entry.at("checksum");
  if (!checksum.is_number_unsigned()) return std::nullopt;
  return PartEntry{entry.at("name"),      entry.at("partitioned"), whole(entry, "value_bytes"),
                   whole(entry, "count"), whole(entry, "offset"),  checksum.get<std::uint64_t>()};
}

}  // namespace

std::string encode_header(const CheckpointHeader& header) {
  const std::string text = to_json(header).dump(-1, ' ', false, Json::error_handler_t::replace);
  const auto length = static_cast<Index>(text.size());
  const std::uint64_t checksum = hash_bytes(0, text.data(), text.size());
  std::string bytes(kCheckpointMagic, 8);
  bytes.append(reinterpret_cast<const char*>(&length), sizeof length);
  bytes += text;
  bytes.append(reinterpret_cast<const char*>(&checksum), sizeof checksum);
  return bytes;
}

Index header_bytes(std::span<const std::byte> prefix, Index file_bytes) {
  if (static_cast<Index>(prefix.size()) < kCheckpointPrefixBytes ||
      std::memcmp(prefix.data(), kCheckpointMagic, 8) != 0)
    return -1;
  Index length = 0;
  std::memcpy(&length, prefix.data() + 8, sizeof length);
  if (length < 2 || length > kMaxHeaderBytes || length + kCheckpointPrefixBytes + 8 > file_bytes) return -1;
  return kCheckpointPrefixBytes + length + 8;
}

std::optional<CheckpointHeader> decode_header(std::span<const std::byte> head, Index file_bytes) {
  const Index total = header_bytes(head, file_bytes);
  if (total < 0 || static_cast<Index>(head.size()) < total) return std::nullopt;
  const auto* text = reinterpret_cast<const char*>(head.data()) + kCheckpointPrefixBytes;
  const auto length = static_cast<std::size_t>(total - kCheckpointPrefixBytes - 8);
  std::uint64_t checksum = 0;
  std::memcpy(&checksum, text + length, sizeof checksum);
  if (checksum != hash_bytes(0, text, length)) return std::nullopt;
  try {
    const Json json = Json::parse(text, text + length);
    CheckpointHeader header{
        {json.at("learner"), json.at("parameters"), json.at("data")}, whole(json, "iteration"), {}};
    if (header.iteration < 0) return std::nullopt;
    if (const auto values = json.find("parameter_values"); values != json.end())
      for (const auto& [name, value] : values->items())
        header.identity.parameter_texts.emplace_back(name, value.get<std::string>());
    Index free_from = total;
    for (const auto& entry : json.at("parts")) {
      auto part = part_of(entry);
      if (!part || !part_fits(*part, free_from, file_bytes)) return std::nullopt;
      free_from = part->offset + part->count * part->value_bytes;
      header.parts.push_back(std::move(*part));
    }
    return header;
  } catch (const Json::exception&) {
    return std::nullopt;
  }
}

std::uint64_t position_checksum(std::span<const std::byte> bytes, Index value_bytes, Index first) {
  const auto step = static_cast<std::size_t>(value_bytes);
  std::uint64_t sum = 0;
  auto position = static_cast<std::uint64_t>(first);
  for (std::size_t i = 0; i + step <= bytes.size(); i += step, ++position) {
    std::uint64_t value = 0;
    std::memcpy(&value, bytes.data() + i, step);
    sum += mix(value ^ mix(position + 0x9E3779B97F4A7C15));
  }
  return sum;
}

std::string checkpoint_name(Index iteration) {
  char name[48];
  std::snprintf(name, sizeof name, "iteration-%07lld.fsc", static_cast<long long>(iteration));
  return name;
}

std::vector<std::string> list_checkpoints(const std::string& directory) {
  std::vector<std::string> names;
  for (auto& name : names_in(directory))
    if (name.starts_with(kNamePrefix) && name.ends_with(kNameSuffix)) names.push_back(std::move(name));
  // Longer names are later iterations: the number has at least seven digits.
  std::sort(names.begin(), names.end(), [](const std::string& a, const std::string& b) {
    return std::pair(a.size(), a) > std::pair(b.size(), b);
  });
  return names;
}

std::optional<SavedCheckpoint> newest_checkpoint(const std::string& directory) {
  std::optional<SavedCheckpoint> newest;
  if (directory.empty()) return newest;
  for (const auto& name : list_checkpoints(directory)) {
    SavedCheckpoint found{(std::filesystem::path(directory) / name).string(), 0, 0};
    struct stat status {};
    if (stat(found.path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) continue;
    found.time_ns = static_cast<std::int64_t>(status.st_mtim.tv_sec) * 1'000'000'000 + status.st_mtim.tv_nsec;
    const auto digits =
        name.substr(kNamePrefix.size(), name.size() - kNamePrefix.size() - kNameSuffix.size());
    found.iteration = std::strtoll(digits.c_str(), nullptr, 10);
    if (!newest || std::pair(found.time_ns, found.iteration) > std::pair(newest->time_ns, newest->iteration))
      newest = std::move(found);
  }
  return newest;
}

}  // namespace firesteel
