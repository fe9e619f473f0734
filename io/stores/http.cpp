// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/stores/http.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <exception>
#include <memory>
#include <mutex>

#include "firesteel/io/stores/curl_library.hpp"

namespace firesteel {

namespace {

constexpr std::size_t kMostIdle = 16;
constexpr std::size_t kMostBody = std::size_t{256} << 20;  // of a listing
constexpr std::size_t kMostFailureBody = std::size_t{16} << 10;
constexpr std::size_t kMostHeaders = 256;
constexpr long kSlowestBytesPerSecond = 1000;
constexpr long kMostRedirects = 10;
constexpr long kSlowAnswerS = 600;

/// Handles that keep their connections.
class Handles {
 public:
  CURL* take() {
    const std::lock_guard lock(mutex_);
    if (idle_.empty()) {
      CURL* made = curl_library().easy_init();
      if (made == nullptr) throw std::bad_alloc();
      return made;
    }
    CURL* handle = idle_.back();
    idle_.pop_back();
    return handle;
  }
  void give_back(CURL* handle) {
    const auto& curl = curl_library();
    curl.easy_reset(handle);
    const std::lock_guard lock(mutex_);
    if (idle_.size() < kMostIdle)
      idle_.push_back(handle);
    else
      curl.easy_cleanup(handle);
  }

 private:
  std::mutex mutex_;
  std::vector<CURL*> idle_;  // until the process ends
};

Handles& handles() {
  static auto* const all = new Handles;  // threads may use them until the end
  return *all;
}

struct Transfer {
  const HttpRequest* request;
  HttpAnswer answer;
  std::exception_ptr thrown;
  Index sent = 0;
  bool too_long = false;

  template <class Body>
  bool guarded(Body&& body) noexcept {
    try {
      body();
      return true;
    } catch (...) {
      thrown = std::current_exception();
      return false;
    }
  }

  void header_line(std::string_view line) {
    if (line.starts_with("HTTP/")) {  // of a redirect, "100 Continue" or the answer itself
      const auto blank = line.find(' ');
      answer.headers.clear();
      answer.status = 0;
      for (const char c : line.substr(blank == std::string_view::npos ? line.size() : blank + 1, 3))
        answer.status = c >= '0' && c <= '9' ? 10 * answer.status + (c - '0') : 0;
      return;
    }
    const auto colon = line.find(':');
    if (colon == std::string_view::npos || answer.headers.size() >= kMostHeaders) return;
    std::string name(line.substr(0, colon));
    for (char& c : name)
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    line.remove_prefix(colon + 1);
    const auto first = line.find_first_not_of(" \t");
    const auto last = line.find_last_not_of(" \t\r\n");
    answer.headers[name] =
        first == std::string_view::npos ? "" : std::string(line.substr(first, last - first + 1));
  }

  void piece(std::span<const char> bytes) {
    const bool success = answer.status >= 200 && answer.status < 300;
    if (success && request->take) return request->take(answer, bytes);
    if (!success)
      bytes = bytes.first(
          std::min(bytes.size(), kMostFailureBody - std::min(kMostFailureBody, answer.body.size())));
    if (answer.body.size() + bytes.size() > kMostBody)
      throw Error(ErrorCode::io_failed, "an answer of more than 256 MiB");
    answer.body.append(bytes.data(), bytes.size());
  }

