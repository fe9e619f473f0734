// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "firesteel/core/communicator.hpp"
#include "firesteel/core/error.hpp"

namespace firesteel::cli {

/// Prepares how this process ends: a closed pipe or a file-size limit becomes an error of the write that met
/// it; SIGINT, SIGTERM, SIGHUP (unless it is ignored) and SIGUSR2, which unlike them mpirun forwards at once,
/// remove temporary files and end with 130, one line said where no mpirun speaks for the job; SIGUSR1 asks
/// the fit to stop after its iteration; an exception that nothing can catch is said and ends all ranks; a
/// standard stream that is closed stays unusable, whatever is opened later. Call once, before anything else.
void prepare_ending(bool under_launcher);

/// From now on the first SIGINT, SIGTERM or SIGHUP, too, asks the fit to stop after its iteration: for jobs
/// that save checkpoints. The next one ends the process as before; but for SIGHUP, of which a terminal that
/// is lost sends several.
void interrupts_ask_to_stop();

/// False where SIGHUP is ignored, as nohup has it: then it stays so.
bool hangups_matter();

/// For a program that starts itself anew: no signal that is meant for it gets lost on the way, and none ends
/// it before it listens. prepare_ending() of the new one lets them in; so does the second function, where
/// there is none.
void hold_signals();
void let_signals_in();

/// From now on SIGUSR2 comes too late: the job is done, and about to say so. Before a step that all ranks
/// take together: then either a rank has died of it and none gets beyond that step, or none does.
void interrupts_come_too_late();

/// True once the fit was asked to stop.
bool stop_requested();

/// Before a rank speaks of an error that others may have met alike without having agreed on it: ranks take
/// turns of 0.4 s, so that the first ends the job before another speaks.
void wait_for_turn(int rank);

/// Prints the one line of a failed job, `firesteel: …`, on stderr.
void print_error(std::string_view message);

/// Ends a job of several ranks (or of one under mpirun) after `error`: one line, once, every rank ends,
/// mpirun passes the code on. An error that all ranks share is said by rank 0, and all meet before the abort,
/// so that no line is lost; an error of one rank is said by that rank, and the abort ends the others wherever
/// they wait.
[[noreturn]] void end_ranks(Communicator& comm, const Error& error);

}  // namespace firesteel::cli
