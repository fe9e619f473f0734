// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/block_io.hpp"

#include <linux/io_uring.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <mutex>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "firesteel/core/error.hpp"

namespace firesteel {

namespace {

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

/// What a request still has to do.
struct Request {
  Index offset = 0;
  std::byte* to = nullptr;
  Index bytes = 0;
  bool done = true;
  int error = 0;  ///< an errno, kShort where the file ended
};
constexpr int kShort = -1;

/// Throws where the request failed.
void check(const ScratchFile& file, const Request& request) {
  if (request.error != 0) throw file.read_error(std::max(0, request.error));
}

/// Threads that call pread. Signals of the process are left to the others.
class ThreadReader final : public BlockReader {
 public:
  ThreadReader(const ScratchFile& file, Index requests) : file_(file), requests_(at(requests)) {
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (Index i = 0; i < std::min(requests, kThreads); ++i) threads_.emplace_back([this] { work(); });
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }
  ThreadReader(const ThreadReader&) = delete;
  ThreadReader& operator=(const ThreadReader&) = delete;
  ~ThreadReader() override {
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    asked_.notify_all();
    for (auto& thread : threads_) thread.join();
  }

  void submit(Index number, Index offset, std::byte* to, Index bytes) override {
    {
      const std::lock_guard lock(mutex_);
      requests_[at(number)] = {offset, to, bytes, false, 0};
      queue_.push_back(number);
    }
    asked_.notify_one();
  }

  bool wait(Index number, bool block) override {
    std::unique_lock lock(mutex_);
    const Request& request = requests_[at(number)];
    if (!request.done && !block) return false;
    answered_.wait(lock, [&] { return request.done; });
    check(file_, request);
    return true;
  }

  const char* name() const override { return "threads"; }

 private:
  static constexpr Index kThreads = 8;

  void work() {
    std::unique_lock lock(mutex_);
    while (true) {
      asked_.wait(lock, [&] { return ending_ || !queue_.empty(); });
      if (ending_) return;
      Request& request = requests_[at(queue_.front())];
      queue_.pop_front();
      lock.unlock();
      const int error = read(request);
      lock.lock();
      request.error = error;
      request.done = true;
      answered_.notify_all();
    }
  }

  int read(const Request& request) const {
    for (Index done = 0; done < request.bytes;) {
      const ssize_t count =
          ::pread(file_.descriptor(), request.to + done, at(request.bytes - done), request.offset + done);
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) return count < 0 ? errno : kShort;
      done += count;
    }
    return 0;
  }