  static std::size_t on_header(char* data, std::size_t size, std::size_t count, void* self) {
    auto& transfer = *static_cast<Transfer*>(self);
    return transfer.guarded([&] { transfer.header_line({data, size * count}); }) ? size * count : 0;
  }
  static std::size_t on_body(char* data, std::size_t size, std::size_t count, void* self) {
    auto& transfer = *static_cast<Transfer*>(self);
    return transfer.guarded([&] { transfer.piece({data, size * count}); }) ? size * count : size * count + 1;
  }
  static std::size_t on_upload(char* data, std::size_t size, std::size_t count, void* self) {
    auto& transfer = *static_cast<Transfer*>(self);
    const HttpUpload& upload = transfer.request->upload;
    const auto wanted = std::min(size * count, static_cast<std::size_t>(upload.bytes - transfer.sent));
    const ssize_t got =
        wanted == 0 ? 0 : ::pread(upload.descriptor, data, wanted, upload.begin + transfer.sent);
    if (got < 0) return CURL_READFUNC_ABORT;
    transfer.sent += got;
    return static_cast<std::size_t>(got);
  }
  static int on_seek(void* self, curl_off_t offset, int origin) {
    if (origin != SEEK_SET) return CURL_SEEKFUNC_CANTSEEK;
    static_cast<Transfer*>(self)->sent = offset;
    return CURL_SEEKFUNC_OK;
  }
  static int on_progress(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    const auto* cancelled = static_cast<Transfer*>(self)->request->cancelled;
    return cancelled != nullptr && *cancelled ? 1 : 0;
  }
};

bool may_try_again(CURLcode code) {
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_WEIRD_SERVER_REPLY:
      return true;
    default:
      return false;
  }
}

class Setter {
 public:
  Setter(const CurlLibrary& curl, CURL* handle) : curl_(curl), handle_(handle) {}
  template <class Value>
  void operator()(CURLoption option, Value value) const {
    curl_.easy_setopt(handle_, option, value);
  }

 private:
  const CurlLibrary& curl_;
  CURL* handle_;
};

void set_method(const Setter& set, const HttpRequest& request, Transfer& transfer) {
  if (request.upload.descriptor >= 0) {
    set(CURLOPT_UPLOAD, 1L);
    set(CURLOPT_READFUNCTION, &Transfer::on_upload);
    set(CURLOPT_READDATA, &transfer);
    set(CURLOPT_SEEKFUNCTION, &Transfer::on_seek);
    set(CURLOPT_SEEKDATA, &transfer);
    set(CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(request.upload.bytes));
  } else if (request.method == "HEAD") {
    set(CURLOPT_NOBODY, 1L);
  } else if (request.method != "GET") {
    if (request.method != "DELETE") {
      set(CURLOPT_POST, 1L);
      set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
      set(CURLOPT_POSTFIELDS, request.body.data());
    }
    set(CURLOPT_CUSTOMREQUEST, request.method.c_str());
  }
}

void set_all(const Setter& set, const HttpRequest& request, Transfer& transfer, char* message) {
  const bool secure = request.url.starts_with("https:");
  set(CURLOPT_URL, request.url.c_str());
#if LIBCURL_VERSION_NUM >= 0x075500
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_REDIR_PROTOCOLS_STR, secure ? "https" : "http,https");
#else
  set(CURLOPT_PROTOCOLS, static_cast<long>(CURLPROTO_HTTP | CURLPROTO_HTTPS));
  set(CURLOPT_REDIR_PROTOCOLS,
      static_cast<long>(secure ? CURLPROTO_HTTPS : CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
  set(CURLOPT_FOLLOWLOCATION, request.redirects ? 1L : 0L);
  set(CURLOPT_MAXREDIRS, kMostRedirects);
  set(CURLOPT_PATH_AS_IS, 1L);
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_NETRC, static_cast<long>(CURL_NETRC_OPTIONAL));
  set(CURLOPT_USERAGENT, "firesteel");
  set(CURLOPT_CONNECTTIMEOUT, store_timeout_s());
  set(CURLOPT_LOW_SPEED_LIMIT, kSlowestBytesPerSecond);
  set(CURLOPT_LOW_SPEED_TIME, request.slow_answer ? kSlowAnswerS : store_timeout_s());
  for (const auto* name : {"CURL_CA_BUNDLE", "SSL_CERT_FILE"})
    if (const char* bundle = std::getenv(name); bundle != nullptr && *bundle != '\0') {
      set(CURLOPT_CAINFO, bundle);
      break;
    }
  set(CURLOPT_ERRORBUFFER, message);
  set(CURLOPT_HEADERFUNCTION, &Transfer::on_header);
  set(CURLOPT_HEADERDATA, &transfer);
  set(CURLOPT_WRITEFUNCTION, &Transfer::on_body);
  set(CURLOPT_WRITEDATA, &transfer);
  set(CURLOPT_NOPROGRESS, 0L);
  set(CURLOPT_XFERINFOFUNCTION, &Transfer::on_progress);
  set(CURLOPT_XFERINFODATA, &transfer);
  set(CURLOPT_BUFFERSIZE, 256L << 10);
  set_method(set, request, transfer);
}

/// Statuses that say: later.
bool is_passing(long status) {
  return status == 408 || status == 429 || status == 500 || status == 502 || status == 503 || status == 504 ||
         status == 509;
}

const char* reason(long status) {
  switch (status) {
    case 400:
      return " Bad Request";
    case 401:
      return " Unauthorized";
    case 403:
      return " Forbidden";
    case 404:
      return " Not Found";
    case 410:
      return " Gone";
    case 412:
      return " Precondition Failed";
    case 416:
      return " Range Not Satisfiable";
    case 429:
      return " Too Many Requests";
    case 500:
      return " Internal Server Error";
    case 502:
      return " Bad Gateway";
    case 503:
      return " Service Unavailable";
    case 504:
      return " Gateway Timeout";
    default:
      return "";
  }
}

}  // namespace

