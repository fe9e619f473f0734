// SPDX-License-Identifier: Apache-2.0
// A library for LD_PRELOAD that makes chosen system calls and allocations of a program fail. Configured by
// the environment; without it, everything passes through.
//
//   FAULTS_PATHS   parts of paths, separated by ':'; calls on other files pass
//   FAULTS_CALLS   names of calls, separated by ','; absent: all below
//   FAULTS_AT      number of the matching call that fails, from 1; 0: none, only counts
//   FAULTS_ERROR   what it fails with: an errno as a number, or "short" (a write or read of half)
//   FAULTS_STICKY  "1": all later matching calls that take room fail, too (a disk that stays full)
//   FAULTS_RANK    the rank of Open MPI in which things fail; absent: every rank
//   FAULTS_LOG     a file to which each matching call is appended: "rank number call path"
//   FAULTS_SLOW_US microseconds that every matching call takes longer (a slow disk)
//   FAULTS_SLOW_AT number of the only matching call that does; absent: all
//   FAULTS_MEMORY_BYTES, FAULTS_MEMORY_AT: the n-th operator new of at least so many bytes fails
//   FAULTS_MALLOC  "1": malloc, calloc, realloc and aligned ones are counted, too
//   FAULTS_ARM     allocations count only once a file with this in its path was opened
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static const char *paths, *calls, *log_path, *arm_path;
static long fail_at, slow_at, memory_at, memory_bytes;
static int fail_errno, fail_short, sticky, with_malloc, here = 1;
static useconds_t slow_us;
static char rank_text[16] = "0";
static atomic_long call_count, memory_count;
static atomic_int ready, armed;

static long number_of(const char* name) {
  const char* text = getenv(name);
  return text == NULL ? 0 : atol(text);
}

__attribute__((constructor)) static void prepare(void) {
  const char* rank = getenv("OMPI_COMM_WORLD_RANK");
  if (rank != NULL) snprintf(rank_text, sizeof rank_text, "%s", rank);
  const char* wanted = getenv("FAULTS_RANK");
  here = wanted == NULL || strcmp(wanted, rank_text) == 0;
  paths = getenv("FAULTS_PATHS");
  calls = getenv("FAULTS_CALLS");
  log_path = getenv("FAULTS_LOG");
  arm_path = getenv("FAULTS_ARM");
  fail_at = number_of("FAULTS_AT");
  const char* error = getenv("FAULTS_ERROR");
  fail_short = error != NULL && strcmp(error, "short") == 0;
  fail_errno = error != NULL && !fail_short ? atoi(error) : EIO;
  sticky = number_of("FAULTS_STICKY") != 0;
  slow_us = (useconds_t)number_of("FAULTS_SLOW_US");
  slow_at = number_of("FAULTS_SLOW_AT");
  memory_at = number_of("FAULTS_MEMORY_AT");
  memory_bytes = number_of("FAULTS_MEMORY_BYTES");
  with_malloc = number_of("FAULTS_MALLOC") != 0;
  // mpirun has no rank: nothing fails there.
  if (number_of("FAULTS_UNDER_MPIRUN") != 0 && rank == NULL) here = 0;
  armed = arm_path == NULL;
  ready = 1;
}