  const ScratchFile& file_;
  std::mutex mutex_;
  std::condition_variable asked_;
  std::condition_variable answered_;
  std::vector<Request> requests_;
  std::deque<Index> queue_;
  bool ending_ = false;
  std::vector<std::thread> threads_;
};

/// Memory that is shared with the kernel.
class Mapping {
 public:
  Mapping() = default;
  Mapping(int fd, std::size_t bytes, off_t offset) : bytes_(bytes) {
    void* const memory =
        ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, offset);
    if (memory != MAP_FAILED) memory_ = memory;
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  Mapping(Mapping&& other) noexcept
      : memory_(std::exchange(other.memory_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  Mapping& operator=(Mapping&& other) noexcept {
    std::swap(memory_, other.memory_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~Mapping() {
    if (memory_ != nullptr) ::munmap(memory_, bytes_);
  }
  explicit operator bool() const { return memory_ != nullptr; }
  template <class T>
  T* place(std::uint32_t offset) const {
    return reinterpret_cast<T*>(static_cast<std::byte*>(memory_) + offset);
  }

 private:
  void* memory_ = nullptr;
  std::size_t bytes_ = 0;
};

/// The kernel's rings of requests and answers, by its system calls alone.
class RingReader final : public BlockReader {
 public:
  /// Null where the kernel has no such rings or refuses them.
  static std::unique_ptr<RingReader> make(const ScratchFile& file, Index requests) {
    std::unique_ptr<RingReader> reader(new RingReader(file, requests));
    return reader->usable_ ? std::move(reader) : nullptr;
  }
  RingReader(const RingReader&) = delete;
  RingReader& operator=(const RingReader&) = delete;
  ~RingReader() override {
    // Nothing may be written into buffers that are freed next.
    const std::lock_guard lock(mutex_);
    while (usable_ && under_way_ > 0 && collect(true)) {
    }
  }

  void submit(Index number, Index offset, std::byte* to, Index bytes) override {
    const std::lock_guard lock(mutex_);
    requests_[at(number)] = {offset, to, bytes, false, 0};
    push(number);
  }

  bool wait(Index number, bool block) override {
    const std::lock_guard lock(mutex_);
    const Request& request = requests_[at(number)];
    while (!request.done) {
      const bool any = collect(false);
      if (request.done || (!any && !block)) break;
      if (!any && !collect(true))
        throw Error(ErrorCode::io_failed, "io_uring: waiting failed: " + std::string(std::strerror(errno)));
    }
    if (!request.done) return false;
    check(file_, request);
    return true;
  }

  const char* name() const override { return "io_uring"; }

 private:
  RingReader(const ScratchFile& file, Index requests) : file_(file), requests_(at(requests)) {
    io_uring_params parameters{};
    ring_ = FileDescriptor(
        static_cast<int>(::syscall(__NR_io_uring_setup, static_cast<unsigned>(requests), &parameters)));
    if (!ring_.open() || (parameters.features & IORING_FEAT_SINGLE_MMAP) == 0) return;
    const auto& sq = parameters.sq_off;
    const auto& cq = parameters.cq_off;
    const std::size_t bytes = std::max(sq.array + parameters.sq_entries * sizeof(std::uint32_t),
                                       cq.cqes + parameters.cq_entries * sizeof(io_uring_cqe));
    rings_ = Mapping(ring_.get(), bytes, IORING_OFF_SQ_RING);
    entries_ = Mapping(ring_.get(), parameters.sq_entries * sizeof(io_uring_sqe), IORING_OFF_SQES);
    if (!rings_ || !entries_) return;
    sq_tail_ = rings_.place<std::uint32_t>(sq.tail);
    sq_mask_ = *rings_.place<std::uint32_t>(sq.ring_mask);
    sq_array_ = rings_.place<std::uint32_t>(sq.array);
    cq_head_ = rings_.place<std::uint32_t>(cq.head);
    cq_tail_ = rings_.place<std::uint32_t>(cq.tail);
    cq_mask_ = *rings_.place<std::uint32_t>(cq.ring_mask);
    answers_ = rings_.place<io_uring_cqe>(cq.cqes);
    usable_ = reads();
  }

  /// IORING_OP_READ is younger than the rings: a read of nothing tells.
  bool reads() {
    alignas(kScratchAlignment) static thread_local std::byte nowhere[kScratchAlignment];
    requests_[0] = {0, nowhere, kScratchAlignment, false, 0};
    usable_ = true;
    push(0);
    while (!requests_[0].done)
      if (!collect(true)) return false;
    return requests_[0].error == 0;
  }

  int enter(unsigned submit, unsigned wait) {
    while (true) {
      const long result = ::syscall(__NR_io_uring_enter, ring_.get(), submit, wait,
                                    wait > 0 ? IORING_ENTER_GETEVENTS : 0U, nullptr, 0);
      if (result >= 0 || errno != EINTR) return static_cast<int>(result);
    }
  }

  void push(Index number) {
    Request& request = requests_[at(number)];
    const std::uint32_t tail = *sq_tail_;
    const std::uint32_t place = tail & sq_mask_;
    auto* const entry = entries_.place<io_uring_sqe>(0) + place;
    std::memset(entry, 0, sizeof *entry);
    entry->opcode = IORING_OP_READ;
    entry->fd = file_.descriptor();
    entry->off = static_cast<std::uint64_t>(request.offset);
    entry->addr = reinterpret_cast<std::uint64_t>(request.to);
    entry->len = static_cast<std::uint32_t>(request.bytes);
    entry->user_data = static_cast<std::uint64_t>(number);
    sq_array_[place] = place;
    std::atomic_ref(*sq_tail_).store(tail + 1, std::memory_order_release);
    ++under_way_;
    if (enter(1, 0) != 1) {
      // Not taken: the kernel left it in the ring, from which it is taken back.
      std::atomic_ref(*sq_tail_).store(tail, std::memory_order_release);
      --under_way_;
      request.error = errno != 0 ? errno : EIO;
      request.done = true;
    }
  }

  /// Takes the answers that are there; `block`: waits for one. False where none came.
  bool collect(bool block) {
    if (block && enter(0, 1) < 0) return false;
    const std::uint32_t tail = std::atomic_ref(*cq_tail_).load(std::memory_order_acquire);
    std::uint32_t head = *cq_head_;
    const bool any = head != tail;
    std::vector<Index>& again = again_;
    for (; head != tail; ++head) {
      const io_uring_cqe& answer = answers_[head & cq_mask_];
      const auto number = static_cast<Index>(answer.user_data);
      --under_way_;
      if (!settle(requests_[at(number)], answer.res)) again.push_back(number);
    }
    std::atomic_ref(*cq_head_).store(head, std::memory_order_release);
    for (const Index number : again) push(number);
    again.clear();
    return any;
  }

  /// False where the request goes on: it was interrupted, or answered in part.
  static bool settle(Request& request, int result) {
    if (result == -EINTR || result == -EAGAIN) return false;
    if (result > 0 && result < request.bytes) {
      request.offset += result;
      request.to += result;
      request.bytes -= result;
      return false;
    }
    request.error = result < 0 ? -result : (result == 0 ? kShort : 0);
    request.done = true;
    return true;
  }

  const ScratchFile& file_;
  std::vector<Request> requests_;
  std::vector<Index> again_;
  FileDescriptor ring_;
  Mapping rings_;
  Mapping entries_;
  std::uint32_t* sq_tail_ = nullptr;
  std::uint32_t sq_mask_ = 0;
  std::uint32_t* sq_array_ = nullptr;
  std::uint32_t* cq_head_ = nullptr;
  std::uint32_t* cq_tail_ = nullptr;
  std::uint32_t cq_mask_ = 0;
  const io_uring_cqe* answers_ = nullptr;
  Index under_way_ = 0;
  bool usable_ = false;
  std::mutex mutex_;
};

bool wants_threads() {
  const char* const word = std::getenv("FIRESTEEL_SCRATCH_READER");
  return word != nullptr && std::string_view(word) == "threads";
}

}  // namespace

std::unique_ptr<BlockReader> make_block_reader(const ScratchFile& file, Index requests) {
  if (!wants_threads())
    if (auto reader = RingReader::make(file, requests)) return reader;
  return std::make_unique<ThreadReader>(file, requests);
}

}  // namespace firesteel