std::string HttpAnswer::header(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? std::string() : found->second;
}

std::string HttpAnswer::says() const {
  return (failure.empty() ? "the server says " + std::to_string(status) + reason(status) : failure) +
         attempts;
}

HttpAnswer http_attempt(const HttpRequest& request) {
  const CurlLibrary& curl = curl_library();
  Transfer transfer{.request = &request, .answer = {}, .thrown = {}};
  std::array<char, CURL_ERROR_SIZE> message{};
  CURL* const handle = handles().take();
  const std::unique_ptr<CURL, void (*)(CURL*)> returned(handle,
                                                        [](CURL* used) { handles().give_back(used); });
  curl_slist* list = nullptr;
  // curl's own: a wait for "100 Continue", and a type of forms.
  for (const auto* header : {"Expect:", "Accept-Encoding: identity", "Content-Type:"})
    list = curl.slist_append(list, header);
  for (const auto& header : request.headers) list = curl.slist_append(list, header.c_str());
  const std::unique_ptr<curl_slist, void (*)(curl_slist*)> headers(
      list, [](curl_slist* all) { curl_library().slist_free_all(all); });
  const Setter set(curl, handle);
  set_all(set, request, transfer, message.data());
  set(CURLOPT_HTTPHEADER, list);
  const CURLcode code = curl.easy_perform(handle);
  if (transfer.thrown) std::rethrow_exception(transfer.thrown);
  HttpAnswer& answer = transfer.answer;
  if (code == CURLE_ABORTED_BY_CALLBACK) throw Error(ErrorCode::stopped, "a transfer was given up");
  if (code != CURLE_OK) {
    answer.failure = message.front() != '\0' ? message.data() : curl.easy_strerror(code);
    if (code == CURLE_OPERATION_TIMEDOUT && answer.failure.find("1000 bytes") != std::string::npos)
      answer.failure = "nothing, or next to nothing, came for " + std::to_string(store_timeout_s()) + " s";
    answer.may_try_again = may_try_again(code);
  } else {
    answer.may_try_again = is_passing(answer.status);
  }
  return std::move(answer);
}

HttpAnswer http_request(const HttpRequest& request) {
  Retries retries(request.url);
  for (;;) {
    HttpAnswer answer = http_attempt(request);
    if (answer.good() || !answer.may_try_again || !retries.again(answer, request.cancelled)) {
      answer.attempts = retries.told();
      return answer;
    }
  }
}

Error http_error(const std::string& path, const HttpAnswer& answer, bool midway, const std::string& said) {
  ErrorCode code = ErrorCode::no_input;
  if (!answer.failure.empty() || answer.may_try_again || answer.status >= 500) code = ErrorCode::unavailable;
  if (midway) code = ErrorCode::io_failed;
  std::string remedy;
  if (answer.status == 401 || answer.status == 403)
    remedy = "; are the credentials right? They come from ~/.netrc, or of s3 from the environment or ~/.aws";
  return {code, (midway ? path + ": reading failed: " : "cannot read '" + path + "': ") + answer.says() +
                    said + remedy};
}

}  // namespace firesteel
