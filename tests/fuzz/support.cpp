// SPDX-License-Identifier: Apache-2.0
#include "support.hpp"

#include <fcntl.h>
#include <mpi.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <bit>
#include <cstdio>
#include <cstdlib>

#include "firesteel/core/error.hpp"
#include "firesteel/core/monitor.hpp"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FIRESTEEL_COUNTS_MEMORY
#endif
#endif  // GCC has the sanitizer but not the header below
#ifdef FIRESTEEL_COUNTS_MEMORY
#include <sanitizer/allocator_interface.h>
#include <sanitizer/lsan_interface.h>
#endif

namespace firesteel::fuzz {

namespace {

class Listener final : public Monitor {
 public:
  void warning(std::string_view text) override { heard += std::string(text) + '\n'; }
  std::string heard;
};

std::shared_ptr<Listener> listener() {
  static const auto made = std::make_shared<Listener>();
  return made;
}

ContextOptions options() { return {.threads = 1, .monitor = listener(), .checkpoint = {}}; }

/// Open MPI without a launcher: quick to start, no network, and no directory in /tmp, which all such
/// processes would share and make and remove under each other's feet.
void prepare_environment() {
  ::setenv("OMP_NUM_THREADS", "1", 0);
  if (std::getenv("OMPI_COMM_WORLD_SIZE") != nullptr) return;
  for (const auto& [name, value] : {std::pair("OMPI_MCA_ess_singleton_isolated", "1"),
                                    std::pair("OMPI_MCA_orte_create_session_dirs", "0"),
                                    std::pair("OMPI_MCA_btl", "self"), std::pair("OMPI_MCA_pml", "ob1")})
    ::setenv(name, value, 0);
}

std::atomic<bool> counting{false};
std::atomic<std::ptrdiff_t> held{0};
std::atomic<std::ptrdiff_t> most_held{0};

#ifdef FIRESTEEL_COUNTS_MEMORY
void allocated(const volatile void* pointer, std::size_t) {
  if (counting_memory())
    note_memory(static_cast<std::ptrdiff_t>(__sanitizer_get_allocated_size(const_cast<void*>(pointer))));
}
void freed(const volatile void* pointer) {
  if (counting_memory() && pointer != nullptr)
    note_memory(-static_cast<std::ptrdiff_t>(__sanitizer_get_allocated_size(const_cast<void*>(pointer))));
}
#endif

}  // namespace

const Context& everyone() {
  static const Context context = [] {
    prepare_environment();
#ifdef FIRESTEEL_COUNTS_MEMORY
    const __lsan::ScopedDisabler mpi_keeps_memory_for_life;
#endif
    return Context(options());
  }();
  return context;
}

const Context& alone() {
  static const Context context = [] {
    everyone();
    return Context(MPI_COMM_SELF, options());
  }();
  return context;
}

std::string take_warnings() { return std::exchange(listener()->heard, {}); }

MemoryFile::MemoryFile(int descriptor) : descriptor_(descriptor) {
  int made = -1;
  if (everyone().size() == 1) {  // a name that opens quicker
    path_ = "/dev/shm/firesteel_fuzz_" + std::to_string(::getpid());
    made = ::open(path_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  }
  if (made < 0) {
    path_ = "/proc/self/fd/" + std::to_string(descriptor_);
    made = ::memfd_create("input", 0);
  }
  if (made < 0 || ::dup2(made, descriptor_) < 0) broken("no file in memory");
  ::close(made);
}

MemoryFile::~MemoryFile() {
  if (path_.starts_with("/dev/shm/")) ::unlink(path_.c_str());
}

void MemoryFile::write(std::string_view bytes) const {
  if (::ftruncate(descriptor_, static_cast<off_t>(bytes.size())) != 0 ||
      ::pwrite(descriptor_, bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
    broken("the file in memory cannot be written");
}

std::string outcome(FunctionRef<std::string()> read) {
  try {
    return read();
  } catch (const Error& error) {
    if (error.code() == ErrorCode::internal) broken(std::string("internal error: ") + error.what());
    return "error " + std::to_string(static_cast<int>(error.code())) + ": " + error.what();
  } catch (const std::exception& error) {
    broken(std::string("an exception that is none of ours: ") + error.what());
  }
}

void broken(const std::string& what) {
  const std::string text = "firesteel fuzz: " + what + '\n';  // zero bytes too
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::abort();
}

void require_equal(std::string_view what, const std::string& expected, const std::string& found) {
  if (expected == found) return;
  broken(std::string(what) + ": expected\n" + expected + "\nfound\n" + found);
}

void append_bits(std::string& out, double value) {
  char text[20];
  const int length = std::snprintf(text, sizeof text, "%llx ",
                                   static_cast<unsigned long long>(std::bit_cast<std::uint64_t>(value)));
  out.append(text, static_cast<std::size_t>(length));
}

bool counting_memory() { return counting.load(std::memory_order_relaxed); }

void note_memory(std::ptrdiff_t bytes) {
  const std::ptrdiff_t now = held.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  std::ptrdiff_t most = most_held.load(std::memory_order_relaxed);
  while (now > most && !most_held.compare_exchange_weak(most, now)) {
  }
}

MemoryLimit::MemoryLimit(std::string_view what, std::size_t limit) : what_(what), limit_(limit) {
  everyone();  // not counted
#ifdef FIRESTEEL_COUNTS_MEMORY
  [[maybe_unused]] static const int installed = __sanitizer_install_malloc_and_free_hooks(allocated, freed);
#endif
  held = 0;
  most_held = 0;
  counting = true;
}

MemoryLimit::~MemoryLimit() {
  counting = false;
  const auto most = static_cast<std::size_t>(most_held.load());
  if (most > limit_)
    broken(std::string(what_) + " held " + std::to_string(most) + " bytes at once, at most " +
           std::to_string(limit_) + " are allowed");
}

}  // namespace firesteel::fuzz