static void* next(const char* name) { return dlsym(RTLD_NEXT, name); }
#define REAL(name)               \
  static __typeof__(&name) real; \
  if (real == NULL) real = (__typeof__(&name))next(#name)

static int holds(const char* list, char separator, const char* text, int whole) {
  while (list != NULL && *list != 0) {
    const char* end = strchrnul(list, separator);
    const size_t length = (size_t)(end - list);
    if (length > 0) {
      if (whole ? strlen(text) == length && strncmp(text, list, length) == 0
                : memmem(text, strlen(text), list, length) != NULL)
        return 1;
    }
    list = *end == 0 ? end : end + 1;
  }
  return 0;
}

static void write_log(long number, const char* call, const char* path) {
  if (log_path == NULL) return;
  static __typeof__(&open) real_open;
  static __typeof__(&write) real_write;
  static __typeof__(&close) real_close;
  if (real_open == NULL) real_open = (__typeof__(&open))next("open");
  if (real_write == NULL) real_write = (__typeof__(&write))next("write");
  if (real_close == NULL) real_close = (__typeof__(&close))next("close");
  char line[PATH_MAX + 64];
  const int length = snprintf(line, sizeof line, "%s %ld %s %s\n", rank_text, number, call, path);
  const int fd = real_open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (fd < 0) return;
  (void)!real_write(fd, line, (size_t)length);
  real_close(fd);
}

enum verdict { pass, fail, half };

static enum verdict judge(const char* call, const char* path) {
  if (!ready || !here || paths == NULL || path == NULL) return pass;
  if (!holds(paths, ':', path, 0) || (calls != NULL && !holds(calls, ',', call, 1))) return pass;
  const int saved = errno;
  const long number = ++call_count;
  write_log(number, call, path);
  errno = saved;
  if (slow_us > 0 && (slow_at == 0 || number == slow_at)) usleep(slow_us);
  if (fail_at == 0 || number < fail_at) return pass;
  if (number > fail_at && (!sticky || !holds("write,pwrite,fsync,ftruncate,mkdir", ',', call, 1)))
    return pass;
  return fail_short ? half : fail;
}

static enum verdict judge_file(const char* call, int fd) {
  if (!ready || !here || paths == NULL) return pass;
  char link[64], path[PATH_MAX];
  const int saved = errno;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t length = readlink(link, path, sizeof path - 1);
  errno = saved;
  if (length <= 0) return pass;
  path[length] = 0;
  return judge(call, path);
}

static int failed(void) {
  errno = fail_errno;
  return -1;
}

static int open_as(const char* name, const char* path, int flags, mode_t mode) {
  if (ready && arm_path != NULL && strstr(path, arm_path) != NULL) armed = 1;
  if (judge("open", path) == fail) return failed();
  int (*real)(const char*, int, ...) = (int (*)(const char*, int, ...))next(name);
  return real(path, flags, mode);
}
#define OPEN(name)                             \
  int name(const char* path, int flags, ...) { \
    va_list rest;                              \
    va_start(rest, flags);                     \
    const mode_t mode = va_arg(rest, mode_t);  \
    va_end(rest);                              \
    return open_as(#name, path, flags, mode);  \
  }
OPEN(open)
OPEN(open64)

#define TRANSFER(name, label, type, buffer_type)                                       \
  ssize_t name(int fd, buffer_type buffer, size_t bytes, type offset) {                \
    REAL(name);                                                                        \
    const enum verdict verdict = judge_file(label, fd);                                \
    if (verdict == fail) return failed();                                              \
    return real(fd, buffer, verdict == half && bytes > 1 ? bytes / 2 : bytes, offset); \
  }
TRANSFER(pwrite, "pwrite", off_t, const void*)
TRANSFER(pwrite64, "pwrite", off64_t, const void*)
TRANSFER(pread, "pread", off_t, void*)
TRANSFER(pread64, "pread", off64_t, void*)

ssize_t write(int fd, const void* buffer, size_t bytes) {
  REAL(write);
  const enum verdict verdict = judge_file("write", fd);
  if (verdict == fail) return failed();
  return real(fd, buffer, verdict == half && bytes > 1 ? bytes / 2 : bytes);
}

ssize_t read(int fd, void* buffer, size_t bytes) {
  REAL(read);
  const enum verdict verdict = judge_file("read", fd);
  if (verdict == fail) return failed();
  return real(fd, buffer, verdict == half && bytes > 1 ? bytes / 2 : bytes);
}

int fsync(int fd) {
  REAL(fsync);
  return judge_file("fsync", fd) == fail ? failed() : real(fd);
}

int ftruncate(int fd, off_t bytes) {
  REAL(ftruncate);
  return judge_file("ftruncate", fd) == fail ? failed() : real(fd, bytes);
}
int ftruncate64(int fd, off64_t bytes) {
  REAL(ftruncate64);
  return judge_file("ftruncate", fd) == fail ? failed() : real(fd, bytes);
}

int close(int fd) {
  REAL(close);
  const enum verdict verdict = judge_file("close", fd);
  const int result = real(fd);  // as the kernel does: the descriptor is gone whatever close says
  return verdict == fail ? failed() : result;
}

int rename(const char* from, const char* to) {
  REAL(rename);
  return judge("rename", from) == fail ? failed() : real(from, to);
}

int unlink(const char* path) {
  REAL(unlink);
  return judge("unlink", path) == fail ? failed() : real(path);
}

int mkdir(const char* path, mode_t mode) {
  REAL(mkdir);
  return judge("mkdir", path) == fail ? failed() : real(path, mode);
}

// Allocations. Operator new takes the C library's malloc, so that one allocation is not counted twice.

extern void* __libc_malloc(size_t);
extern void* __libc_calloc(size_t, size_t);
extern void* __libc_realloc(void*, size_t);
extern void* __libc_memalign(size_t, size_t);

static int refuses(size_t bytes, const char* call) {
  if (!ready || !here || !armed || (memory_at == 0 && (log_path == NULL || memory_bytes == 0))) return 0;
  if ((long)bytes < memory_bytes) return 0;
  const long number = ++memory_count;
  if (memory_at == 0 || number == memory_at) write_log(number, call, "-");
  return number == memory_at;
}

// Defined in libstdc++, which is loaded with the program: throws std::bad_alloc.
extern void _ZSt17__throw_bad_allocv(void) __attribute__((weak, noreturn));

static void* new_or_throw(size_t bytes, size_t alignment) {
  void* memory = NULL;
  if (!refuses(bytes, "new"))
    memory = alignment == 0 ? __libc_malloc(bytes == 0 ? 1 : bytes) : __libc_memalign(alignment, bytes);
  if (memory == NULL) _ZSt17__throw_bad_allocv();
  return memory;
}
void* _Znwm(size_t bytes) { return new_or_throw(bytes, 0); }
void* _Znam(size_t bytes) { return new_or_throw(bytes, 0); }
void* _ZnwmSt11align_val_t(size_t bytes, size_t alignment) { return new_or_throw(bytes, alignment); }
void* _ZnamSt11align_val_t(size_t bytes, size_t alignment) { return new_or_throw(bytes, alignment); }
void* _ZnwmRKSt9nothrow_t(size_t bytes, const void* tag) {
  (void)tag;
  return refuses(bytes, "new") ? NULL : __libc_malloc(bytes == 0 ? 1 : bytes);
}

static void* no_memory(void) {
  errno = ENOMEM;
  return NULL;
}
void* malloc(size_t bytes) {
  return with_malloc && refuses(bytes, "malloc") ? no_memory() : __libc_malloc(bytes);
}
void* calloc(size_t count, size_t bytes) {
  return with_malloc && refuses(count * bytes, "calloc") ? no_memory() : __libc_calloc(count, bytes);
}
void* realloc(void* memory, size_t bytes) {
  return with_malloc && refuses(bytes, "realloc") ? no_memory() : __libc_realloc(memory, bytes);
}
void* aligned_alloc(size_t alignment, size_t bytes) {
  return with_malloc && refuses(bytes, "aligned_alloc") ? no_memory() : __libc_memalign(alignment, bytes);
}
int posix_memalign(void** memory, size_t alignment, size_t bytes) {
  if (with_malloc && refuses(bytes, "posix_memalign")) return ENOMEM;
  *memory = __libc_memalign(alignment, bytes);
  return *memory == NULL ? ENOMEM : 0;
}
