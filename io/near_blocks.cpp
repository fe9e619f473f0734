// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/near_blocks.hpp"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>
#include <numeric>
#include <optional>
#include <utility>

#include "firesteel/core/error.hpp"
#include "firesteel/core/file_lock.hpp"
#include "firesteel/io/block_shares.hpp"
#include "firesteel/io/input_files.hpp"
#include "firesteel/io/store.hpp"

namespace firesteel {

namespace {

/// What is brought nearer must be at least one in so many bytes: ranks of a host that are no longer
/// neighbours send more over the network in every iteration.
constexpr Index kLeastGain = 20;

std::size_t size(Index i) { return static_cast<std::size_t>(i); }

bool has_blocks(const std::string& path) {
  return path.starts_with("hdfs://") || path.starts_with("webhdfs://");
}

/// Addresses under which other machines may know this one.
std::vector<std::string> own_addresses() {
  std::vector<std::string> addresses;
  ifaddrs* first = nullptr;
  if (::getifaddrs(&first) != 0) return addresses;
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> all(first, &::freeifaddrs);
  for (const ifaddrs* each = first; each != nullptr; each = each->ifa_next) {
    if (each->ifa_addr == nullptr || (each->ifa_flags & IFF_LOOPBACK) != 0) continue;
    const int family = each->ifa_addr->sa_family;
    const void* address = nullptr;
    if (family == AF_INET) address = &reinterpret_cast<const sockaddr_in*>(each->ifa_addr)->sin_addr;
    if (family == AF_INET6) address = &reinterpret_cast<const sockaddr_in6*>(each->ifa_addr)->sin6_addr;
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (address != nullptr && ::inet_ntop(family, address, text.data(), text.size()) != nullptr)
      addresses.emplace_back(text.data());
  }
  return addresses;
}

/// By what HDFS may call this machine, in one text with blanks between: ranks of one machine have the same.
std::string own_names() {
  if (const char* named = std::getenv("FIRESTEEL_HOST"); named != nullptr && *named != '\0') return named;
  auto names = own_addresses();
  names.push_back(host_name());
  std::sort(names.begin(), names.end());
  std::string joined;
  for (const auto& name : names) joined += (joined.empty() ? "" : " ") + name;
  return joined;
}

/// The machines of a job and what they are called. Replicated.
struct Hosts {
  std::vector<std::vector<std::string>> names;
  std::vector<int> of_rank;

  Index count() const { return static_cast<Index>(names.size()); }
  bool has(Index host, const std::vector<std::string>& any_of) const {
    return std::any_of(any_of.begin(), any_of.end(), [&](const std::string& wanted) {
      return std::any_of(names[size(host)].begin(), names[size(host)].end(),
                         [&](const std::string& name) { return is_same_host(name, wanted); });
    });
  }
};

std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> words;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find(' ', begin), text.size());
    if (end > begin) words.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return words;
}

Hosts hosts_of(Communicator& comm) {
  const std::string mine = comm.collectively([] { return own_names(); });
  const auto all = comm.allgather_texts(std::span(&mine, 1));
  Hosts hosts;
  std::vector<std::string> known;
  for (const auto& text : all) {
    auto found = std::find(known.begin(), known.end(), text);
    hosts.of_rank.push_back(static_cast<int>(found - known.begin()));
    if (found != known.end()) continue;
    known.push_back(text);
    hosts.names.push_back(words_of(text));
  }
  return hosts;
}

/// Paths with their sizes. Replicated.
struct SizedFiles {
  std::vector<std::string> paths;
  std::vector<Index> sizes;
};

