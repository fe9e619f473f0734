// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "firesteel/cli/job.hpp"
#include "firesteel/cli/progress.hpp"
#include "firesteel/core/context.hpp"

namespace firesteel::cli {

/// What a verb works with. Each run_… is collective and throws Error.
struct Run {
  Context& context;
  TerminalMonitor& monitor;
  Job& job;
};

void run_train(const Run& run);
void run_score(const Run& run);
void run_evaluate(const Run& run);
void run_inspect(const Run& run);
void run_convert(const Run& run);
void run_doctor(const Run& run);
void run_plan(const Run& run);
void run_describe(const Run& run);
void run_sample(const Run& run);
void run_split(const Run& run);
void run_sort(const Run& run);
void run_join(const Run& run);

}  // namespace firesteel::cli
