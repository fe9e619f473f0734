// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <tuple>

#include "firesteel/core/communicator_handle.hpp"
#include "firesteel/core/long_messages.hpp"

namespace firesteel {

namespace {

using detail::check_mpi;
using detail::FailureKey;

/// The order in which several faults are reported: words, absent input, output, data, the rest.
int precedence(ErrorCode code) {
  switch (code) {
    case ErrorCode::bad_parameter:
      return 0;
    case ErrorCode::no_input:
      return 1;
    case ErrorCode::cannot_create:
      return 2;
    case ErrorCode::bad_input:
      return 3;
    default:
      return 4;
  }
}

FailureKey key_of(const Error& error, std::span<char> text) {
  std::string_view what = error.what();
  if (what.size() > text.size()) {
    what = what.substr(0, text.size());
    // Not inside a UTF-8 character.
    while (!what.empty() && (static_cast<unsigned char>(what.back()) & 0x80) != 0) what.remove_suffix(1);
  }
  std::copy(what.begin(), what.end(), text.begin());
  return {1,
          precedence(error.code()),
          error.place().file,
          error.place().offset,
          static_cast<Index>(error.code()),
          static_cast<Index>(what.size())};
}

/// The key of a failure; its text goes to `text`.
FailureKey describe(const std::exception_ptr& failure, std::span<char> text) noexcept {
  try {
    return key_of(to_error(failure), text);
  } catch (...) {
    // to_error itself found no memory.
    constexpr std::string_view kText = "out of memory";
    std::copy(kText.begin(), kText.end(), text.begin());
    constexpr auto kCode = ErrorCode::out_of_memory;
    return {1, precedence(kCode), 0, 0, static_cast<Index>(kCode), static_cast<Index>(kText.size())};
  }
}

bool before(const FailureKey& a, const FailureKey& b) {
  return std::tuple(-a.failed, a.precedence, a.file, a.offset) <
         std::tuple(-b.failed, b.precedence, b.file, b.offset);
}

}  // namespace

void Communicator::agree(const std::exception_ptr& failure) {
  std::int64_t failed = failure ? 1 : 0;
  if (size() > 1) {
    const InOperation now(handle_->activity, "agree");
    if (handle_->messages)
      handle_->messages->allreduce(std::as_writable_bytes(std::span(&failed, 1)), sizeof failed, MPI_INT64_T,
                                   MPI_MAX);
    else
      check_mpi(MPI_Allreduce(MPI_IN_PLACE, &failed, 1, MPI_INT64_T, MPI_MAX, handle_->comm),
                "MPI_Allreduce");
    count("agree", 1, sizeof failed);
  }
  if (failed == 0) return;

  FailureKey mine;
  auto& text = handle_->failure_text;
  if (failure) mine = describe(failure, text);
  auto& keys = handle_->failure_keys;
  allgather_bytes(std::as_bytes(std::span(&mine, 1)), std::as_writable_bytes(std::span(keys)));
  const auto first = std::min_element(keys.begin(), keys.end(), before);
  const auto length = static_cast<std::size_t>(first->text_bytes);
  broadcast(std::span(text).first(length), static_cast<int>(first - keys.begin()));
  throw Error(static_cast<ErrorCode>(first->code), std::string(text.data(), length),
              {first->file, first->offset}, true);
}

}  // namespace firesteel