/// Nothing where the inputs are wrong: who reads them says so. What does not answer is thrown, though, since
/// it would be waited for again.
std::optional<SizedFiles> sized_files(Communicator& comm, const std::vector<std::string>& inputs) {
  try {
    const InputFiles files = find_inputs(comm, inputs);
    SizedFiles sized{files.paths, std::vector<Index>(files.paths.size())};
    if (comm.rank() == 0)
      for (std::size_t i = 0; i < sized.sizes.size(); ++i) sized.sizes[i] = files.found[i].bytes;
    comm.broadcast(std::span(sized.sizes), 0);
    return sized;
  } catch (const Error& error) {
    if (!error.agreed() || error.code() == ErrorCode::unavailable) throw;
    return std::nullopt;
  }
}

/// Bytes of this rank's share that each host holds; one more: those that any machine is said to hold. Local.
std::vector<Index> bytes_of_share(const SizedFiles& files, const Hosts& hosts, int rank) {
  const Index total = std::accumulate(files.sizes.begin(), files.sizes.end(), Index{0});
  const auto ranks = static_cast<Index>(hosts.of_rank.size());
  const auto cut = [&](Index number) { return total / ranks * number + total % ranks * number / ranks; };
  const Index share_begin = cut(rank);
  const Index share_end = cut(rank + 1);
  std::vector<Index> bytes(size(hosts.count() + 1));
  Index file_begin = 0;
  for (std::size_t i = 0; i < files.paths.size(); file_begin += files.sizes[i++]) {
    const Index begin = std::max(share_begin - file_begin, Index{0});
    const Index end = std::min(share_end - file_begin, files.sizes[i]);
    if (begin >= end || !has_blocks(files.paths[i])) continue;
    const auto blocks = store_of(files.paths[i]).blocks(files.paths[i], begin, end);
    if (blocks.empty()) break;  // a store that does not say of one says of none
    for (const auto& block : blocks) {
      const Index held = std::min(block.end, end) - std::max(block.begin, begin);
      if (held <= 0 || block.hosts.empty()) continue;
      bytes.back() += held;
      for (Index host = 0; host < hosts.count(); ++host)
        if (hosts.has(host, block.hosts)) bytes[size(host)] += held;
    }
  }
  return bytes;
}

std::string percent(Index part, Index whole) {
  return std::to_string(static_cast<int>(100.0 * static_cast<double>(part) / static_cast<double>(whole))) +
         " %";
}

}  // namespace

Context near_blocks(const Context& context, const std::vector<std::string>& inputs) {
  Communicator& comm = context.comm();
  if (comm.size() == 1 || std::none_of(inputs.begin(), inputs.end(), has_blocks)) return context;
  const Hosts hosts = hosts_of(comm);
  if (hosts.count() == 1) return context;
  const auto files = sized_files(comm, inputs);
  if (!files) return context;
  const auto own = comm.collectively([&] { return bytes_of_share(*files, hosts, comm.rank()); });
  const auto all = comm.allgatherv(std::span<const Index>(own));

  ShareBytes share_bytes;
  Index located = 0;
  for (auto share = all.begin(); share != all.end(); share += hosts.count() + 1) {
    share_bytes.emplace_back(share, share + hosts.count());
    located += share[hosts.count()];
  }
  if (located == 0) {
    context.monitor().note(
        "hdfs: the NameNode does not say where blocks are: ranks stay as they were started");
    return context;
  }
  const auto shares = comm.collectively([&] { return assign_shares(share_bytes, hosts.of_rank); });
  std::vector<int> as_started(shares.size());
  std::iota(as_started.begin(), as_started.end(), 0);
  const Index before = local_bytes(share_bytes, hosts.of_rank, as_started);
  const Index after = local_bytes(share_bytes, hosts.of_rank, shares);
  const bool worth_it = (after - before) * kLeastGain >= located && after > before;
  context.monitor().note(
      "hdfs: of the bytes to be read " + percent(worth_it ? after : before, located) +
      " lie on the host of the rank that reads them" +
      (worth_it ? "; " + percent(before, located) + " would in the order in which ranks were started"
                : ", ranks as they were started"));
  return worth_it ? context.renumbered(shares[size(comm.rank())]) : context;
}

}  // namespace firesteel
