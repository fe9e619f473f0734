// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <exception>
#include <new>
#include <stdexcept>
#include <string>

#include "firesteel/core/index.hpp"
#include "firesteel/core/printable.hpp"

namespace firesteel {

/// What went wrong, as the exit code that the command line gives it (sysexits.h).
enum class ErrorCode : int {
  bad_parameter = 64,  ///< wrong from the words alone
  bad_input = 65,      ///< the data contradict
  no_input = 66,       ///< absent or unreadable
  unavailable = 69,    ///< a service cannot be reached
  internal = 70,       ///< a bug of ours
  out_of_memory = 71,
  cannot_create = 73,  ///< output cannot be made
  io_failed = 74,      ///< reading or writing failed midway
  stopped = 75,        ///< ended early, can be resumed
  interrupted = 130
};

/// Where in the input an error was met. Errors are ordered by place, so that the one shown does not depend on
/// the number of ranks. `file` counts the inputs as given; `offset` is a byte offset or a global row.
struct ErrorPlace {
  Index file = 0;
  Index offset = 0;
};

/// The one exception type of the library. A message says where, what was expected and what was found, always
/// with values; names and values of the input are in it as printable() shows them.
class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message, ErrorPlace place = {}, bool agreed = false)
      : std::runtime_error(printable(message)), code_(code), place_(place), agreed_(agreed) {}

  ErrorCode code() const noexcept { return code_; }
  ErrorPlace place() const noexcept { return place_; }
  /// True when every rank of the communicator throws this same error, so that nobody waits for anybody.
  bool agreed() const noexcept { return agreed_; }

 private:
  ErrorCode code_;
  ErrorPlace place_;
  bool agreed_;
};

/// An operation of MPI failed (70): a rank or a connection is gone. Where ranks may be lost (see Survivors)
/// every rank that is left gets one, from the operation it is in or from a later one.
class MpiError : public Error {
 public:
  explicit MpiError(const std::string& message) : Error(ErrorCode::internal, message) {}
};

/// A parameter outside its range or an option that does not exist (64).
inline Error bad_parameter(const std::string& message) { return {ErrorCode::bad_parameter, message}; }
/// Data that contradict what was asked of them (65).
inline Error bad_input(const std::string& message, ErrorPlace place = {}) {
  return {ErrorCode::bad_input, message, place};
}
/// A bug in Firesteel (70).
inline Error internal_error(const std::string& message) { return {ErrorCode::internal, message}; }

/// Maps any exception to an Error: Error as it is, bad_alloc to out_of_memory, everything else to internal.
Error to_error(const std::exception_ptr& exception);

}  // namespace firesteel
