// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <exception>
#include <string>
#include <vector>

#include "firesteel/cli/job.hpp"
#include "firesteel/core/error.hpp"

namespace firesteel::cli {

/// Runs the job that `words` ask for on all ranks, starting MPI, and returns or ends with its exit code.
/// `job` is what the words were found to mean; `word_failure` is what this rank found wrong in them.
int run_with_mpi(Job& job, const std::vector<std::string>& words, const std::exception_ptr& word_failure);

/// Says the error of a job of one process and returns the exit code for it.
int end_alone(const Error& error);

}  // namespace firesteel::cli
