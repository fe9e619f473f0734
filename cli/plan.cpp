// SPDX-License-Identifier: Apache-2.0
// What a fit would take, said before a long read: rows are counted, values are not read. Of ratings the ids
// are read.
#include <algorithm>
#include <array>
#include <cstdio>
#include <optional>

#include "firesteel/cli/json.hpp"
#include "firesteel/cli/steps.hpp"
#include "firesteel/core/block_io.hpp"
#include "firesteel/core/block_store.hpp"
#include "firesteel/core/page_memory.hpp"
#include "firesteel/core/rating_chunks.hpp"

namespace firesteel::cli {

namespace {

/// Of the fullest rank, where it is a rank's.
struct Plan {
  RowsShape shape;
  Index rank_rows = 0;
  Index row_bytes = 0;    ///< features of the rank
  Index state_bytes = 0;  ///< what a fit keeps of the rank's rows beside them
  Index memory = 0;       ///< bound
  Index room = 0;         ///< for features, under the bound
  Index spilled = 0;
  std::optional<double> scratch_rate;  ///< bytes a second and rank, all ranks at once
};

constexpr Index kTrialBytes = Index{64} << 20;
constexpr Index kTrialRead = Index{256} << 10;

/// Writes and reads a little in scratch, all ranks at once, as passes do. Collective.
double measure_scratch(const Run& run) {
  Communicator& comm = run.context.comm();
  double seconds = 0;
  comm.barrier();
  comm.collectively([&] {
    const ScratchFile file(run.context.scratch(), kTrialBytes);
    const PageMemory buffers(static_cast<std::size_t>(BlockStore::kRequests * kTrialRead));
    for (Index offset = 0; offset < kTrialBytes; offset += kTrialRead)
      file.write(offset, buffers.data(), kTrialRead);
    const auto reader = make_block_reader(file, BlockStore::kRequests);
    const Stopwatch watch;
    constexpr Index kReads = kTrialBytes / kTrialRead;
    const auto submit = [&](Index i) {
      const Index number = i % BlockStore::kRequests;
      reader->submit(number, i * kTrialRead, buffers.data() + number * kTrialRead, kTrialRead);
    };
    for (Index i = 0; i < BlockStore::kRequests; ++i) submit(i);
    for (Index i = 0; i < kReads; ++i) {
      reader->wait(i % BlockStore::kRequests, true);
      if (i + BlockStore::kRequests < kReads) submit(i + BlockStore::kRequests);
    }
    seconds = watch.seconds();
  });
  comm.allreduce_max(std::span(&seconds, 1));
  return static_cast<double>(kTrialBytes) / std::max(seconds, 1e-9);
}

Plan make_plan(const Run& run) {
  const ReadOptions& read = run.job.read;
  Communicator& comm = run.context.comm();
  Plan plan{.shape = measure_rows(run.context, read)};
  const Index value_bytes = read.single_precision ? sizeof(float) : sizeof(double);
  const auto partition = comm.collectively([&] {
    return BlockPartition::even(
        plan.shape.rows, choose_block_rows(plan.shape.columns, value_bytes, plan.shape.sparse), comm.size());
  });
  for (int rank = 0; rank < comm.size(); ++rank)
    plan.rank_rows = std::max(plan.rank_rows, partition.local_rows(rank));
  if (plan.shape.sparse)
    plan.row_bytes =
        plan.rank_rows * 8 + std::max<Index>(0, plan.shape.values) / comm.size() * (value_bytes + 4);
  else
    plan.row_bytes = plan.rank_rows * plan.shape.columns * value_bytes;
  plan.state_bytes = plan.rank_rows * run.job.learner->row_bytes();
  plan.memory = run.context.memory()->limit();
  Index room = std::max<Index>(0, run.context.memory()->available() - plan.state_bytes);
  comm.allreduce_min(std::span(&room, 1));
  plan.room = room;
  plan.spilled = std::max<Index>(0, plan.row_bytes - room);
  if (plan.spilled > 0) plan.scratch_rate = measure_scratch(run);
  return plan;
}

double seconds_of_pass(const Plan& plan) {
  return plan.scratch_rate ? static_cast<double>(plan.spilled) / *plan.scratch_rate : 0.0;
}

std::string plan_json(const Run& run, const Plan& plan) {
  Json object = Json::object();
  object["command"] = "plan";
  object["learner"] = run.job.entry->name;
  object["rows"] = plan.shape.rows;
  object["features"] = plan.shape.columns;
  object["sparse"] = plan.shape.sparse;
  object["ranks"] = run.context.size();
  object["threads"] = run.context.threads();
  object["feature_bytes_per_rank"] = plan.row_bytes;
  object["state_bytes_per_rank"] = plan.state_bytes;
  object["memory_bytes"] = plan.memory;
  object["spilled_bytes_per_rank"] = plan.spilled;
  object["scratch"] = run.context.scratch();
  object["scratch_bytes_per_second"] = plan.scratch_rate ? json_number(*plan.scratch_rate) : Json(nullptr);
  object["seconds_per_pass"] = plan.scratch_rate ? json_number(seconds_of_pass(plan)) : Json(nullptr);
  return json_text(object);
}

std::string line(const std::string& name, const std::string& text) {
  std::string head = "  " + name;
  head.resize(std::max<std::size_t>(22, head.size() + 1), ' ');
  return head + text + "\n";
}

std::string plan_text(const Run& run, const Plan& plan) {
  std::string text = std::string(run.job.entry->name) + ": " + std::to_string(plan.shape.rows) + " rows x " +
                     std::to_string(plan.shape.columns) + " features on " +
                     run.context.placement().describe() + "\n";
  text += line("features", bytes_text(plan.row_bytes) + " a rank");
  text += line("state", bytes_text(plan.state_bytes) + " a rank, beside them");
  text +=
      line("memory", bytes_text(plan.memory) + " a rank, " + bytes_text(plan.room) + " of it for features");
  if (plan.spilled == 0) return text + line("scratch", "nothing: all rows stay in memory");
  text += line("scratch", bytes_text(plan.spilled) + " a rank in " + run.context.scratch());
  text += line("a pass over the rows", "at least " + short_number(seconds_of_pass(plan)) + " s, reading " +
                                           bytes_text(static_cast<Index>(*plan.scratch_rate)) +
                                           " a second and rank (measured)");
  return text;
}

/// Of ratings, of the fullest rank.
struct RatingPlan {
  Index rows = 0;
  RatingNeeds needs;
  Index rating_bytes = 0;  ///< by user and by item
  Index memory = 0;
  Index room = 0;  ///< for ratings, under the bound
  Index spilled = 0;
  std::optional<double> scratch_rate;
};

/// Ids decide what a fit takes, so that these are read, once, as a fit would: to scratch where they do not
/// fit.
RatingPlan plan_ratings(const Run& run) {
  Communicator& comm = run.context.comm();
  const Input input = read_input(run, Task::recommendation);
  const auto& ratings = std::get<Ratings>(input.data);
  RatingPlan plan{.rows = ratings.rows, .needs = run.job.learner->rating_needs(ratings)};
  Index own = ratings.chunks ? ratings.chunks->rows() : column_size(ratings.users);
  comm.allreduce_max(std::span(&own, 1));
  plan.rating_bytes = 2 * own * plan.needs.bytes_of_side;
  plan.memory = run.context.memory()->limit();
  const Index held = ratings.reserved ? ratings.reserved->bytes() : 0;
  Index room = std::max<Index>(0, run.context.memory()->available() + held - plan.needs.factor_bytes);
  comm.allreduce_min(std::span(&room, 1));
  plan.room = room;
  if (ratings.chunks) plan.spilled = std::max<Index>(0, plan.rating_bytes - room);
  if (plan.spilled > 0) plan.scratch_rate = measure_scratch(run);
  return plan;
}

double seconds_of_iteration(const RatingPlan& plan) {
  return plan.scratch_rate ? static_cast<double>(plan.spilled / 2 * plan.needs.passes) / *plan.scratch_rate
                           : 0.0;
}

std::string plan_json(const Run& run, const RatingPlan& plan) {
  Json object = Json::object();
  object["command"] = "plan";
  object["learner"] = run.job.entry->name;
  object["rows"] = plan.rows;
  object["users"] = plan.needs.users;
  object["items"] = plan.needs.items;
  object["ranks"] = run.context.size();
  object["threads"] = run.context.threads();
  object["rating_bytes_per_rank"] = plan.rating_bytes;
  object["factor_bytes_per_rank"] = plan.needs.factor_bytes;
  object["memory_bytes"] = plan.memory;
  object["spilled_bytes_per_rank"] = plan.spilled;
  object["passes_per_iteration"] = plan.needs.passes;
  object["scratch"] = run.context.scratch();
  object["scratch_bytes_per_second"] = plan.scratch_rate ? json_number(*plan.scratch_rate) : Json(nullptr);
  object["seconds_per_iteration"] =
      plan.scratch_rate ? json_number(seconds_of_iteration(plan)) : Json(nullptr);
  return json_text(object);
}

std::string plan_text(const Run& run, const RatingPlan& plan) {
  std::string text = std::string(run.job.entry->name) + ": " + std::to_string(plan.rows) + " ratings of " +
                     std::to_string(plan.needs.users) + " users and " + std::to_string(plan.needs.items) +
                     " items on " + run.context.placement().describe() + "\n";
  text += line("ratings", bytes_text(plan.rating_bytes) + " a rank, by user and by item");
  text += line("factors and ids", bytes_text(plan.needs.factor_bytes) + " a rank, beside them, in memory");
  text +=
      line("memory", bytes_text(plan.memory) + " a rank, " + bytes_text(plan.room) + " of it for ratings");
  if (plan.spilled == 0) return text + line("scratch", "nothing: all ratings stay in memory");
  text += line("scratch", bytes_text(plan.spilled) + " a rank in " + run.context.scratch());
  text += line("an iteration", "at least " + short_number(seconds_of_iteration(plan)) + " s, reading " +
                                   bytes_text(static_cast<Index>(*plan.scratch_rate)) +
                                   " a second and rank (measured), by item once and by user twice");
  return text;
}

}  // namespace

void run_plan(const Run& run) {
  check_scratch(run);
  prepare_label(run.job);
  if (run.job.entry->task == Task::recommendation) {
    const RatingPlan plan = plan_ratings(run);
    write_stdout(run.context, run.job.json ? plan_json(run, plan) : plan_text(run, plan));
    return;
  }
  const Plan plan = make_plan(run);
  write_stdout(run.context, run.job.json ? plan_json(run, plan) : plan_text(run, plan));
}

}  // namespace firesteel::cli
