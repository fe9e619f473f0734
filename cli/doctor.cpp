// SPDX-License-Identifier: Apache-2.0
#include "firesteel/cli/doctor.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "firesteel/cli/json.hpp"
#include "firesteel/cli/steps.hpp"
#include "firesteel/cli/verbs.hpp"
#include "firesteel/core/file_lock.hpp"

namespace firesteel::cli {

namespace {

constexpr Index kMebibyte = Index{1} << 20;
constexpr Index kEnoughForCheckpoints = 1024 * kMebibyte;
constexpr Index kEnoughForTemporaryFiles = 256 * kMebibyte;

std::string_view health_word(Health health) {
  switch (health) {
    case Health::ok:
      return "ok";
    case Health::warning:
      return "warning";
    case Health::failed:
      return "failed";
  }
  return "";
}

std::string temporary_directory() {
  for (const char* name : {"TMPDIR", "TMP", "TEMP"})
    if (const char* value = std::getenv(name); value != nullptr && *value != '\0') return value;
  return "/tmp";
}

Check checkpoint_check(const std::string& directory) {
  if (directory.empty())
    return {"checkpoint_directory", Health::ok, "none named; --checkpoint DIR checks one", ""};
  return check_directory("checkpoint_directory", directory, kEnoughForCheckpoints, true);
}

std::vector<Check> local_checks(const Context& context, const Job& job) {
  const Placement& placement = context.placement();
  const int on_node = context.comm().node_size();
  const std::string& saved = job.checkpoint.directory;
  return {check_mpi_library(),
          check_mpirun(),
          check_root(),
          check_slots(placement),
          check_shared_memory(on_node),
          check_single_copy(),
          check_binding(placement),
          check_threads(placement),
          check_memory(on_node),
          checkpoint_check(saved),
          check_directory("temporary_directory", temporary_directory(), kEnoughForTemporaryFiles, false),
          check_file_locking(saved.empty() ? "." : saved),
          check_simd(),
          check_huge_pages()};
}

/// The worst that any rank found of one thing, with the lowest of the ranks that found it.
Check worst_of(const std::vector<Check>& found, const std::vector<std::string>& hosts) {
  const auto worst = std::max_element(found.begin(), found.end(),
                                      [](const Check& a, const Check& b) { return a.health < b.health; });
  Check check = *worst;
  if (check.health == Health::ok || found.size() == 1) return check;
  const auto rank = worst - found.begin();
  const auto alike =
      std::count_if(found.begin(), found.end(), [&](const Check& c) { return c.health == check.health; });
  if (alike < static_cast<std::ptrdiff_t>(found.size()))
    check.finding = "rank " + std::to_string(rank) + " on " + hosts[static_cast<std::size_t>(rank)] +
                    (alike > 1 ? " (and " + std::to_string(alike - 1) + " more)" : "") + ": " + check.finding;
  return check;
}

/// The checks of all ranks as one list. Collective.
std::vector<Check> merged(Communicator& comm, const std::vector<Check>& mine) {
  std::vector<std::string> texts{host_name()};
  for (const auto& check : mine)
    for (const auto& text : {std::string(health_word(check.health)), check.finding, check.remedy})
      texts.push_back(text);
  const auto all = comm.allgather_texts(texts);
  return comm.collectively([&] {
    std::vector<std::string> hosts;
    for (std::size_t rank = 0; rank < static_cast<std::size_t>(comm.size()); ++rank)
      hosts.push_back(all[rank * texts.size()]);
    std::vector<Check> checks;
    for (std::size_t i = 0; i < mine.size(); ++i) {
      std::vector<Check> found;
      for (std::size_t rank = 0; rank < hosts.size(); ++rank) {
        const std::string* text = &all[rank * texts.size() + 1 + 3 * i];
        const Health health = text[0] == "ok"        ? Health::ok
                              : text[0] == "warning" ? Health::warning
                                                     : Health::failed;
        found.push_back({mine[i].name, health, text[1], text[2]});
      }
      checks.push_back(worst_of(found, hosts));
    }
    return checks;
  });
}

std::string report_text(const std::vector<Check>& checks) {
  std::string text;
  for (const auto& check : checks) {
    std::string line(health_word(check.health));
    line.resize(9, ' ');
    line += check.name;
    line.resize(std::max<std::size_t>(31, line.size() + 1), ' ');
    line += check.finding;
    if (!check.remedy.empty()) line += "; remedy: " + check.remedy;
    std::replace(line.begin(), line.end(), '\n', ' ');
    text += line + "\n";
  }
  return text;
}

std::string report_json(const Context& context, const std::vector<Check>& checks, Health worst) {
  Json object = Json::object();
  object["command"] = "doctor";
  object["status"] = health_word(worst);
  object["ranks"] = context.size();
  object["hosts"] = context.placement().nodes;
  object["checks"] = Json::array();
  for (const auto& check : checks) {
    Json entry = Json::object();
    entry["name"] = check.name;
    entry["status"] = health_word(check.health);
    entry["finding"] = check.finding;
    entry["remedy"] = check.remedy.empty() ? Json(nullptr) : Json(check.remedy);
    object["checks"].push_back(std::move(entry));
  }
  return json_text(object);
}

}  // namespace

std::string bytes_text(Index bytes) {
  constexpr const char* kUnits[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  std::size_t unit = 0;
  auto value = static_cast<double>(bytes);
  for (; value >= 1024 && unit + 1 < std::size(kUnits); ++unit) value /= 1024;
  char text[48];
  std::snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.1f %s", value, kUnits[unit]);
  return text;
}

void run_doctor(const Run& run) {
  Communicator& comm = run.context.comm();
  std::vector<Check> mine = comm.collectively([&] { return local_checks(run.context, run.job); });
  const std::string& directory = run.job.checkpoint.directory;
  if (run.context.size() > 1 && !directory.empty())
    mine.push_back(check_directory_is_shared(comm, directory));
  const std::vector<Check> checks = merged(comm, mine);
  Health worst = Health::ok;
  std::string failures;
  for (const auto& check : checks) {
    worst = std::max(worst, check.health);
    if (check.health == Health::failed) failures += (failures.empty() ? "" : ", ") + check.name;
  }
  write_stdout(run.context, run.job.json ? report_json(run.context, checks, worst) : report_text(checks));
  if (worst == Health::failed)
    throw Error(ErrorCode::unavailable, "doctor: failed: " + failures + "; the report names the remedies", {},
                true);
}

}  // namespace firesteel::cli
