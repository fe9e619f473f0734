// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "firesteel/core/error.hpp"
#include "firesteel/core/index.hpp"

namespace firesteel {

/// The end of a request: what the server said, or why it said nothing.
struct HttpAnswer {
  long status = 0;                             ///< 0: no answer
  std::map<std::string, std::string> headers;  ///< of the last answer; names in small letters
  std::string body;                            ///< where nobody took it; of failures the begin
  std::string failure;                         ///< why the transfer failed, or empty
  std::string attempts;                        ///< " (after 7 attempts)", or nothing after one
  bool may_try_again = false;

  bool good() const { return failure.empty() && status >= 200 && status < 300; }
  /// Empty where there is none.
  std::string header(const std::string& name) const;
  /// "the server says 503 Service Unavailable", or the failure; then the attempts.
  std::string says() const;
};

/// What is sent of a file.
struct HttpUpload {
  int descriptor = -1;
  Index begin = 0;
  Index bytes = 0;
};

struct HttpRequest {
  std::string method = "GET";
  std::string url;
  std::vector<std::string> headers;  ///< "Name: value"
  std::string body;                  ///< of PUT and POST
  HttpUpload upload;                 ///< instead of the body
  bool redirects = true;             ///< are followed
  bool slow_answer = false;          ///< the server may take minutes before it answers
  /// Gets the body of a 2xx answer, piece by piece, with the answer as far as it is known; what it throws
  /// ends the transfer and is thrown on.
  std::function<void(const HttpAnswer& answer, std::span<const char> piece)> take;
  const std::atomic<bool>* cancelled = nullptr;
};

/// One attempt, over a connection that is kept for the next. Certificates are checked, ~/.netrc is looked at,
/// proxies are those of the environment. A transfer that brings less than a kilobyte a second for
/// store_timeout_s() is given up. Local; any thread. Throws what `take` throws, 69 without libcurl, and 75
/// where it was cancelled.
HttpAnswer http_attempt(const HttpRequest& request);

/// The same with further attempts (Retries) where the request may be repeated. The last answer.
HttpAnswer http_request(const HttpRequest& request);

/// Seconds without progress after which a transfer is given up: FIRESTEEL_STORE_TIMEOUT, 1 ... 3600; 30.
long store_timeout_s();

/// Counts attempts at something that can be repeated, and waits between them: 0.1 s and twice as long each
/// time, at most 10 s, each by a factor of 0.5 ... 1.5 that is drawn from what is attempted and the attempt,
/// so that ranks do not come back all at once. FIRESTEEL_STORE_ATTEMPTS, 1 ... 20; 7. Every 8 MiB that arrive
/// earn one attempt more. Local.
class Retries {
 public:
  explicit Retries(std::string_view what);
  /// Waits and returns true, or returns false where no attempt is left. Not below the seconds that the server
  /// asks for, if those are at most 30.
  bool again(const HttpAnswer& answer, const std::atomic<bool>* cancelled = nullptr);
  void progress(Index bytes) { bytes_ += bytes; }
  /// As HttpAnswer::attempts.
  std::string told() const;

 private:
  std::uint64_t key_;
  int made_ = 1;
  Index bytes_ = 0;
};

/// The Error for an answer that is no good: 66 absent or refused, 69 no answer or an overloaded server; 74
/// instead of either where `midway`. `said`: what else the server said, with the comma before it.
Error http_error(const std::string& path, const HttpAnswer& answer, bool midway,
                 const std::string& said = {});

}  // namespace firesteel
